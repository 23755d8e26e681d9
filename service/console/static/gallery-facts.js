// What is known of crops that are to be added: given for all of them, or read from the name of each.

import { freshId, make } from "./dom.js";
import { READINGS, readingOf } from "./gallery-names.js";
import { timeZone } from "./words.js";

const TIMES = { none: "Not known", given: "At this time", file: "When its file was last changed" };

export class FactsForm {
  constructor(changed) {
    const input = (type, properties) =>
      make("input", { type, id: freshId("fact"), autocomplete: "off", spellcheck: false, ...properties });
    const choice = (choices) => make("select", { id: freshId("fact") },
      Object.entries(choices).map(([value, label]) => make("option", { value }, label)));
    this.cameras = make("datalist", { id: freshId("cameras") });
    this.camera = input("text", { attributes: { list: this.cameras.id } });
    this.time = choice(TIMES);
    this.at = input("datetime-local", { step: 1 });
    this.person = input("text");
    this.tracklet = input("text");
    this.reading = choice(READINGS);
    this.pattern = input("text", { placeholder: "(?<person>\\d+)_(?<camera>c\\d+)", className: "pattern" });
    this.prefix = input("text", { placeholder: "entrance/" });
    this.keep = make("input", { type: "checkbox" });
    const field = (label, control, hint = null) => {
      const hinted = hint ? make("p", { id: freshId("hint"), className: "quiet" }, hint) : null;
      if (hinted) control.setAttribute("aria-describedby", hinted.id);
      return make("div", { className: "field" }, make("label", { htmlFor: control.id }, label), control, hinted);
    };
    this.atField = field("Time", this.at, `In ${timeZone} time.`);
    this.patternField = field("Pattern", this.pattern, "A regular expression that is searched in the file's path. "
      + "Its groups are named id, camera, person, tracklet, time or frame.");
    this.fields = make("fieldset", { className: "facts-fields" },
      make("legend", { className: "unseen" }, "What is known of these crops"),
      field("Camera", this.camera), field("Captured", this.time), this.atField,
      field("Person", this.person, "Where it is known who this is."),
      field("Tracklet", this.tracklet, "Where all are of one uninterrupted track."),
      field("The file's name says", this.reading, "What a name says goes before what stands here."),
      this.patternField, field("Before each id", this.prefix),
      make("label", { className: "facts-check" }, this.keep, "Leave an item as it is where its id is there already"));
    this.element = make("section", { className: "card stack", attributes: { "aria-label": "What is known of these crops" } },
      make("h2", null, "What is known of them"), this.fields, this.cameras);
    this.fields.addEventListener("input", () => {
      this.#showFields();
      changed();
    });
    this.#showFields();
  }

  #showFields() {
    this.atField.hidden = this.time.value !== "given";
    this.patternField.hidden = this.reading.value !== "pattern";
  }

  set disabled(value) {
    this.fields.disabled = value;
  }

  get refuse() {
    return this.keep.checked;
  }

  offerCameras(names) {
    this.cameras.replaceChildren(...names.map((value) => make("option", { value })));
  }

  // {id, ...facts}, as the service takes them. An error says in a sentence what cannot be read.
  of({ file, path }) {
    const given = { camera_id: this.camera.value.trim(), person: this.person.value.trim(),
      tracklet_id: this.tracklet.value.trim(), captured_at: this.#capturedAt(file) };
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
    const { id, ...read } = readingOf(this.reading.value, this.pattern.value)(path);
    return { ...known, ...read, id: this.prefix.value + id };
  }

  #capturedAt(file) {
    if (this.time.value === "file") return new Date(file.lastModified).toISOString();
    return this.time.value === "given" && this.at.value ? new Date(this.at.value).toISOString() : null;
  }
}
