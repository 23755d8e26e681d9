// Small drawings. They stand beside words or in buttons that have a name, and say nothing by themselves.

import { draw } from "./dom.js";

const PATHS = {
  search: ["M11 11l3 3", "M7 12a5 5 0 1 1 0-10 5 5 0 0 1 0 10z"],
  same: ["M3 8.5l3.5 3.5L13 4.5"],
  different: ["M4 4l8 8", "M12 4l-8 8"],
  close: ["M4 4l8 8", "M12 4l-8 8"],
  add: ["M8 3v10", "M3 8h10"],
  cut: ["M4 1v11h11", "M1 4h11v11"],
  undo: ["M3 6h7a3.5 3.5 0 0 1 0 7H6", "M6 3L3 6l3 3"],
  up: ["M8 13V3", "M4 7l4-4 4 4"],
  down: ["M8 3v10", "M4 9l4 4 4-4"],
  level: ["M3 8h10"],
  before: ["M10 3L5 8l5 5"],
  after: ["M6 3l5 5-5 5"],
  picture: ["M2 3h12v10H2z", "M2 11l4-4 3 3 2-2 3 3"],
};

export function icon(name) {
  return draw("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, PATHS[name].map((d) => draw("path", { d })));
}
