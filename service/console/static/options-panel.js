// How to search: re-ranking, filters, groups, how many. Every change goes into the address and searches anew.

import { APART_SECONDS } from "./asking.js";
import { freshId, make } from "./dom.js";
import { VIEWPOINTS } from "./viewpoint.js";
import { natural, number, timeZone } from "./words.js";

const MOST_CHIPS = 24;
const COUNTS = [12, 24, 48, 96, 200];
const GROUPS = [["none", "No groups"], ["person", "By person"], ["tracklet", "By tracklet"]];

// change(edit): edit is given the parameters of the address to change. summary: a promise of the gallery's, or of null.
// ofItem: whether an item is looked for, which knows its own camera and time.
export function optionsPanel({ change, summary, ofItem }) {
  const rerank = make("input", { type: "checkbox", role: "switch", attributes: { "aria-describedby": "rerank-hint" } });
  const cameraField = make("fieldset", { className: "field" }, make("legend", null, "Camera"));
  const from = timeInput("from"), to = timeInput("to");
  const viewpoints = VIEWPOINTS.map((name) => chip(name, name));
  const seenFrom = make("fieldset", { className: "field" }, make("legend", null, "Seen from"),
    make("div", { className: "chips" }, viewpoints.map((one) => one.element)));
  const apart = make("input", { type: "checkbox" });
  const group = select(GROUPS), k = select(COUNTS.map((value) => [String(value), number(value)]));
  const clear = make("button", { type: "button", className: "link-button", hidden: true }, "Clear filters");
  const form = make("form", { className: "card options stack", attributes: { "aria-label": "How to search" },
    on: { submit: (event) => event.preventDefault() } },
    make("div", null,
      make("label", { className: "switch" }, rerank, make("span", null, make("strong", null, "Re-rank"))),
      make("p", { id: "rerank-hint", className: "quiet" }, "Also weighs whom the crop and each result have as neighbours.")),
    cameraField,
    make("fieldset", { className: "field" }, make("legend", null, "Time"),
      field("From", from), field("Before", to), make("p", { className: "quiet" }, `In ${timeZone} time.`)),
    seenFrom,
    ofItem ? make("label", { className: "check" }, apart, `Not what its own camera saw within ${APART_SECONDS} s of it`) : null,
    make("div", { className: "field-pair" }, field("Group", group), field("Results", k)),
    clear);
  let cameraChoice = null;
  rerank.addEventListener("change", () => change((params) => params.set("rerank", rerank.checked ? "on" : "off")));
  for (const [name, input] of [["from", from], ["to", to]])
    input.addEventListener("change", () => change((params) => params.set(name, input.value ? new Date(input.value).toISOString() : "")));
  const chosen = (all) => all.filter((one) => one.input.checked).map((one) => one.value);
  const setAll = (name, values) => change((params) => (params.delete(name), values.forEach((value) => params.append(name, value))));
  for (const one of viewpoints) one.input.addEventListener("change", () => setAll("viewpoint", chosen(viewpoints)));
  apart.addEventListener("change", () => change((params) => params.set("apart", apart.checked ? "1" : "")));
  group.addEventListener("change", () => change((params) => params.set("group", group.value === "none" ? "" : group.value)));
  k.addEventListener("change", () => change((params) => params.set("k", k.value === "24" ? "" : k.value)));
  clear.addEventListener("click", () => {
    change((params) => ["camera", "from", "to", "viewpoint"].forEach((name) => params.delete(name)));
    rerank.focus();  // the button goes
  });

  function offerCameras(known, options) {
    if (known && known.largest.length === 0) cameraChoice = noCamera();
    else if (known && known.others === 0 && known.largest.length <= MOST_CHIPS) cameraChoice = cameraChips(known.largest);
    else cameraChoice = cameraText(known?.largest ?? []);
    cameraField.append(cameraChoice.element);
    cameraChoice.show(options.cameras);
  }
  function cameraChips(known) {
    const all = known.toSorted((one, other) => natural(one.camera_id, other.camera_id)).map(({ camera_id: id, count }) => chip(id, id, count));
    for (const one of all) one.input.addEventListener("change", () => setAll("camera", chosen(all)));
    const show = (ids) => all.forEach((one) => (one.input.checked = ids.includes(one.value)));
    return { element: make("div", { className: "chips" }, all.map((one) => one.element)), show };
  }
  function cameraText(known) {
    const hint = known.length ? known.slice(0, 2).map((one) => one.camera_id).join(", ") : "c1, c2";
    const input = make("input", { type: "text", placeholder: hint, spellcheck: false, attributes: { "aria-label": "Cameras, separated by commas" } });
    input.addEventListener("change", () => setAll("camera", input.value.split(",").map((one) => one.trim()).filter(Boolean)));
    return { element: input, show: (ids) => (input.value = ids.join(", ")) };
  }

  let shown = null;
  const show = (options) => {
    shown = options;
    rerank.checked = options.reranked;
    cameraChoice?.show(options.cameras);
    from.value = local(options.from);
    to.value = local(options.to);
    for (const one of viewpoints) one.input.checked = options.viewpoints.includes(one.value);
    apart.checked = options.apart;
    group.value = options.group;
    if (![...k.options].some((one) => one.value === String(options.k))) k.append(make("option", { value: options.k }, number(options.k)));
    k.value = String(options.k);
    clear.hidden = !(options.cameras.length || options.from || options.to || options.viewpoints.length);
  };
  summary.then((known) => {
    offerCameras(known?.cameras ?? null, shown);
    seenFrom.hidden = known !== null && VIEWPOINTS.every((name) => known.viewpoints[name] === 0);
  });
  return { element: form, show };
}

function noCamera() {
  return { element: make("p", { className: "quiet" }, "No item says which camera saw it."), show() {} };
}

function chip(label, value, count) {
  const input = make("input", { type: "checkbox", value });
  const name = make("span", null, label, count === undefined ? null : make("small", null, ` ${number(count)}`));
  return { input, value, element: make("label", { className: "chip" }, input, name) };
}

function field(label, input) {
  input.id ||= freshId("field");
  return make("div", { className: "field field-line" }, make("label", { htmlFor: input.id }, label), input);
}

function select(choices) {
  return make("select", null, choices.map(([value, label]) => make("option", { value }, label)));
}

function timeInput() {
  return make("input", { type: "datetime-local", step: 1 });
}

// For an input of the kind datetime-local: where the reader is, to the second.
function local(iso) {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.valueOf())) return "";
  return new Date(date - 60000 * date.getTimezoneOffset()).toISOString().slice(0, 19);
}
