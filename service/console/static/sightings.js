// The page of sightings: the path through the cameras, the same as a table, and what could not be laid on it.

import { make } from "./dom.js";
import { timeline, visitWords } from "./timeline.js";
import { verdictMark } from "./verdict.js";
import { sightingsOf, visitsOf } from "./visits.js";
import { clock, count, day, decimal, number, timeZone } from "./words.js";

const COLUMNS = ["Day", "Time", "Camera", "Crops", "Best", "Similarity", ""];
const HOW_TO_READ = `A stop holds what one camera saw with no other camera and no more than two minutes between. Times are
  in ${timeZone} time; the longer between two stops, the further they stand apart, though not to scale. That a result looks
  alike is no proof that it is the same person.`;

// asked: "1" or "0" where somebody said whether unsure results count; else they do where the likely ones make no path.
// choose(withUnsure) changes that; open(id) opens a result.
export function showSightings(root, answer, { crops, open, asked, choose }) {
  const fewLikely = visitsOf(sightingsOf(answer.results, false).results).visits.length < 2;
  const withUnsure = asked === null ? fewLikely : asked === "1";
  const { results, without } = sightingsOf(answer.results, withUnsure);
  const { cameras, visits, untimed } = visitsOf(results);
  const unsure = make("input", { type: "checkbox", role: "switch", checked: withUnsure, on: { change: ({ target }) => choose(target.checked) } });
  root.replaceChildren(make("div", { className: "stack" },
    make("div", { className: "sightings-head" },
      make("div", null, make("p", { className: "lead" }, summary(cameras, visits, without, withUnsure, answer.results.length)),
        asked === null && fewLikely && !without
          ? make("p", { className: "quiet" }, "The likely results alone make no path, so unsure ones are shown as well.") : null),
      without ? null : make("label", { className: "switch" }, unsure, "With unsure results")),
    visits.length ? timeline({ cameras, visits }, { crops, open }) : null,
    untimed ? make("p", { className: "quiet" }, notOnIt(untimed)) : null,
    make("p", { className: "quiet" }, HOW_TO_READ),
    visits.length ? table(visits, open) : null));
}

function notOnIt(untimed) {
  const [results, them] = untimed === 1 ? ["result is", "it"] : ["results are", "them"];
  return `${number(untimed)} ${results} not on it, because no time or no camera is known of ${them}.`;
}

function summary(cameras, visits, without, withUnsure, of) {
  const taken = without ? "best" : withUnsure ? "likely and the unsure" : "likely";
  if (!visits.length && without) return "No result can be laid on a timeline.";
  if (!visits.length) {
    const none = withUnsure ? "likely or unsure." : "likely. Unsure ones can be shown too.";
    return `None of these ${of} results is ${none} What you mark as the same person comes here as well.`;
  }
  return `${count(visits.length, "stop")} at ${count(cameras.length, "camera")} among the ${taken} of ${of} results.`;
}

function table(visits, open) {
  const cell = (...content) => make("td", null, ...content);
  return make("details", null, make("summary", null, "The same as a table"),
    make("div", { className: "scroll", tabIndex: 0, attributes: { role: "region", "aria-label": "Sightings as a table" } }, make("table", null,
      make("caption", { className: "unseen" }, "Sightings in the order of time"),
      make("thead", null, make("tr", null, COLUMNS.map((name) =>
        make("th", { scope: "col" }, name || make("span", { className: "unseen" }, "See why"))))),
      make("tbody", null, visits.map((visit) => make("tr", null,
        cell(day(visit.from)), cell(visit.to > visit.from ? `${clock(visit.from)} – ${clock(visit.to)}` : clock(visit.from)), cell(visit.camera),
        cell(String(visit.hits.length)), cell(`place ${visit.hits[0].rank} `, verdictMark(visit.hits[0].verdict)), cell(decimal(visit.hits[0].score)),
        cell(make("button", { type: "button", className: "link-button", attributes: { "aria-label": `See why: ${visitWords(visit)}` },
          on: { click: () => open(visit.hits[0].id) } }, "See why"))))))));
}
