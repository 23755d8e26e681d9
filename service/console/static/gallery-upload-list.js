// Crops that are to be added, with what is known of each and what became of it.

import { make } from "./dom.js";
import { icon } from "./icons.js";
import { count, moment } from "./words.js";

const MOST_ROWS = 300;
const STATES = { waiting: "waits", sending: "being sent …", added: "added", replaced: "replaced", unchanged: "unchanged",
  kept: "left as before", refused: "refused" };

export class UploadList {
  // signal: of the page. remove(upload): takes one that waits off the list.
  constructor(signal, remove) {
    this.remove = remove;
    this.rows = new Map();
    this.refused = make("ul", { className: "uploads" });
    this.others = make("ul", { className: "uploads" });
    this.more = make("p", { className: "quiet" });
    this.bad = make("section", { className: "stack", hidden: true, attributes: { "aria-label": "Refused" } },
      make("h3", null, "Refused"), this.refused);
    this.element = make("div", { className: "stack" }, this.bad, this.others, this.more);
    signal.addEventListener("abort", () => this.#release([...this.rows.keys()]), { once: true });
  }

  show(uploads) {
    const there = new Set(uploads);
    this.#release([...this.rows.keys()].filter((one) => !there.has(one)));
    let shown = 0;
    for (const upload of uploads) {
      if (upload.state !== "refused" && ++shown > MOST_ROWS && !this.rows.has(upload)) continue;
      this.update(upload);
    }
    this.more.textContent = shown > MOST_ROWS ? `and ${count(shown - MOST_ROWS, "more crop")}` : "";
  }

  update(upload) {
    if (!this.rows.has(upload) && this.rows.size >= MOST_ROWS && upload.state !== "refused") return;
    const row = this.rows.get(upload) ?? this.#row(upload);
    const { facts, state, outcome, unread, why } = upload;
    row.id.textContent = facts?.id ?? upload.path;
    row.about.textContent = why ?? unread ?? inWords(facts);
    row.about.classList.toggle("upload-wrong", Boolean(why ?? unread));
    row.state.textContent = STATES[outcome ?? state];
    row.element.dataset.state = outcome ?? state;
    row.out.hidden = state !== "waiting";
    const home = state === "refused" ? this.refused : this.others;
    if (row.element.parentNode !== home) home.append(row.element);
    this.bad.hidden = this.refused.childElementCount === 0;
  }

  #row(upload) {
    const address = URL.createObjectURL(upload.file);
    const picture = make("img", { className: "upload-picture", alt: "", loading: "lazy", decoding: "async", src: address });
    const none = make("span", { className: "upload-picture upload-none" }, icon("different"));
    picture.addEventListener("error", () => picture.replaceWith(none), { once: true });
    const row = {
      address,
      id: make("p", { className: "item-id" }),
      about: make("p", { className: "quiet upload-about" }),
      state: make("span", { className: "upload-state" }),
      out: make("button", { type: "button", className: "icon-button", title: "Take it off the list",
        attributes: { "aria-label": `Take ${upload.path} off the list` }, on: { click: () => this.remove(upload) } }, icon("close")),
    };
    row.element = make("li", { className: "upload" }, picture,
      make("div", { className: "upload-words" }, row.id, row.about), row.state, row.out);
    this.rows.set(upload, row);
    return row;
  }

  #release(uploads) {
    for (const upload of uploads) {
      const { address, element } = this.rows.get(upload);
      URL.revokeObjectURL(address);
      element.remove();
      this.rows.delete(upload);
    }
    this.bad.hidden = this.refused.childElementCount === 0;
  }
}

function inWords({ camera_id: camera, captured_at: at, person, tracklet_id: tracklet }) {
  return [camera, at && moment(at), person && `person ${person}`, tracklet && `tracklet ${tracklet}`].filter(Boolean).join(" · ");
}
