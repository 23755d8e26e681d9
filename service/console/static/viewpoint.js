// From where somebody was seen: front, side or back, with how sure the model is of it.

import { draw, make } from "./dom.js";

export const VIEWPOINTS = ["front", "side", "back"];
// Head and shoulders from above, the nose where it points: towards us, to the side, away.
const NOSES = { front: "M6.5 11.5L8 14l1.5-2.5z", side: "M11.5 6.5L14 8l-2.5 1.5z", back: "M6.5 4.5L8 2l1.5 2.5z" };

// The most likely of the three, null where nothing is known.
export function viewpointOf(shares) {
  if (!shares) return null;
  const most = Math.max(...shares);
  return { name: VIEWPOINTS[shares.indexOf(most)], share: most };
}

export function viewpointBadge(shares) {
  const seen = viewpointOf(shares);
  if (!seen) return null;
  return make("span", { className: "viewpoint", title: `Seen from the ${seen.name}, ${Math.round(100 * seen.share)} % by the model` },
    draw("svg", { viewBox: "0 0 16 16", class: "viewpoint-shape", "aria-hidden": "true" },
      draw("circle", { cx: 8, cy: 8, r: 3.6 }), draw("path", { d: NOSES[seen.name], class: "filled" })), seen.name);
}
