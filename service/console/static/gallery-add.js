// Adding crops: files are gathered, looked through with what is known of each, and sent a few at a time.

import { make } from "./dom.js";
import { fileButton, takeDropped } from "./gallery-drop.js";
import { FactsForm } from "./gallery-facts.js";
import { UploadList } from "./gallery-upload-list.js";
import { Uploads } from "./gallery-uploads.js";
import { notice, problemNotice } from "./notices.js";
import { count, listed, number } from "./words.js";

// How what became of crops is told, in this order. "kept": left as it was.
const OUTCOMES = { added: "added", replaced: "replaced", unchanged: "unchanged", kept: "left as before", refused: "refused" };

export class Adding {
  // act: {changed(), view(name)}
  constructor(context, path, act) {
    Object.assign(this, { context, path, act });
    this.uploads = new Uploads(context.api, path, context.signal);
    this.facts = new FactsForm(() => this.#read());
    this.list = new UploadList(context.signal, (upload) => this.#remove(upload));
    const take = (found) => this.take(found);
    this.zone = make("div", { className: "intake" },
      make("p", { className: "intake-call" }, "Drop crops here, or whole folders of them"),
      make("div", { className: "row" },
        fileButton("Choose crops", take, { primary: true }), fileButton("Choose a folder", take, { folder: true })),
      make("p", { className: "quiet" }, "JPEG, PNG, WebP or BMP, one person on each. For very many, ",
        make("code", null, "vantage index"), " on the server is faster."));
    this.warning = make("div");
    this.progress = make("progress", { hidden: true, attributes: { "aria-label": "How many crops have been sent" } });
    this.told = make("p", { className: "add-told" });
    this.problem = make("div");
    this.begin = make("button", { type: "button", className: "primary", on: { click: () => this.#start() } });
    this.halt = make("button", { type: "button", hidden: true, on: { click: () => this.uploads.stop() } }, "Stop");
    this.clear = make("button", { type: "button", className: "quiet-button", on: { click: () => this.#clear() } },
      "Clear the list");
    this.tray = make("div", { className: "add-tray stack", hidden: true }, this.facts.element,
      make("div", { className: "card stack add-run" }, make("div", { className: "row" }, this.begin, this.halt, this.clear),
        this.progress, this.told, this.problem), this.list.element);
    this.element = make("section", { className: "stack add", attributes: { "aria-label": "Add crops" } },
      this.warning, this.zone, this.tray);
    takeDropped("Drop them to add them to this gallery", { take, fail: context.notify, signal: context.signal });
    this.uploads.addEventListener("change", ({ detail }) => (this.list.update(detail), this.#tell()));
    this.uploads.addEventListener("rest", () => this.#rest());
  }

  show(info, summary) {
    this.facts.offerCameras(summary.cameras.largest.map((one) => one.camera_id));
    const warnings = [];
    if (info.no_verdict_because?.includes("of another model"))
      warnings.push(notice("This gallery holds vectors of another model than the one that serves, so pictures cannot be added. "
        + `An operator can run vantage gallery reembed ${info.name}.`, { tone: "warning" }));
    if (!info.settings.store_crops)
      warnings.push(notice("This gallery keeps no pictures: what the model makes of a crop is kept, the crop itself is not."));
    this.warning.replaceChildren(...warnings);
  }

  take(found) {
    this.act.view("add");
    const there = new Set(this.uploads.all.map((one) => one.path));
    for (const { file, path } of found) {
      if (there.has(path)) continue;
      there.add(path);
      this.uploads.all.push({ file, path, state: "waiting" });
    }
    this.#read();
    this.context.announce(`${count(this.uploads.waiting.length, "crop")} to add.`);
    this.begin.focus({ preventScroll: true });
  }

  // What is known of those that wait, from the form and their names.
  #read() {
    for (const upload of this.uploads.all) {
      if (upload.state !== "waiting") continue;
      try {
        Object.assign(upload, { facts: this.facts.of(upload), unread: null });
      } catch (error) {
        Object.assign(upload, { facts: null, unread: error.message });
      }
    }
    this.list.show(this.uploads.all);
    this.#tell();
  }

  #start() {
    for (const upload of this.uploads.waiting.filter((one) => one.unread))
      Object.assign(upload, { state: "refused", why: upload.unread });
    this.list.show(this.uploads.all);
    this.problem.replaceChildren();
    this.uploads.start({ refuse: this.facts.refuse });
    this.#tell();
    this.halt.focus();
  }

  #rest() {
    const { problem } = this.uploads;
    if (problem) this.problem.replaceChildren(problemNotice(problem));
    this.#tell();
    if (this.context.signal.aborted) {
      this.context.notify(`Adding crops has stopped, because its page was left: ${this.told.textContent}`);
      return;
    }
    if ([document.body, this.halt].includes(document.activeElement)) (this.begin.disabled ? this.clear : this.begin).focus();
    this.context.announce(`${this.uploads.waiting.length ? "Stopped" : "Finished"}: ${this.told.textContent}`);
    const counts = this.uploads.counts();
    if (counts.added || counts.replaced) this.act.changed();
  }

  #tell() {
    const { all, running, waiting } = this.uploads;
    const counts = this.uploads.counts();
    const finished = all.length - waiting.length - (counts.sending ?? 0);
    this.tray.hidden = all.length === 0;
    this.halt.hidden = !running;
    this.begin.hidden = running;
    this.begin.disabled = waiting.length === 0;
    const go = finished ? `Go on with the other ${number(waiting.length)}` : `Add ${count(waiting.length, "crop")}`;
    this.begin.textContent = waiting.length ? go : "All are done";
    this.clear.disabled = running;
    this.facts.disabled = running;
    this.progress.hidden = finished === 0 && !running;
    Object.assign(this.progress, { max: all.length || 1, value: finished });
    const done = Object.entries(OUTCOMES).filter(([name]) => counts[name])
      .map(([name, words]) => `${number(counts[name])} ${words}`);
    const left = waiting.length + (counts.sending ?? 0);
    const words = [done.length ? `${listed(done)}.` : "", left && (done.length || running) ? `${number(left)} to go.` : ""];
    const text = words.filter(Boolean).join(" ");
    if (this.told.textContent !== text) this.told.textContent = text;
  }

  #remove(upload) {
    this.uploads.all = this.uploads.all.filter((one) => one !== upload);
    this.#read();
  }

  #clear() {
    this.uploads.all = [];
    this.problem.replaceChildren();
    this.list.show([]);
    this.#tell();
    this.zone.querySelector("input").focus();
  }
}
