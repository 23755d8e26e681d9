// Crops on their way into a gallery: a few at a time, each told apart, stopped and taken up again.
//
// Events: `change` (detail: one upload) and `rest` (nothing is under way). An upload: {file, path, facts, state, why}, its
// state waiting, sending, done (then `outcome` says how) or refused (then `why` is a sentence).

import { isAbort } from "./problem.js";

const LANES = 4;
// Of these the next crop would fare no better: nobody is there, may do this, or has room for it.
const CONCERNS_ALL = ["unreachable", "unauthenticated", "forbidden", "no-such-gallery", "model-mismatch", "not-ready",
  "shutting-down", "storage-full", "audit-unavailable", "keys-unavailable", "index-corrupt"];

export class Uploads extends EventTarget {
  // path: of the gallery. signal: of the page.
  constructor(api, path, signal) {
    super();
    Object.assign(this, { api, path, all: [], lanes: 0, notBefore: 0 });
    this.stopping = new AbortController();
    signal.addEventListener("abort", () => this.stop(), { once: true });
  }

  get waiting() {
    return this.all.filter((one) => one.state === "waiting");
  }

  get running() {
    return this.lanes > 0;
  }

  counts() {
    const counts = {};
    for (const { state, outcome } of this.all) counts[outcome ?? state] = (counts[outcome ?? state] ?? 0) + 1;
    return counts;
  }

  // refuse: an id that is there already is left as it is.
  start({ refuse }) {
    if (this.running) return;
    Object.assign(this, { refuse, problem: null });
    this.stopping = new AbortController();
    for (let lane = 0; lane < LANES; lane++) this.#lane(this.stopping.signal);
  }

  // What is under way is broken off and waits again; putting a crop a second time changes nothing.
  stop() {
    this.stopping.abort();
  }

  async #lane(signal) {
    this.lanes++;
    for (let next; !signal.aborted && (next = this.all.find((one) => one.state === "waiting")); ) await this.#send(next, signal);
    if (--this.lanes === 0) this.dispatchEvent(new Event("rest"));
  }

  async #send(upload, signal) {
    this.#becomes(upload, { state: "sending" });
    try {
      await this.#turn(signal);
      const form = new FormData();
      form.append("image", upload.file, upload.file.name);
      const { id, ...facts } = upload.facts;
      form.append("item", JSON.stringify(facts));
      const headers = this.refuse ? { "If-None-Match": "*" } : {};
      const { outcome } = await this.api.send("PUT", `${this.path}/items/${encodeURIComponent(id)}`, { body: form, headers, signal });
      this.#becomes(upload, { state: "done", outcome });
    } catch (error) {
      if (isAbort(error) || signal.aborted) this.#becomes(upload, { state: "waiting" });
      else if (error.status === 429) {  // asked again several times by then
        this.notBefore = Date.now() + 1000 * (error.retryAfter ?? 5);
        this.#becomes(upload, { state: "waiting" });
      } else if (CONCERNS_ALL.includes(error.type)) {
        this.problem = error;
        this.stop();
        this.#becomes(upload, { state: "waiting" });
      } else if (error.type === "item-exists") this.#becomes(upload, { state: "done", outcome: "kept" });
      else this.#becomes(upload, { state: "refused", why: error.sentence ?? error.message });
    }
  }

  async #turn(signal) {
    while (Date.now() < this.notBefore) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(500, this.notBefore - Date.now())));
      signal.throwIfAborted();
    }
  }

  #becomes(upload, change) {
    Object.assign(upload, change);
    this.dispatchEvent(new CustomEvent("change", { detail: upload }));
  }
}
