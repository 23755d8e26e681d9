// What was found: the wall or the sightings, with what was done to find it, and what was said of results.

import { canCompare } from "./asking.js";
import { inWords } from "./card.js";
import { make } from "./dom.js";
import { Said } from "./feedback.js";
import { icon } from "./icons.js";
import { itemCrop } from "./probe-panel.js";
import { problemNotice } from "./notices.js";
import { showSightings } from "./sightings.js";
import { aboutScores } from "./verdict.js";
import { showWall } from "./wall.js";
import { whyDialog } from "./why-dialog.js";
import { count, number } from "./words.js";

const VIEWS = { wall: "Wall", sightings: "Sightings" };

export class Findings {
  // act: {searchWith(id), again(), change(edit), probeCrop()}
  constructor(context, act) {
    this.context = context;
    this.act = act;
    this.head = make("header", { className: "findings-head" });
    this.done = make("p", { className: "quiet" });
    this.about = make("div", { className: "about-scores" });
    this.views = make("div", { className: "views", attributes: { role: "group", "aria-label": "Shown as" } });
    this.body = make("div", { className: "findings-body" });
    this.out = make("div");
    this.legend = make("p", { className: "legend quiet", attributes: { "aria-hidden": "true" } },  // the buttons are named
      ...[["search", "search with it"], ["same", "same person"], ["different", "not this person"]]
        .map(([name, words]) => make("span", null, icon(name), words)));
    this.head.append(make("div", { className: "findings-title" }, make("h1", null, "Most like this person"), this.views),
      this.done, this.about, this.legend);
    this.element = make("section", { className: "findings", attributes: { "aria-label": "What was found" } }, this.head, this.body, this.out);
    this.head.hidden = true;
  }

  waits() {
    this.element.setAttribute("aria-busy", "true");
    if (!this.found) this.body.replaceChildren(make("p", { className: "quiet waiting" }, "Searching …"));
  }

  fail(shown) {
    this.element.removeAttribute("aria-busy");
    this.found = null;
    this.head.hidden = true;
    this.out.replaceChildren();
    this.body.replaceChildren(shown);
  }

  // Shown at once; `compare` then adds the changes of places.
  show(answer, options, params) {
    Object.assign(this, { options, params, found: { answer, places: canCompare(options, answer) ? "coming" : null } });
    this.said = new Said(this.context.api, this.context.gallery, answer.query);
    this.element.removeAttribute("aria-busy");
    this.head.hidden = false;
    this.done.replaceChildren(whatWasDone(answer, options));
    this.about.replaceChildren(...aboutScores(answer));
    this.#showBody();
    this.#tellLeftOut(answer.hidden);
    const [best] = answer.results;
    this.context.announce(best ? `${count(answer.returned, "result")}. ${inWords(best)}.` : "Nothing was found.");
  }

  compare(places) {
    if (this.found.places === places) return;
    this.found.places = places;
    if (this.#view === "wall") this.#showBody();
  }

  get #view() {
    return this.params.get("view") === "sightings" ? "sightings" : "wall";
  }

  #showBody() {
    const view = this.#view;
    this.views.replaceChildren(...Object.entries(VIEWS).map(([name, label]) =>
      make("button", { type: "button", attributes: { "aria-pressed": String(name === view) },
        on: { click: () => this.act.change((params) => params.set("view", name === "wall" ? "" : name)) } }, label)));
    const { answer } = this.found;
    this.legend.hidden = view !== "wall" || !answer.results.length;
    const focus = rememberFocus(this.element);
    if (!answer.results.length) this.body.replaceChildren(nothing(answer));
    else if (view === "wall") showWall(this.body, this.found, { crops: this.context.crops, act: this.#acts(), group: this.options.group });
    else showSightings(this.body, answer, { crops: this.context.crops, open: this.#open(), asked: this.params.get("unsure"),
      choose: (unsure) => this.act.change((params) => params.set("unsure", unsure ? "1" : "0")) });
    focus();
  }

  #acts() {
    return { open: this.#open(), searchWith: this.act.searchWith, mark: (...of) => this.#mark(...of), unmark: (id) => this.#unmark(id) };
  }

  #open() {
    return whyDialog({ found: this.found, context: this.context, probeCrop: this.act.probeCrop, announce: this.context.announce,
      act: { searchWith: this.act.searchWith, mark: (...of) => this.#mark(...of), unmark: (id) => this.#unmark(id) } });
  }

  async #mark(id, verdict) {
    const words = verdict === "same" ? "It is the same person: searched with it as well."
      : "Not this person: left out from now on, with the rest of its tracklet.";
    await this.#tell(() => this.said.say(id, verdict), words, () => this.#unmark(id));
  }

  async #unmark(id) {
    await this.#tell(() => this.said.takeBack(id), "Taken back.");
  }

  async #tell(send, words, undo = null) {
    try {
      await send();
    } catch (error) {
      this.out.replaceChildren(problemNotice(error));
      return;
    }
    await this.act.again();
    this.context.notify(words, undo && { label: "Undo", run: undo });
  }

  // What was marked as somebody else is not in the answer, but can be taken back.
  #tellLeftOut(hidden) {
    if (!hidden) return this.out.replaceChildren();
    const list = make("ul", { className: "left-out" });
    const words = `${count(hidden, "crop is", "crops are")} left out: they, or others of their tracklets, were said not to be this person`;
    const fold = make("details", { className: "quiet" }, make("summary", null, words), list);
    fold.addEventListener("toggle", async () => {
      if (!fold.open || list.childElementCount) return;
      const ids = await this.said.leftOut(this.context.signal).catch(() => []);
      if (!ids.length) fold.append(make("p", null, "It was said of another crop of this person: search with that one to take it back."));
      list.replaceChildren(...ids.map((id) => this.#leftOut(id)));
    });
    this.out.replaceChildren(fold);
  }

  #leftOut(id) {
    const { keepsCrops, crops, gallery } = this.context;
    return make("li", null, keepsCrops ? crops.show(itemCrop(gallery, id), id) : make("code", null, id),
      make("button", { type: "button", attributes: { "aria-label": `Take back that ${id} is not this person` },
        on: { click: () => this.#unmark(id) } }, "Take back"));
  }
}

function whatWasDone(answer, options) {
  const { rerank } = answer;
  const among = answer.filtered_candidates === null ? "" : ` of the ${count(answer.filtered_candidates, "crop")} that the filter allows`;
  const ordered = rerank.applied ? "re-ranked with their neighbours"
    : options.reranked ? `not re-ranked${rerank.reason_skipped ? `: ${rerank.reason_skipped}` : ""}` : "ordered by similarity alone";
  const stale = rerank.stale_neighbours ? `, ${count(rerank.stale_neighbours, "neighbour list")} not yet made anew` : "";
  return `${count(answer.returned, "result")}${among}, ${ordered}${stale}, in ${number(Math.round(answer.timings_ms.total))} ms.`;
}

function nothing(answer) {
  const why = answer.filtered_candidates === null ? "There is nothing in this gallery to compare with."
    : "No crop in the gallery meets the filter. Allow more cameras, a longer time or other viewpoints.";
  return make("p", { className: "notice" }, why);
}

// When the list is drawn anew, focus goes to the same place of the same result, or else of the one now there.
function rememberFocus(root) {
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  const hit = focused?.closest(".hit");
  const label = focused?.getAttribute("aria-label") ?? focused?.textContent;
  const places = hit ? [...root.querySelectorAll(".hit")].indexOf(hit) : -1;
  const which = hit ? [...hit.querySelectorAll("button")].indexOf(focused) : -1;
  return () => {
    if (!focused || focused.isConnected) return;
    const now = [...root.querySelectorAll(".hit")];
    const again = hit ? (now.find((one) => one.dataset.id === hit.dataset.id) ?? now[places]) : null;
    const target = again?.querySelectorAll("button")[which] ?? [...root.querySelectorAll("button, summary")].find((one) => one.textContent === label);
    target?.focus({ preventScroll: true });
  };
}
