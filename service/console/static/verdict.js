// What the model's calibration makes of a score: a word, a shape and a colour, and what the word means.

import { draw, make } from "./dom.js";
import { decimal, number } from "./words.js";

export const VERDICTS = ["likely", "unsure", "unlikely"];
const WORDS = { likely: "Likely", unsure: "Unsure", unlikely: "Unlikely" };
// A full disc, a half one and a ring: told apart without colour.
const SHAPES = {
  likely: () => [draw("circle", { cx: 6, cy: 6, r: 5, class: "filled" })],
  unsure: () => [draw("circle", { cx: 6, cy: 6, r: 5 }), draw("path", { d: "M6 1a5 5 0 0 1 0 10z", class: "filled" })],
  unlikely: () => [draw("circle", { cx: 6, cy: 6, r: 5 })],
};

export function verdictMark(verdict) {
  if (!verdict) return null;
  return make("span", { className: `verdict verdict-${verdict}` },
    draw("svg", { viewBox: "0 0 12 12", class: "verdict-shape", "aria-hidden": "true" }, SHAPES[verdict]()), WORDS[verdict]);
}

// What scores and their words mean, from `calibration` and `no_verdict_because` of an answer.
export function aboutScores(answer) {
  const { calibration } = answer;
  const similarity = make("p", { className: "quiet" }, "A score is a similarity (cosine, at most 1), ",
    make("strong", null, "not a probability"), " that it is the same person.");
  if (!calibration) {
    const because = answer.no_verdict_because ? `: ${answer.no_verdict_because}` : "";
    return [similarity, make("p", { className: "quiet" }, `No score is called likely or unlikely${because}.`)];
  }
  const { likely_from: from, unlikely_below: below } = calibration;
  return [similarity, make("details", { className: "quiet" }, make("summary", null, "What likely, unsure and unlikely mean"),
    make("ul", { className: "plain-list" },
      make("li", null, verdictMark("likely"),
        ` from ${decimal(from)} up: ${oneIn(calibration.likely_false_accept_rate)} pairs of different people scored so high.`),
      make("li", null, verdictMark("unsure"), " between the two."),
      make("li", null, verdictMark("unlikely"),
        ` below ${decimal(below)}, above which ${oneIn(calibration.unlikely_false_accept_rate)} pairs of different people came.`)),
    make("p", null, `Measured on ${calibration.dataset}. On your own cameras it may be otherwise.`))];
}

function oneIn(rate) {
  return `one in ${number(Math.round(1 / rate))}`;
}
