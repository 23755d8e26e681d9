// The page of one gallery: what it holds and its items, crops on their way in, and how it is kept.

import { writeAddress } from "./address.js";
import { make } from "./dom.js";
import { Adding } from "./gallery-add.js";
import { Browsing } from "./gallery-browse.js";
import { makeGallery, noGallery } from "./gallery-make.js";
import { Keeping } from "./gallery-keeping.js";
import { inSentence, overview } from "./gallery-overview.js";
import { isAbort } from "./problem.js";

const VIEWS = { items: "Contents", add: "Add crops", keeping: "Health" };

export async function show(root, context) {
  if (context.gallery === null) {
    root.append(noGallery(context));
    return undefined;
  }
  root.append(make("p", { className: "centred quiet" }, "Asking the service …"));
  const known = await askFor(context);
  root.replaceChildren();
  const page = new GalleryPage(root, context, known);
  page.update(context);
  return (now) => page.update(now);
}

// What is known of the gallery.
async function askFor({ api, gallery, galleries, signal }) {
  const path = pathOf(gallery);
  const [info, summary] = await Promise.all([api.get(path, { signal }), api.get(`${path}/summary`, { signal })]);
  Object.assign(galleries.find((one) => one.name === info.name) ?? {}, info);  // other pages count by it
  return { info, summary };
}

const pathOf = (gallery) => `v1/galleries/${encodeURIComponent(gallery)}`;

class GalleryPage {
  constructor(root, context, known) {
    this.context = context;
    Object.assign(this, known);
    const path = pathOf(context.gallery);
    const act = { changed: () => this.refreshed(), change: (edit) => this.change(edit), view: (name) => this.view(name) };
    this.lead = make("p", { className: "lead" });
    this.overview = make("div", { className: "overview" });
    const made = (Part) => new Part(context, path, act);
    this.parts = { items: made(Browsing), add: made(Adding), keeping: made(Keeping) };
    this.panels = Object.fromEntries(Object.entries(this.parts).map(([name, part]) =>
      [name, make("div", { className: "gallery-panel", hidden: true }, name === "items" ? this.overview : null, part.element)]));
    this.views = Object.entries(VIEWS).map(([name, label]) =>
      make("button", { type: "button", dataset: { view: name }, on: { click: () => this.view(name) } }, label));
    root.append(
      make("header", { className: "gallery-head" },
        make("div", { className: "findings-title" }, make("h1", null, context.gallery),
          make("button", { type: "button", on: { click: () => makeGallery(context) } }, "New gallery …")),
        this.lead,
        make("div", { className: "views", attributes: { role: "group", "aria-label": "Shown of the gallery" } }, this.views)),
      ...Object.values(this.panels));
  }

  // Shows what the address says.
  update({ params }) {
    this.params = params;
    const shown = params.get("view") in VIEWS ? params.get("view") : "items";
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = name !== shown;
    for (const button of this.views) button.setAttribute("aria-pressed", String(button.dataset.view === shown));
    this.lead.textContent = inSentence(this.summary);
    this.#showOverview();
    if (shown === "items") this.parts.items.show(params, this.summary);
    if (shown === "add") this.parts.add.show(this.info, this.summary);
    if (shown === "keeping") this.parts.keeping.show();
  }

  // Made anew, with the focus where it was, and open what was open.
  #showOverview() {
    const { bar } = this.overview.contains(document.activeElement) ? document.activeElement.dataset : {};
    const open = [...this.overview.querySelectorAll("details")].map((one) => one.open);
    this.overview.replaceChildren(...overview(this.summary, this.params, (edit) => this.change(edit)));
    this.overview.querySelectorAll("details").forEach((one, at) => (one.open = open[at] ?? false));
    if (bar) this.overview.querySelector(`[data-bar="${CSS.escape(bar)}"]`)?.focus();
  }

  // After items came or went.
  async refreshed() {
    try {
      Object.assign(this, await askFor(this.context));
      this.parts.items.stale = true;
      this.update({ params: this.params });
    } catch (error) {
      if (!isAbort(error)) this.context.notify(error.sentence ?? error.message, { label: "Try again", run: () => this.refreshed() });
    }
  }

  view(name) {
    this.change((params) => params.set("view", name === "items" ? "" : name));
  }

  // edit: changes the parameters of the address.
  change(edit) {
    const params = new URLSearchParams(this.params);
    edit(params);
    params.set("gallery", this.context.gallery);
    this.context.navigate(writeAddress("gallery", params));
  }
}
