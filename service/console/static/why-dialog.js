// Why a result stands where it stands: both crops, both distances in words, and the neighbours that speak for it.

import { movement } from "./card.js";
import { make } from "./dom.js";
import { icon } from "./icons.js";
import { itemCrop } from "./probe-panel.js";
import { scoreScale } from "./scale.js";
import { verdictMark } from "./verdict.js";
import { viewpointOf } from "./viewpoint.js";
import { count, decimal, fullMoment } from "./words.js";

const NEIGHBOURS = 12;

// found: {answer, places}, of which places may still come. context: of the page, with `keepsCrops`. act: as for cards.
// probeCrop(): an image of what is looked for.
export function whyDialog({ found, context, act, probeCrop, announce }) {
  const { results } = found.answer;
  const dialog = make("dialog", { className: "dialog why", attributes: { "aria-labelledby": "why-title" } });
  let at = 0;
  const go = (to) => {
    if (to < 0 || to >= results.length) return;
    at = to;
    fill();
    announce(`Place ${results[at].rank}`);
  };
  const closing = (run) => (id, ...others) => (dialog.close(), run(id, ...others));
  const acts = { searchWith: closing(act.searchWith), mark: closing(act.mark), unmark: closing(act.unmark) };
  const step = (to, name, iconName) => make("button", { type: "button", className: "icon-button",
    disabled: to < 0 || to >= results.length, dataset: { step: name },
    attributes: { "aria-label": `The result ${name}` }, title: `The result ${name} (arrow key)`, on: { click: () => go(to) } }, icon(iconName));

  function fill() {
    const result = results[at];
    const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.step : null;
    dialog.replaceChildren(
      make("div", { className: "dialog-head" },
        make("h2", { id: "why-title" }, `Why place ${result.rank}?`),
        make("div", { className: "row why-steps" }, step(at - 1, "before", "before"), step(at + 1, "after", "after"),
          make("button", { type: "button", className: "icon-button", dataset: { step: "close" },
            attributes: { "aria-label": "Close" }, title: "Close", on: { click: () => dialog.close() } }, icon("close")))),
      make("div", { className: "why-body" },
        make("div", { className: "why-pair" }, figure(probeCrop(), "Looked for"),
          figure(context.crops.show(result.crop_url, "The crop of this result"), `Place ${result.rank}`)),
        make("div", { className: "stack" }, reasons(result, found), facts(result))),
      neighbours(result, context),
      actions(result, acts));
    const target = focused && dialog.querySelector(`[data-step="${focused}"]:not(:disabled)`);
    (target || dialog.querySelector('[data-step="close"]')).focus();
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") go(at + 1);
    if (event.key === "ArrowLeft") go(at - 1);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  return (id) => {
    at = results.findIndex((one) => one.id === id);
    document.body.append(dialog);
    dialog.showModal();
    fill();
  };
}

function figure(picture, caption) {
  return make("figure", null, picture, make("figcaption", { className: "quiet" }, caption));
}

function reasons(result, { answer, places }) {
  const { calibration } = answer;
  return make("div", { className: "why-reasons" },
    make("p", { className: "why-score" }, verdictMark(result.verdict),
      make("strong", { className: "figures" }, decimal(result.score, 3)), " similarity"),
    calibration ? scoreScale(result.score, calibration) : null,
    make("ul", { className: "why-list" },
      [alone(result), together(result, answer, places), mutual(result), confirmed(result)].flat().map((words) => make("li", null, words))));
}

function alone({ distance, score }) {
  return [`By itself: the two crops are ${decimal(distance, 3)} apart (2 − 2 × ${decimal(score, 3)}; 0 would be the same crop).`];
}

function together(result, { rerank }, places) {
  if (result.distance_reranked === null)
    return [rerank.reason_skipped ? `Its neighbours were not weighed: ${rerank.reason_skipped}.`
      : "Re-ranking is off: only the crops themselves were compared."];
  const moved = movement(result, places);
  const place = !moved ? "" : moved.beyond ? ` Without them it would stand beyond place ${moved.beyond}.`
    : moved.by === 0 ? " Without them it would stand at the same place." : ` Without them it would stand at place ${moved.before}.`;
  return [`With its neighbours: ${decimal(result.distance_reranked, 3)} apart, and results are ordered by this.${place}`];
}

function mutual({ explain }) {
  if (!explain) return [];
  return [explain.mutual ? "Mutual: each is among the nearest of the other." : "Not mutual: they are not both among the nearest of the other."];
}

function confirmed(result) {
  return result.confirmed ? ["You said that it is the same person; it is searched with as well."] : [];
}

function facts(result) {
  const seen = result.viewpoint && viewpointOf(result.viewpoint);
  const rows = [
    ["Item", make("code", null, result.id)], ["Camera", result.camera_id ?? "not known"],
    ["Time", result.captured_at ? fullMoment(result.captured_at) : "not known"],
    ["Seen from", seen ? `the ${seen.name} (${Math.round(100 * seen.share)} % by the model)` : "not known"],
    ["Person", result.person], ["Tracklet", result.tracklet_id],
    ["Quality", result.quality === null ? null : decimal(result.quality)],
    ...Object.entries(result.metadata ?? {}).map(([name, value]) => [name, String(value)]),
  ].filter(([, value]) => value !== null && value !== undefined);
  return make("dl", { className: "facts" }, rows.map(([name, value]) => [make("dt", null, name), make("dd", null, value)]));
}

function neighbours(result, context) {
  const shared = result.explain?.shared ?? [];
  if (!shared.length) return make("p", { className: "quiet why-neighbours" }, "The two share no neighbours.");
  const total = shared.reduce((sum, one) => sum + one.weight, 0);
  const others = shared.filter((one) => one.id !== result.id).slice(0, NEIGHBOURS);
  const self = shared.find((one) => one.id === result.id);
  return make("section", { className: "why-neighbours", attributes: { "aria-labelledby": "neighbours-title" } },
    make("h3", { id: "neighbours-title" }, "Neighbours that speak for it"),
    make("p", { className: "quiet" }, [
      `Both lean on ${count(shared.length, "crop")} of the gallery, and what they lean on overlaps by ${Math.round(100 * total)} %.`,
      self && `The result itself carries ${percent(self, total)} of that.`,
      others.length < shared.length - (self ? 1 : 0) &&
        `These are the ${others.length} heaviest of the others, with their shares.`].filter(Boolean).join(" ")),
    make("ol", { className: "neighbours" }, others.map((one) => make("li", { className: "neighbour", title: one.id },
      context.keepsCrops ? context.crops.show(itemCrop(context.gallery, one.id), one.id) : make("code", null, one.id),
      weightBar(one.weight / others[0].weight), make("span", { className: "figures" }, percent(one, total))))));
}

function percent(one, total) {
  return `${decimal((100 * one.weight) / total, 1)} %`;
}

function weightBar(share) {
  const bar = make("span", { className: "weight", attributes: { "aria-hidden": "true" } }, make("span"));
  bar.firstChild.style.width = `${Math.round(100 * share)}%`;
  return bar;
}

function actions({ id, confirmed, rank }, act) {
  return make("div", { className: "row why-actions", attributes: { role: "group", "aria-label": `What to do with place ${rank}` } },
    make("button", { type: "button", className: "primary", on: { click: () => act.searchWith(id) } }, icon("search"), "Search with it"),
    make("button", { type: "button", attributes: { "aria-pressed": String(confirmed) },
      on: { click: () => (confirmed ? act.unmark(id) : act.mark(id, "same")) } }, icon("same"), "Same person"),
    make("button", { type: "button", on: { click: () => act.mark(id, "different") } }, icon("different"), "Not this person"));
}
