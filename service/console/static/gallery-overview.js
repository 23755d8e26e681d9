// What a gallery holds: by camera, over time, by viewpoint. Bars are also filters.

import { draw, freshId, make } from "./dom.js";
import { isChosen, toggle } from "./gallery-filter.js";
import { VIEWPOINTS } from "./viewpoint.js";
import { count, day, listed, moment, number } from "./words.js";

const MOST_BARS = 8;
const HOUR = 3600e3;
const calendar = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
// What a span is called, by its unit. Hours are told where the reader is; longer spans are UTC's.
const SPANS = {
  hour: { most: "in the hour from", name: (start) => moment(start).slice(0, -3), end: (date) => new Date(date.valueOf() + HOUR) },
  day: { most: "on", name: (start) => calendar({ day: "numeric", month: "short", year: "numeric" }).format(new Date(start)),
    end: (date) => new Date(date.valueOf() + 24 * HOUR) },
  month: { most: "in", name: (start) => calendar({ month: "long", year: "numeric" }).format(new Date(start)),
    end: (date) => later(date, 0, 1) },
  year: { most: "in", name: (start) => calendar({ year: "numeric" }).format(new Date(start)), end: (date) => later(date, 1, 0) },
};

// In one sentence.
export function inSentence({ count: items, persons, cameras, captured }) {
  if (!items) return "There is nothing in this gallery yet.";
  const known = cameras.largest.length + cameras.others;
  const parts = [count(items, "crop")];
  if (persons.known) parts.push(` of ${count(persons.known, "known person")}`);
  if (known) parts.push(`, seen by ${count(known, "camera")}`);
  if (captured.first) parts.push(day(captured.first) === day(captured.last) ? ` on ${day(captured.first)}`
    : ` between ${day(captured.first)} and ${day(captured.last)}`);
  return `${parts.join("")}.`;
}

// Cards. change(edit) edits the address, by which items are filtered.
export function overview(summary, params, change) {
  if (!summary.count) return [];
  const { tracklets, persons } = summary;
  const labels = [["persons", persons], ["tracklets", tracklets]];
  return [
    card("By camera", cameraBars(summary, params, change)),
    card("Over time", histogram(summary, params, change)),
    card("Seen from", viewpointBars(summary, params, change),
      make("dl", { className: "facts" }, labels.map(([name, { known, unknown }]) => [
        make("dt", null, `Known ${name}`),
        make("dd", null, number(known),
          unknown ? make("span", { className: "quiet" }, `, ${count(unknown, "crop")} without`) : null)]))),
  ];
}

function card(heading, ...content) {
  const id = freshId("about");
  return make("section", { className: "card stack", attributes: { "aria-labelledby": id } }, make("h2", { id }, heading), content);
}

function cameraBars({ cameras, count: items }, params, change) {
  if (!cameras.largest.length) return make("p", { className: "quiet" }, "No item says which camera saw it.");
  const most = cameras.largest[0].count;
  const bars = cameras.largest.map(({ camera_id: id, count: seen }) =>
    bar({ name: `camera ${id}`, label: id, value: seen, most, pressed: isChosen(params, "camera", id),
      press: () => change((edited) => toggle(edited, "camera", id)) }));
  const rest = [];
  if (cameras.others) rest.push(`${count(cameras.others, "more camera")} with ${count(cameras.others_count, "item")}`);
  if (cameras.unknown) rest.push(`${count(cameras.unknown, "item")} of ${number(items)} without a camera`);
  return [make("ul", { className: "bars" }, bars.slice(0, MOST_BARS)),
    bars.length > MOST_BARS ? make("details", null, make("summary", null, `${count(bars.length - MOST_BARS, "smaller camera")}`),
      make("ul", { className: "bars bars-more" }, bars.slice(MOST_BARS))) : null,
    rest.length ? make("p", { className: "quiet" }, `${listed(rest)}.`) : null];
}

function viewpointBars({ viewpoints }, params, change) {
  const most = Math.max(...VIEWPOINTS.map((name) => viewpoints[name]));
  if (!most) return make("p", { className: "quiet" }, "The model of this gallery does not tell.");
  const bars = VIEWPOINTS.map((name) => bar({ name, label: `the ${name}`, value: viewpoints[name], most,
    pressed: isChosen(params, "viewpoint", name), press: () => change((edited) => toggle(edited, "viewpoint", name)) }));
  return [make("ul", { className: "bars" }, bars),
    viewpoints.unknown ? make("p", { className: "quiet" }, `Of ${count(viewpoints.unknown, "item")} it is not known.`) : null];
}

// A row that can be pressed: its name, a bar, how many.
function bar({ name, label, value, most, pressed, press }) {
  const filled = make("span", { className: "bar-filled" });
  filled.style.width = value ? `max(2px, ${(100 * value) / most}%)` : "0";
  const title = pressed ? "Show all again" : "Show only these";
  return make("li", null, make("button", { type: "button", className: "bare bar-row", title, dataset: { bar: name },
    attributes: { "aria-pressed": String(pressed) }, on: { click: press } },
    make("span", { className: "bar-label" }, label),
    make("span", { className: "bar-track", attributes: { "aria-hidden": "true" } }, filled),
    make("span", { className: "bar-value figures" }, number(value))));
}

const WIDTH = 600, HEIGHT = 150;

// Bars stand where their time is; what lies between them is empty.
function histogram({ captured }, params, change) {
  if (!captured.spans.length) return make("p", { className: "quiet" }, "No item says when it was captured.");
  const { unit, spans } = captured;
  const { name, end } = SPANS[unit];
  const first = new Date(spans[0].start), last = end(new Date(spans.at(-1).start));
  const x = (date) => (WIDTH * (date - first)) / (last - first);
  const most = spans.reduce((best, one) => (one.count > best.count ? one : best));
  const [from, to] = ["from", "to"].map((edge) => Date.parse(params.get(edge) ?? ""));
  const bars = spans.map(({ start, count: held }) => {
    const begins = new Date(start), ends = end(begins), left = x(begins), width = Math.max(2, x(ends) - left);
    const height = Math.max(2, (HEIGHT * held) / most.count);
    const outside = begins.valueOf() < from || ends.valueOf() > to;  // never where an edge is not given
    const drawn = draw("g", { class: outside ? "span span-outside" : "span" },
      draw("title", null, `${name(start)}: ${count(held, "item")}`),
      draw("rect", { x: left, y: 0, width, height: HEIGHT, class: "span-hit" }),
      draw("rect", { x: left + width * 0.06, y: HEIGHT - height, width: width * 0.88, height, rx: Math.min(3, width / 4) }));
    drawn.addEventListener("click", () => change((edited) => chooseSpan(edited, begins, ends)));
    return drawn;
  });
  const words = spans.length === 1 ? `All ${SPANS[unit].most} ${name(spans[0].start)}.`
    : `Most ${SPANS[unit].most} ${name(most.start)}: ${count(most.count, "item")}.`;
  return [
    make("figure", { className: "histogram" },
      draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
        "aria-label": `Items by ${unit}. ${words}` }, bars),
      make("figcaption", { className: "quiet figures" }, make("span", null, name(spans[0].start)),
        spans.length > 1 ? make("span", null, name(spans.at(-1).start)) : null)),
    make("p", { className: "quiet" }, words, captured.unknown ? ` ${count(captured.unknown, "item")} without a time.` : "",
      unit === "hour" ? "" : " In UTC."),
    make("details", null, make("summary", null, "As a table"), table(spans, unit, name)),
  ];
}

function table(spans, unit, name) {
  const rows = spans.map((one) =>
    make("tr", null, make("td", null, name(one.start)), make("td", { className: "figures" }, number(one.count))));
  const heads = [unit[0].toUpperCase() + unit.slice(1), "Items"].map((word) => make("th", null, word));
  const attributes = { role: "region", "aria-label": `Items by ${unit}` };
  return make("div", { className: "scroll span-table", tabIndex: 0, attributes },
    make("table", null, make("thead", null, make("tr", null, heads)), make("tbody", null, rows)));
}

// A second click on the same span takes it back.
function chooseSpan(params, begins, ends) {
  const [from, to] = [begins.toISOString(), ends.toISOString()];
  const same = params.get("from") === from && params.get("to") === to;
  params.set("from", same ? "" : from);
  params.set("to", same ? "" : to);
}

function later(date, years, months) {
  const moved = new Date(date);
  moved.setUTCFullYear(date.getUTCFullYear() + years, date.getUTCMonth() + months);
  return moved;
}

