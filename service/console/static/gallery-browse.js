// The items of a gallery as a wall, by pages, filtered; looked at, chosen and deleted.

import { make } from "./dom.js";
import { deleteDialog } from "./gallery-delete.js";
import { asBody, asParameters, clearFilter, filterForm, inWords, isEmpty, readFilter } from "./gallery-filter.js";
import { itemCard, itemDialog } from "./gallery-item.js";
import { problemNotice } from "./notices.js";
import { isAbort } from "./problem.js";
import { count, number } from "./words.js";

const AT_ONCE = 60;

export class Browsing {
  // act: {changed(), change(edit), view(name)}
  constructor(context, path, act) {
    Object.assign(this, { context, path, act, chosen: new Set(), stale: true });
    this.asking = new AbortController();
    context.signal.addEventListener("abort", () => this.asking.abort(), { once: true });
    this.heading = make("h2", { tabIndex: -1 }, "Items");
    this.count = make("p", { className: "quiet", attributes: { role: "status" } });
    this.tools = make("div", { className: "row browse-tools" });
    this.filters = make("details", { className: "card filter-fold", open: matchMedia("(min-width: 60rem)").matches },
      make("summary", null, "Filter"));
    const keeps = context.galleries.find((one) => one.name === context.gallery)?.settings.store_crops ?? true;
    this.wall = make("ol", { className: keeps ? "wall" : "wall wall-bare" });
    this.after = make("div", { className: "row browse-after" });
    this.element = make("section", { className: "stack browse", attributes: { "aria-label": "Items" } },
      make("div", { className: "findings-title" }, make("div", null, this.heading, this.count), this.tools),
      this.filters, this.wall, this.after);
  }

  // Shows the items that the address means, of a gallery with this summary.
  show(params, summary) {
    const cameras = summary.cameras.largest.map((one) => one.camera_id);
    if (cameras.join("\n") !== this.cameras?.join("\n")) {
      this.cameras = cameras;
      this.form = filterForm({ cameras, change: this.act.change });
      this.filters.replaceChildren(this.filters.firstElementChild, this.form.element);
    }
    const filter = readFilter(params);
    this.form.show(filter);
    this.filters.hidden = this.tools.hidden = summary.count === 0;
    const same = !this.stale && JSON.stringify(filter) === JSON.stringify(this.filter);
    Object.assign(this, { filter, total: summary.count, empty: summary.count === 0 });
    if (same) return;
    this.stale = false;
    this.#begin();
  }

  async #begin() {
    this.asking.abort();
    this.asking = new AbortController();
    this.chosen.clear();
    this.items = [];
    this.cursor = null;
    if (this.empty) {
      this.count.textContent = "";
      this.wall.replaceChildren();
      this.after.replaceChildren(make("p", null, "Nothing has been added yet. ",
        make("button", { type: "button", className: "primary", on: { click: () => this.act.view("add") } }, "Add crops")));
      return;
    }
    this.wall.setAttribute("aria-busy", "true");
    await this.#more(true);
  }

  // The next page; with it, of the first, how many there are.
  async #more(first = false) {
    const { api } = this.context, { signal } = this.asking;
    const params = asParameters(this.filter);
    this.after.replaceChildren(make("p", { className: "quiet waiting" }, "Asking for items …"));
    try {
      const counted = first && !isEmpty(this.filter) ? api.get(`${this.path}/summary`, { params, signal }) : null;
      const paged = new URLSearchParams([...params, ["limit", AT_ONCE], ...(this.cursor ? [["cursor", this.cursor]] : [])]);
      const page = await api.get(`${this.path}/items`, { params: paged, signal });
      if (first) this.total = counted ? (await counted).count : this.total;
      signal.throwIfAborted();
      if (first) this.wall.replaceChildren();
      this.#add(page, first);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      if (first) this.wall.replaceChildren();
      this.after.replaceChildren(problemNotice(error, () => this.#more(first)));
    } finally {
      if (!signal.aborted) this.wall.removeAttribute("aria-busy");
    }
  }

  #add(page, first) {
    const from = this.items.length;
    this.items.push(...page.items);
    this.cursor = page.cursor;
    this.total = this.cursor ? Math.max(this.total, this.items.length + 1) : this.items.length;
    const { crops } = this.context;
    this.wall.append(...page.items.map((item) => itemCard(item, { crops,
      open: () => this.#open(item), choose: (wanted) => this.#choose(item.id, wanted) })));
    const more = make("button", { type: "button", on: { click: () => this.#more() } }, "Show more");
    const left = make("span", { className: "quiet" }, `${number(this.total - this.items.length)} more`);
    this.after.replaceChildren(...(this.cursor ? [more, left] : []));
    this.#tell();
    if (!first) this.wall.children[from]?.querySelector(".hit-open").focus();
  }

  #tell() {
    const meant = isEmpty(this.filter) ? "" : ` ${inWords(this.filter)}`;
    const shown = this.items.length < this.total ? `; the first ${number(this.items.length)} are shown` : "";
    this.count.textContent = this.total ? `${count(this.total, "item")}${meant}${shown}.` : `There is no item${meant}.`;
    this.#showTools();
  }

  #showTools() {
    const button = (label, run, className = "") => make("button", { type: "button", className, on: { click: run } }, label);
    const chosen = this.chosen.size;
    const tools = [];
    if (chosen) {
      const words = chosen === 1 ? "the chosen item" : "the chosen items";
      tools.push(make("span", null, `${count(chosen, "item")} chosen`),
        button("Choose none", () => this.#chooseNone(), "quiet-button"),
        button("Delete the chosen …", () => this.#delete({ ids: [...this.chosen] }, words), "danger"));
    } else if (!isEmpty(this.filter)) {
      const clear = () => (this.act.change(clearFilter), this.heading.focus({ preventScroll: true }));
      tools.push(button("Clear filters", clear, "quiet-button"));
      if (this.total) tools.push(button(`Delete ${this.total === 1 ? "this item" : `these ${number(this.total)}`} …`,
        () => this.#delete({ filter: asBody(this.filter) }, `all items ${inWords(this.filter)}`), "danger"));
    }
    this.tools.replaceChildren(...tools);
  }

  #choose(id, wanted) {
    if (wanted) this.chosen.add(id);
    else this.chosen.delete(id);
    this.#showTools();
  }

  #chooseNone() {
    this.chosen.clear();
    for (const input of this.wall.querySelectorAll(".pick input")) input.checked = false;
    this.#showTools();
    this.heading.focus();
  }

  #open(item) {
    itemDialog(item, { context: this.context, items: this.items, erase: (id) => this.#delete({ ids: [id] }, `the item ${id}`) });
  }

  #delete(what, words) {
    deleteDialog({ context: this.context, path: this.path, what, words, done: () => {
      this.heading.focus({ preventScroll: true });
      this.act.changed();
    } });
  }
}
