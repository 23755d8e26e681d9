// What a delete did, in plain words: from where things were removed, and what may be left until the gallery is purged.

import { make } from "./dom.js";
import { purging } from "./gallery-jobs.js";
import { count, fullMoment } from "./words.js";

const PLACES = {
  database: (n) => `${count(n, "item")} from the database`,
  index: (n) => `${count(n, "vector")} from the search index`,
  graph: (n) => `${count(n, "entry", "entries")} from the re-ranking graph`,
  crops: (n) => `${count(n, "picture")} from the store of crops`,
  feedback: (n) => `${count(n, "judgement")} that somebody gave on them`,
};

// told: as the service answers. expected: how many were counted before it was confirmed.
export function receipt(told, { context, path, expected }) {
  const removed = Object.entries(told.removed).filter(([, many]) => many > 0);
  return make("div", { className: "stack receipt" },
    make("p", null, `Deleted from ${told.gallery} on ${fullMoment(told.at)}. No search finds them any more.`),
    told.ids.length === expected ? null : make("p", { className: "notice notice-warning" },
      `${count(expected, "item")} had been counted before; the gallery has changed meanwhile.`),
    make("div", null, make("h3", null, "Removed"),
      make("ul", { className: "plain-list" }, removed.map(([place, many]) =>
        make("li", null, PLACES[place]?.(many) ?? `${many} from: ${place}`)))),
    told.pending.length ? make("div", { className: "stack" },
      make("div", null, make("h3", null, "Traces that may be left on disk until the gallery is purged"),
        make("ul", { className: "plain-list" }, told.pending.map((place) => make("li", null, place)))),
      purging(context, path)) : null,
    make("div", { className: "row" }, saving(told)));
}

function saving(told) {
  const name = `deleted-from-${told.gallery}-${told.at.slice(0, 19).replaceAll(":", "")}.json`;
  return make("button", { type: "button", on: { click: () => {
    const url = URL.createObjectURL(new Blob([JSON.stringify(told, null, 2)], { type: "application/json" }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } } }, "Save the receipt");
}
