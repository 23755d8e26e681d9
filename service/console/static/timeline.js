// The path through the cameras: a lane for each, visits from left to right in the order of time, a line through them.
//
// Visits stand the further apart the longer the time between them, but by its logarithm: to scale, two visits within a
// minute would lie on each other beside one on another day.

import { draw, make } from "./dom.js";
import { verdictMark } from "./verdict.js";
import { clock, count, day, decimal, shortDay, span } from "./words.js";

const LANE = 104, HEAD = 12, CROP = 44, FIRST = 56;
const gapWidth = (seconds) => Math.min(240, 84 + 22 * Math.log2(1 + seconds / 20));

// open(id) opens a result.
export function timeline({ cameras, visits }, { crops, open }) {
  let x = FIRST;
  const placed = visits.map((visit, at) => {
    if (at) x += gapWidth((visit.from - visits[at - 1].to) / 1000);
    return { visit, x, y: HEAD + LANE * cameras.indexOf(visit.camera) + LANE / 2 };
  });
  const width = x + FIRST, lanesEnd = HEAD + LANE * cameras.length, height = lanesEnd + 52;
  const sheet = make("div", { className: "timeline-sheet" });
  Object.assign(sheet.style, { width: `${width}px`, height: `${height}px` });
  sheet.append(
    draw("svg", { class: "timeline-lines", width: "100%", height, "aria-hidden": "true" },
      cameras.map((_, lane) => draw("line", { x1: 0, x2: "100%", y1: HEAD + LANE * (lane + 0.5), y2: HEAD + LANE * (lane + 0.5), class: "lane" })),
      placed.map(({ x, y }) => draw("line", { x1: x, x2: x, y1: y, y2: lanesEnd, class: "drop" })),
      draw("path", { d: pathThrough(placed), class: "path" })),
    make("ol", { className: "timeline-visits" }, placed.map((one) => visitMark(one, crops, open))),
    ...placed.map((one, index) => timeLabel(one, placed[index - 1], lanesEnd)));
  const names = make("div", { className: "lane-names", attributes: { "aria-hidden": "true" } },
    cameras.map((camera) => make("div", { title: camera }, make("span", null, camera))));
  Object.assign(names.style, { paddingTop: `${HEAD}px`, gridAutoRows: `${LANE}px` });
  return make("div", { className: "timeline" }, names,
    make("div", { className: "scroll", tabIndex: 0,
      attributes: { role: "region", "aria-label": "Sightings by camera in the order of time" } }, sheet));
}

export function visitWords({ camera, from, to, hits }) {
  const lasted = to > from ? `${day(from)} ${clock(from)} to ${clock(to)}` : `${day(from)} ${clock(from)}`;
  return `Camera ${camera}, ${lasted}, ${count(hits.length, "crop")}, best at place ${hits[0].rank}`;
}

function visitMark({ visit, x, y }, crops, open) {
  const [best] = visit.hits;
  const many = visit.hits.length > 1
    ? make("span", { className: "visit-count figures", attributes: { "aria-hidden": "true" } }, `×${visit.hits.length}`) : null;
  return at(make("li", { className: "visit" },
    make("button", { type: "button", className: `bare visit-open visit-${best.verdict ?? "unknown"}`,
      title: `${visitWords(visit)}, similarity ${decimal(best.score)}`,
      attributes: { "aria-label": `${visitWords(visit)}${best.verdict ? `, ${best.verdict}` : ""}: see why` }, on: { click: () => open(best.id) } },
      crops.show(best.crop_url),
      make("span", { className: "visit-verdict", attributes: { "aria-hidden": "true" } }, verdictMark(best.verdict)?.firstChild),
      many)), x - CROP / 2, y - CROP);
}

function timeLabel({ visit, x }, before, top) {
  const newDay = !before || day(before.visit.from) !== day(visit.from);
  const label = make("div", { className: "time-label figures", attributes: { "aria-hidden": "true" } },
    make("span", null, clock(visit.from)),
    make("span", { className: "quiet" }, newDay ? shortDay(visit.from) : `+${span((visit.from - before.visit.to) / 1000)}`));
  return at(label, x, top + 6);
}

// Level on each visit's lane, then over to the next in one curve.
function pathThrough(placed) {
  return placed.map(({ x, y }, index) => {
    if (!index) return `M${x} ${y}`;
    const { x: fromX, y: fromY } = placed[index - 1];
    const half = (fromX + x) / 2;
    return `C${half} ${fromY} ${half} ${y} ${x} ${y}`;
  }).join("");
}

function at(element, left, top) {
  Object.assign(element.style, { left: `${left}px`, top: `${top}px` });
  return element;
}
