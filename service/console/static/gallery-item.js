// One item of a gallery: on the wall, and with all that is known of it.

import { writeAddress } from "./address.js";
import { make } from "./dom.js";
import { icon } from "./icons.js";
import { VIEWPOINTS, viewpointBadge } from "./viewpoint.js";
import { decimal, fullMoment, moment } from "./words.js";

// open() shows it in full; choose(wanted) puts it among the chosen.
export function itemCard(item, { crops, open, choose }) {
  const label = `${item.id}: all that is known`;
  const pick = make("input", { type: "checkbox", attributes: { "aria-label": `Choose ${item.id}` } });
  pick.addEventListener("change", () => choose(pick.checked));
  return make("li", { className: "hit item", dataset: { id: item.id } },
    make("label", { className: "pick", title: "Choose" }, pick),
    make("button", { type: "button", className: "bare hit-open", attributes: { "aria-label": label }, on: { click: open } },
      crops.show(item.crop_url), viewpointBadge(item.viewpoint)),
    make("div", { className: "hit-about" },
      make("p", { className: "hit-place" },
        item.camera_id === null ? "Camera not known" : make("strong", null, item.camera_id), timeOf(item)),
      make("p", { className: "item-id", title: item.id }, item.id)));
}

function timeOf({ captured_at: iso }) {
  if (!iso) return make("span", { className: "quiet" }, "time not known");
  return make("time", { className: "quiet figures", dateTime: iso, title: fullMoment(iso) }, moment(iso));
}

// items: those among which one can go on. erase(id) asks to delete it.
export function itemDialog(item, { context, items, erase }) {
  const dialog = make("dialog", { className: "dialog item-dialog", attributes: { "aria-labelledby": "item-title" } });
  let at = items.indexOf(item);
  const tool = (label, title, name, run, disabled = false) => make("button", { type: "button", className: "icon-button", title, disabled,
    dataset: { step: name }, attributes: { "aria-label": label }, on: { click: run } }, icon(name));
  const step = (to, label, name) => tool(label, `${label} (arrow key)`, name, () => go(to), !items[to]);
  const go = (to) => {
    if (!items[to]) return;
    at = to;
    fill();
    context.announce(items[at].id);
  };
  function fill() {
    const one = items[at];
    const focused = document.activeElement?.dataset.step;
    const found = writeAddress("search", new URLSearchParams({ gallery: context.gallery, item: one.id }));
    dialog.replaceChildren(
      make("div", { className: "dialog-head" }, make("h2", { id: "item-title", className: "item-title" }, one.id),
        make("div", { className: "row" }, step(at - 1, "The item before", "before"), step(at + 1, "The item after", "after"),
          tool("Close", "Close", "close", () => dialog.close()))),
      make("div", { className: "item-body" }, make("div", null, context.crops.show(one.crop_url, "The crop")), factsOf(one)),
      make("div", { className: "row row-end item-actions" },
        make("button", { type: "button", className: "danger", on: { click: () => (dialog.close(), erase(one.id)) } },
          "Delete it …"),
        make("a", { className: "button button-primary", href: found, on: { click: () => dialog.close() } },
          icon("search"), "Search with this crop")));
    (dialog.querySelector(`[data-step="${focused}"]:not(:disabled)`) ?? dialog.querySelector('[data-step="close"]')).focus();
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") go(at + 1);
    if (event.key === "ArrowLeft") go(at - 1);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  context.signal.addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  fill();
}

function factsOf(item) {
  const facts = [
    ["Camera", item.camera_id],
    ["Captured", item.captured_at && fullMoment(item.captured_at)],
    ["Person", item.person],
    ["Tracklet", item.tracklet_id],
    ["Seen from", item.viewpoint && VIEWPOINTS.map((name, at) => `${name} ${Math.round(100 * item.viewpoint[at])} %`).join(", ")],
    ["Quality", item.quality === null ? null : decimal(item.quality)],
    ...Object.entries(item.metadata ?? {}).map(([name, value]) =>
      [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ["Added", fullMoment(item.added_at)],
    ["Expires", item.expires_at && fullMoment(item.expires_at)],
  ];
  const unknown = (name) => make("span", { className: "quiet" }, name === "Expires" ? "never" : "not known");
  return make("dl", { className: "facts" },
    facts.map(([name, value]) => [make("dt", null, name), make("dd", null, value ?? unknown(name))]));
}
