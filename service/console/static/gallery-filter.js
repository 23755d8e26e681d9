// Which items of a gallery are meant: kept in the address, chosen in a form, said in words, sent to the service.

import { freshId, make } from "./dom.js";
import { VIEWPOINTS } from "./viewpoint.js";
import { fullMoment, listed, natural, timeZone } from "./words.js";

const NAMES = ["camera", "viewpoint", "person", "tracklet"];  // those that may stand several times
const MOST_CHIPS = 16;

export function readFilter(params) {
  const several = Object.fromEntries(NAMES.map((name) => [name, params.getAll(name).filter(Boolean)]));
  return { ...several, from: params.get("from") || null, to: params.get("to") || null };
}

export function isEmpty(filter) {
  return !filter.from && !filter.to && NAMES.every((name) => !filter[name].length);
}

export function isChosen(params, name, value) {
  return params.getAll(name).includes(value);
}

// Adds a value to the address, or takes it away.
export function toggle(params, name, value) {
  if (isChosen(params, name, value)) setAll(params, name, params.getAll(name).filter((one) => one !== value));
  else params.append(name, value);
}

export function clearFilter(params) {
  for (const name of [...NAMES, "from", "to"]) params.delete(name);
}

// For an address of the service.
export function asParameters(filter) {
  const params = new URLSearchParams(NAMES.flatMap((name) => filter[name].map((value) => [name, value])));
  for (const edge of ["from", "to"]) if (filter[edge]) params.append(edge, filter[edge]);
  return params;
}

// For a body.
export function asBody(filter) {
  const body = {};
  if (filter.camera.length) body.camera_ids = filter.camera;
  if (filter.viewpoint.length) body.viewpoints = filter.viewpoint;
  if (filter.person.length) body.persons = filter.person;
  if (filter.tracklet.length) body.tracklet_ids = filter.tracklet;
  if (filter.from) body.time_from = filter.from;
  if (filter.to) body.time_to = filter.to;
  return body;
}

// "of camera c1 or c2, seen from the front"
export function inWords(filter) {
  const words = [];
  const either = (values) => listed(values).replace(/ and (?=[^ ]*$)/, " or ");
  if (filter.camera.length) words.push(`of camera ${either(filter.camera)}`);
  if (filter.person.length) words.push(`of person ${either(filter.person)}`);
  if (filter.tracklet.length) words.push(`of tracklet ${either(filter.tracklet)}`);
  if (filter.viewpoint.length) words.push(`seen from the ${either(filter.viewpoint)}`);
  if (filter.from) words.push(`captured from ${fullMoment(filter.from)} on`);
  if (filter.to) words.push(`captured before ${fullMoment(filter.to)}`);
  return words.join(", ");
}

// change(edit) edits the address. cameras: names that are known.
export function filterForm({ change, cameras }) {
  const chosen = cameras.length <= MOST_CHIPS
    ? chips("Camera", "camera", cameras.toSorted(natural), change) : texts("Camera", "camera", "c1, c2", change);
  const viewpoints = chips("Seen from", "viewpoint", VIEWPOINTS, change);
  const persons = texts("Person", "person", "0001, 0002", change);
  const tracklets = texts("Tracklet", "tracklet", "", change);
  const times = [["from", "Captured from"], ["to", "Captured before"]].map(([name, label]) => timeField(name, label, change));
  const fields = [chosen, viewpoints, ...times, persons, tracklets];
  const element = make("form", { className: "filters", attributes: { "aria-label": "Which items are shown" },
    on: { submit: (event) => event.preventDefault() } }, fields.filter((one) => one.offers).map((one) => one.element));
  return { element, show: (filter) => fields.forEach((one) => one.show(filter)) };
}

function chips(legend, name, values, change) {
  const inputs = values.map((value) => make("input", { type: "checkbox", value,
    on: { change: () => change((params) => setAll(params, name, inputs.filter((one) => one.checked).map((one) => one.value))) } }));
  return {
    offers: values.length > 0,
    element: make("fieldset", { className: "field" }, make("legend", null, legend), make("div", { className: "chips" },
      inputs.map((input) => make("label", { className: "chip" }, input, make("span", null, input.value))))),
    show: (filter) => inputs.forEach((one) => (one.checked = filter[name].includes(one.value))),
  };
}

function texts(label, name, placeholder, change) {
  const input = make("input", { type: "text", id: freshId("filter"), placeholder, spellcheck: false, autocomplete: "off",
    title: "Several are separated by commas" });
  input.addEventListener("change", () => change((params) =>
    setAll(params, name, input.value.split(",").map((one) => one.trim()).filter(Boolean))));
  return { offers: true, element: make("div", { className: "field" }, make("label", { htmlFor: input.id }, label), input),
    show: (filter) => (input.value = filter[name].join(", ")) };
}

function timeField(name, label, change) {
  const input = make("input", { type: "datetime-local", step: 1, id: freshId("filter"), title: `In ${timeZone} time` });
  input.addEventListener("change", () => change((params) => params.set(name, input.value ? new Date(input.value).toISOString() : "")));
  return { offers: true, element: make("div", { className: "field" }, make("label", { htmlFor: input.id }, label), input),
    show: (filter) => (input.value = atReader(filter[name])) };
}

// For an input of the kind datetime-local: where the reader is, to the second.
function atReader(iso) {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.valueOf())) return "";
  return new Date(date - 60000 * date.getTimezoneOffset()).toISOString().slice(0, 19);
}

function setAll(params, name, values) {
  params.delete(name);
  for (const value of values) params.append(name, value);
}
