// The ranked wall: results in their order, or by groups. What stays from one answer to the next moves to its new place.

import { card } from "./card.js";
import { freshId, make } from "./dom.js";
import { count } from "./words.js";

const MOVE_MS = 350;
const KEYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

// found: {answer, places}: places as cards take them.
export function showWall(root, found, { crops, act, group }) {
  const before = positions(root);
  const cardOf = (result) => card(result, { crops, act, places: found.places });
  const { results } = found.answer;
  if (group === "none") root.replaceChildren(make("ol", { className: "wall" }, results.map(cardOf)));
  else root.replaceChildren(make("div", { className: "groups" }, groupsOf(results, group).map((one) => groupSection(one, group, cardOf))));
  root.onkeydown = walk;
  move(root, before);
}

// In the order of their best. What bears no label is alone.
function groupsOf(results, group) {
  const groups = new Map();
  for (const result of results) {
    const label = group === "person" ? result.person : result.tracklet_id;
    const key = label ?? Symbol(result.id);
    if (!groups.has(key)) groups.set(key, { label, results: [] });
    groups.get(key).results.push(result);
  }
  return [...groups.values()];
}

function groupSection({ label, results }, group, cardOf) {
  const id = freshId("group");
  const words = label === null ? `No ${group} is known` : `${group === "person" ? "Person" : "Tracklet"} ${label}`;
  return make("section", { className: "wall-group", attributes: { "aria-labelledby": id } },
    make("h3", { id }, words, make("span", { className: "quiet" }, ` ${count(results.length, "crop")}`)),
    make("ol", { className: "wall" }, results.map(cardOf)));
}

// Arrow keys go from crop to crop, Home and End to the first and the last.
function walk(event) {
  if (!event.target.matches(".hit-open")) return;
  const all = [...event.currentTarget.querySelectorAll(".hit-open")];
  const at = all.indexOf(event.target);
  const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : event.key in KEYS ? at + step(event.key, all, at) : at;
  if (to === at || !all[to]) return;
  event.preventDefault();
  all[to].focus();
}

// Up and down go by rows, which are as long as the window allows.
function step(key, all, at) {
  if (key === "ArrowLeft" || key === "ArrowRight") return KEYS[key];
  const row = (element) => element.getBoundingClientRect();
  const here = row(all[at]);
  const beyond = all.filter((one) => (key === "ArrowDown" ? row(one).top > here.top + 4 : row(one).top < here.top - 4));
  if (!beyond.length) return 0;
  const line = key === "ArrowDown" ? row(beyond[0]).top : row(beyond.at(-1)).top;
  const inLine = beyond.filter((one) => Math.abs(row(one).top - line) < 4);
  const nearest = inLine.reduce((best, one) => (Math.abs(row(one).left - here.left) < Math.abs(row(best).left - here.left) ? one : best));
  return all.indexOf(nearest) - at;
}

function positions(root) {
  return new Map([...root.querySelectorAll(".hit")].map((one) => [one.dataset.id, one.getBoundingClientRect()]));
}

function move(root, before) {
  if (!before.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const one of root.querySelectorAll(".hit")) {
    const old = before.get(one.dataset.id);
    if (!old) {
      one.animate([{ opacity: 0 }, { opacity: 1 }], MOVE_MS);
      continue;
    }
    const now = one.getBoundingClientRect();
    const by = `translate(${old.left - now.left}px, ${old.top - now.top}px)`;
    if (old.left !== now.left || old.top !== now.top)
      one.animate([{ transform: by }, { transform: "none" }], { duration: MOVE_MS, easing: "ease-out" });
  }
}
