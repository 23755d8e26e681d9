// Where a score lies between unlikely and likely, as a line with a mark on it.

import { draw } from "./dom.js";
import { decimal } from "./words.js";

const WIDTH = 320, LOW = 0.2;
const at = (score) => WIDTH * Math.min(1, Math.max(0, (score - LOW) / (1 - LOW)));

export function scoreScale(score, calibration) {
  const { unlikely_below: below, likely_from: from } = calibration;
  const part = (low, high, name) => draw("rect", {
    x: at(low), y: 14, width: Math.max(0, at(high) - at(low) - 2), height: 8, rx: 4, class: `scale-${name}`,
  });
  const label = (value) => draw("text", { x: at(value), y: 40, "text-anchor": "middle" }, decimal(value));
  return draw("svg", { viewBox: `-12 0 ${WIDTH + 24} 46`, class: "scale", role: "img",
    "aria-label": `On a scale where unlikely ends at ${decimal(below)} and likely begins at ${decimal(from)}, this one is at ${decimal(score, 3)}` },
    part(LOW, below, "unlikely"), part(below, from, "unsure"), part(from, 1, "likely"),
    label(below), label(from), draw("path", { d: `M${at(score)} 26l-6 -20h12z`, class: "scale-mark" }));
}
