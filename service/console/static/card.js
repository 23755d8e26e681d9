// One result on the wall: its crop, place, score in a word, where and when it was seen, and what can be done with it.

import { make } from "./dom.js";
import { icon } from "./icons.js";
import { verdictMark } from "./verdict.js";
import { viewpointBadge, viewpointOf } from "./viewpoint.js";
import { decimal, fullMoment, moment } from "./words.js";

// act: {open(id), searchWith(id), mark(id, "same" | "different"), unmark(id)}. places: those without re-ranking, as of
// `plainPlaces`; "coming" while they are asked for; or null.
export function card(result, { crops, places, act }) {
  const { id, rank } = result;
  const describedBy = `about-${rank}`;
  const same = make("button", { type: "button", className: "icon-button",
    title: result.confirmed ? "Take back that it is the same person" : "The same person",
    attributes: { "aria-pressed": String(result.confirmed), "aria-label": `Place ${rank} is the same person` },
    on: { click: () => (result.confirmed ? act.unmark(id) : act.mark(id, "same")) } }, icon("same"));
  return make("li", { className: `hit ${result.confirmed ? "hit-confirmed" : ""}`, dataset: { id } },
    make("button", { type: "button", className: "bare hit-open", title: "See why it stands here",
      attributes: { "aria-label": `Place ${rank}: see why`, "aria-describedby": describedBy }, on: { click: () => act.open(id) } },
      crops.show(result.crop_url),
      make("span", { className: "hit-rank figures", attributes: { "aria-hidden": "true" } }, String(rank)),
      result.confirmed ? make("span", { className: "hit-said" }, icon("same"), "Same") : null,
      viewpointBadge(result.viewpoint)),
    make("div", { className: "hit-about", id: describedBy },
      make("p", { className: "hit-score" }, verdictMark(result.verdict),
        make("span", { className: "figures", title: "Similarity, not a probability" }, decimal(result.score))),
      make("p", { className: "hit-place" }, placeWords(result)),
      places && movementMark(movement(result, places))),
    make("div", { className: "hit-actions" },
      make("button", { type: "button", className: "icon-button", title: "Search with this crop",
        attributes: { "aria-label": `Search with place ${rank}` }, on: { click: () => act.searchWith(id) } }, icon("search")),
      same,
      make("button", { type: "button", className: "icon-button", title: "Not this person",
        attributes: { "aria-label": `Place ${rank} is not this person` }, on: { click: () => act.mark(id, "different") } }, icon("different"))));
}

function placeWords(result) {
  const camera = result.camera_id === null ? "Camera not known" : make("strong", null, result.camera_id);
  if (!result.captured_at) return [camera, make("span", { className: "quiet" }, "time not known")];
  const attributes = { dateTime: result.captured_at, title: fullMoment(result.captured_at), className: "quiet figures" };
  return [camera, make("time", attributes, moment(result.captured_at))];
}

// Where re-ranking moved a result: places up (positive) or down, or from beyond the places that were compared. Null
// where that is not known.
export function movement(result, places) {
  if (!places || places === "coming") return null;
  const before = places.of.get(result.id);
  return before === undefined ? { beyond: places.compared } : { before, by: before - result.rank };
}

function movementMark(moved) {
  if (!moved) return make("p", { className: "moved moved-coming" }, "\u00a0");  // keeps the place
  if (moved.beyond) return make("p", { className: "moved moved-up" }, icon("up"), `from beyond ${moved.beyond}`);
  if (moved.by === 0) return make("p", { className: "moved" }, icon("level"), "same place");
  const up = moved.by > 0;
  return make("p", { className: `moved ${up ? "moved-up" : "moved-down"}`, title: `Place ${moved.before} without re-ranking` },
    icon(up ? "up" : "down"), `${up ? "up" : "down"} ${Math.abs(moved.by)} ${Math.abs(moved.by) === 1 ? "place" : "places"}`);
}

// A result in one sentence, for those who are told it.
export function inWords(result) {
  const seen = viewpointOf(result.viewpoint);
  return [`Place ${result.rank}`, result.confirmed && "said to be the same person", result.verdict, `similarity ${decimal(result.score)}`,
    result.camera_id && `camera ${result.camera_id}`, result.captured_at && fullMoment(result.captured_at),
    seen && `seen from the ${seen.name}`].filter(Boolean).join(", ");
}
