// How a gallery is, sentence by sentence: what is well, what should be looked at, and what is wrong.

import { draw, make } from "./dom.js";
import { size } from "./gallery-jobs.js";
import { count, decimal, fullMoment, number, span } from "./words.js";

const EXACT = ["flat", "half", "gpu"];
const MARKS = {
  well: { words: "Well", path: "M4 8.2l2.8 2.8L12.2 5.4" },
  look: { words: "To look at", path: "M8 4.2v4.6M8 11.3v.2" },
  wrong: { words: "Wrong", path: "M5 5l6 6M11 5l-6 6" },
  fact: { words: "", path: "M8 7.2v4M8 4.6v.2" },
};

// info: the gallery with its calibration. version: what the service says of itself.
export function health(info, version) {
  const lines = [index(info), reranking(info), model(info, version), calibration(info),
    disk(info), deleted(info), retention(info), pictures(info)];
  return make("ul", { className: "health" }, lines.map(line));
}

function line([mark, heading, ...sentences]) {
  const { words, path } = MARKS[mark];
  const said = words ? { role: "img", "aria-label": words } : { "aria-hidden": "true" };
  return make("li", { className: `health-${mark}` },
    draw("svg", { viewBox: "0 0 16 16", class: "icon health-mark", ...said },
      draw("circle", { cx: 8, cy: 8, r: 7 }), draw("path", { d: path })),
    make("div", null, make("h3", null, heading), make("p", null, sentences.filter(Boolean).join(" "))));
}

function index({ count: items, index: { kind, wanted, recall, progress } }) {
  const found = recall === null ? "Its recall has not been measured."
    : `When it was made, it found ${decimal(100 * recall, 1)} % of the ten nearest.`;
  const how = EXACT.includes(kind) ? `Every search compares all ${number(items)} vectors, so nothing near is missed.`
    : `An approximate index (${kind}) is searched. ${found}`;
  if (kind === wanted) return [recall !== null && recall < 0.95 ? "look" : "well", "Search index", how];
  const made = progress === null ? "waits to be made" : `is being made, ${Math.round(100 * progress)} % done`;
  return ["look", "Search index", how, `A more fitting one (${wanted}) ${made}; searches go on meanwhile.`];
}

function reranking({ index: { graph, stale }, settings: { k1, k2, lam } }) {
  if (graph === "building")
    return ["look", "Re-ranking", "The graph of neighbours is being made.",
      "Until it is ready, searches are re-ranked among the nearest only, or not at all, and say so."];
  if (graph === "too large")
    return ["look", "Re-ranking", "This gallery is too large for a graph of all neighbours.",
      "Searches are re-ranked among the nearest, and say so."];
  if (graph === "off")
    return ["fact", "Re-ranking", "It is switched off for this gallery.",
      "Results stand by plain similarity unless a search asks otherwise."];
  return ["well", "Re-ranking", "The graph of neighbours is ready, so that searches are re-ranked at once.",
    `It weighs ${k1} neighbours (k1), averages ${k2} (k2), and counts the plain distance for ${Math.round(100 * lam)} %.`,
    stale ? `${count(stale, "list")} of neighbours will be made anew in a quiet moment; searches are hardly off until then.` : ""];
}

function model(info, { model: served }) {
  if (!served) return ["look", "Model", "No model serves at the moment."];
  const named = (name, sha256) => `${name} (${sha256.slice(0, 12)})`;
  if (served.sha256 !== info.model_sha256)
    return ["wrong", "Model", `The gallery holds vectors of ${named(info.model_name, info.model_sha256)},`,
      `but ${named(served.name, served.sha256)} serves.`,
      `Pictures can be neither searched for nor added. Serve the gallery's model, or run vantage gallery reembed ${info.name}.`];
  const { name, version, provider, fallback_reason: reason } = served;
  return [reason ? "fact" : "well", "Model", `${name} (version ${version}) turns each crop into ${info.dimension} numbers.`,
    `It runs on ${provider.replace("ExecutionProvider", "")}.`, reason ? `A faster device was not used: ${reason}.` : ""];
}

function calibration({ calibration: known, no_verdict_because: reason }) {
  if (!known) return ["look", "Calibration", `No result is called likely or unlikely: ${reason ?? "the model has no calibration"}.`];
  const oneIn = `one in ${number(Math.round(1 / known.likely_false_accept_rate))}`;
  return ["well", "Calibration",
    `Results from ${decimal(known.likely_from)} up are called likely: ${oneIn} pairs of different people scored so high.`,
    `Below ${decimal(known.unlikely_below)} they are called unlikely.`,
    `This was measured on ${known.dataset}; on other cameras it may be otherwise.`];
}

function disk({ disk_bytes: bytes, saved_at: at, unsaved, index: { memory_bytes: memory } }) {
  const since = unsaved ? ` Changes since then: ${number(unsaved)}; they are in the database and taken up at the next start.` : "";
  const saved = at ? `The index was last saved on ${fullMoment(at)}.${since}`
    : "The index has not been saved yet; should the service stop now, it is made again from the database.";
  return ["well", "Storage", `${size(bytes)} on disk and ${size(memory)} in memory.`,
    "Every item that was acknowledged is in the database.", saved];
}

function deleted({ pending_purge: pending }) {
  if (!pending) return ["well", "Deleted items", "Nothing of deleted items is left on the disk."];
  return ["look", "Deleted items", `${count(pending, "deleted item")} may have left traces on the disk.`,
    "Purge the gallery to leave nothing of them."];
}

function retention({ settings: { ttl_seconds: term, deny_erased: denies } }) {
  return ["fact", "Retention",
    term ? `Items expire ${span(term)} after their capture.` : "Items are kept until somebody deletes them.",
    denies ? "An id that was deleted is refused from then on." : "An id that was deleted may be added again."];
}

function pictures({ settings: { store_crops: keeps } }) {
  return ["fact", "Pictures", keeps ? "The crops themselves are kept, as they were sent." : "Only vectors are kept, no pictures."];
}
