// The page that searches: what is looked for, how, and what was found, kept in step with the address.

import { writeAddress } from "./address.js";
import { ask, plainPlaces, readOptions } from "./asking.js";
import { cutOut } from "./cutter.js";
import { Findings } from "./findings.js";
import { make } from "./dom.js";
import { takeDroppedAndPasted } from "./intake.js";
import { landing } from "./landing.js";
import { notice, problemNotice } from "./notices.js";
import { optionsPanel } from "./options-panel.js";
import { isWide, sizeOf } from "./picture.js";
import { keepPictures, probeOf, sameProbe } from "./probe.js";
import { probePanel, tellProbe } from "./probe-panel.js";
import { isAbort, Problem } from "./problem.js";
import { sampleOf } from "./samples.js";

const FORGOTTEN = "A picture that is searched for stays out of the address, and this page was loaded anew since: choose it again.";

export function show(root, context) {
  const page = new SearchPage(root, context);
  page.update(context);
  return (now) => page.update(now);
}

class SearchPage {
  constructor(root, context) {
    this.root = root;
    this.info = context.galleries.find((one) => one.name === context.gallery) ?? null;
    this.context = { ...context, keepsCrops: this.info?.settings.store_crops ?? true };
    this.probe = { kind: "none" };
    this.asking = new AbortController();
    context.signal.addEventListener("abort", () => (this.asking.abort(), this.panel?.release()), { once: true });
    if (context.gallery !== null) takeDroppedAndPasted((files) => this.take(files), context.signal);
  }

  update({ params, state }) {
    const probe = probeOf({ params, state });
    const before = this.probe;
    Object.assign(this, { params, state, probe });
    this.asking.abort();
    if (probe.kind === "none" || probe.kind === "forgotten" || this.context.gallery === null) this.#showLanding(probe);
    else {
      if (!this.findings || !sameProbe(probe, before)) this.#showProbe();
      this.search();
    }
  }

  // Searches as the address says.
  async search() {
    const asking = (this.asking = new AbortController());
    const options = readOptions(this.params, this.info);
    this.options.show(options);
    this.findings.waits();
    try {
      const probe = await this.#withPictures(asking.signal);
      const asked = [this.context.api, this.context.gallery, probe, options];
      const answer = await ask(...asked, asking.signal);
      asking.signal.throwIfAborted();
      tellProbe(this.panel.element, answer.query);
      this.findings.show(answer, options, this.params);
      this.#compare(asked, answer, asking.signal);
    } catch (error) {
      if (isAbort(error) || asking.signal.aborted) return;
      if (!(error instanceof Problem)) {
        this.findings.fail(notice(`The answer cannot be shown: ${error.message}.`, { tone: "error" }));
        throw error;
      }
      const wrong = error.status >= 400 && error.status < 500 && error.status !== 429;  // again would be the same again
      this.findings.fail(problemNotice(error, wrong ? null : () => this.search()));
    }
  }

  // Nobody waits for it; where it fails, only the changes of places are missing.
  async #compare(asked, answer, signal) {
    const places = await plainPlaces(...asked, answer, signal).catch(() => null);
    if (!signal.aborted) this.findings.compare(places);
  }

  // Files that somebody gave: one crop, several of the same person, or a photo to cut one out of.
  async take(files, earlier = []) {
    if (!files.length) return;
    const pictures = files.map((file) => ({ blob: file, name: file.name || "pasted.png", whole: null }));
    if (pictures.length === 1 && isWide(await sizeOf(files[0]))) {
      const cut = await cutOut(pictures[0], this.context);
      if (!cut) return;
      pictures[0] = cut;
    }
    this.#searchFor([...earlier, ...pictures]);
  }

  #searchFor(pictures) {
    const params = this.#kept();
    this.#go(params, keepPictures(pictures));
  }

  #go(params, state = this.state) {
    this.context.navigate(writeAddress("search", params), { state });
  }

  // The address without what is searched for.
  #kept() {
    const params = new URLSearchParams(this.params);
    for (const name of ["item", "sample"]) params.delete(name);
    params.set("gallery", this.context.gallery);
    return params;
  }

  #change(edit) {
    const params = new URLSearchParams(this.params);
    edit(params);
    this.#go(params);
  }

  #searchWith(name, value) {
    const params = this.#kept();
    params.set(name, value);
    params.delete("view");
    this.#go(params, null);
    scrollTo({ top: 0 });
  }

  async #withPictures(signal) {
    if (this.probe.kind !== "sample") return this.probe;
    const { api } = this.context, { name } = this.probe;
    if (!this.sample) this.panel.fill((this.sample = await sampleOf(api, name, signal)));
    return { kind: "pictures", pictures: [{ blob: this.sample, name, whole: null }] };
  }

  #showLanding(probe) {
    this.panel?.release();
    this.panel = this.findings = null;
    const { gallery } = this.context;
    const forgotten = probe.kind === "forgotten" ? notice(FORGOTTEN, { tone: "warning", heading: "The picture is not here any more" }) : null;
    this.root.replaceChildren(gallery === null ? noGallery() : landing({
      info: this.info, gallery, context: this.context, take: (files) => this.take(files),
      search: (params) => this.#searchWith("sample", params.get("sample")), message: forgotten,
    }));
  }

  #showProbe() {
    this.panel?.release();
    this.sample = undefined;
    this.panel = probePanel(this.probe, this.context, this.#probeActs());
    this.options = optionsPanel({ change: (edit) => this.#change(edit), summary: this.#summary(), ofItem: this.probe.kind === "item" });
    this.findings = new Findings(this.context, {
      searchWith: (id) => this.#searchWith("item", id),
      again: () => this.search(),
      change: (edit) => this.#change(edit),
      probeCrop: () => this.panel.element.querySelector(".crop").cloneNode(),
    });
    const focused = this.root.contains(document.activeElement);
    const side = make("div", { className: "search-side stack" }, this.panel.element, foldWhereNarrow(this.options.element, this.context.signal));
    this.root.replaceChildren(make("div", { className: "search" }, side, this.findings.element));
    if (focused) this.root.focus({ preventScroll: true });  // what had it is gone
  }

  #probeActs() {
    const { pictures } = this.probe;
    const replaced = (at, ...others) => pictures.toSpliced(at, 1, ...others);
    return {
      fresh: () => this.#go(new URLSearchParams({ gallery: this.context.gallery }), null),
      add: async (files) => this.take(files, pictures ?? (await this.#withPictures(this.context.signal)).pictures),
      remove: (at) => this.#searchFor(replaced(at)),
      uncut: (at) => this.#searchFor(replaced(at, { ...pictures[at].whole, whole: null })),
      cut: async (at) => {
        const cut = await cutOut(pictures[at].whole ?? pictures[at], this.context);
        if (cut) this.#searchFor(replaced(at, cut));
      },
    };
  }

  // Of the whole gallery: null where the service does not tell.
  #summary() {
    const { api, gallery, signal } = this.context;
    this.summary ??= api.get(`v1/galleries/${encodeURIComponent(gallery)}/summary`, { signal }).catch(() => null);
    return this.summary;
  }
}

// Beside the results it stands open, above them it can be opened.
function foldWhereNarrow(options, signal) {
  const beside = matchMedia("(min-width: 60.01rem)");
  const fold = make("details", { className: "options-fold", open: beside.matches }, make("summary", null, "How to search"), options);
  beside.addEventListener("change", () => (fold.open = beside.matches), { signal });
  return fold;
}

function noGallery() {
  return make("section", { className: "centred" },
    make("h1", null, "There is no gallery yet"),
    make("p", { className: "lead" }, "A gallery holds the crops that were seen. Make one, add crops to it, and search."),
    make("p", null, make("a", { href: "#/gallery" }, "To the gallery page"), ". From the command line ",
      make("code", null, "vantage index"), " makes one of a folder."));
}
