// Words to whoever uses the page: spoken by screen readers, shown at the edge for a while, or standing in the page.

import { draw, make } from "./dom.js";

const at = (id) => document.getElementById(id);
const SHOWN_SECONDS = 12;

// Said to those who do not see the page.
export function announce(text) {
  const live = at("live");
  live.textContent = "";
  requestAnimationFrame(() => (live.textContent = text));
}

// Shown at the edge and said. action: {label, run}; such a note stays while it has focus or the pointer.
export function notify(text, action = null) {
  announce(text);
  const note = make("div", { className: "note" }, make("span", null, text));
  const close = () => note.remove();
  if (action) {
    note.append(make("button", { type: "button", className: "link-button", on: { click: () => (close(), action.run()) } }, action.label));
  }
  note.append(make("button", { type: "button", className: "icon-button", attributes: { "aria-label": "Close this note" }, on: { click: close } },
    draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: "icon" }, draw("path", { d: "M4 4l8 8M12 4l-8 8" }))));
  const held = () => note.matches(":hover, :focus-within");
  const later = () => setTimeout(() => (held() ? later() : close()), 1000 * SHOWN_SECONDS);
  later();
  at("notes").replaceChildren(note);
}

// A sentence in the page. tone: "plain", "warning" or "error"; an error is said at once.
export function notice(text, { tone = "plain", heading = null, actions = [] } = {}) {
  return make("div", { className: `notice notice-${tone}`, attributes: { role: tone === "error" ? "alert" : null } },
    heading ? make("p", { className: "notice-heading" }, heading) : null,
    make("p", null, text),
    actions.length ? make("div", { className: "row" }, actions.map(({ label, run, primary }) =>
      make("button", { type: "button", className: primary ? "primary" : "", on: { click: run } }, label))) : null);
}

// A problem in the page, with the way out where there is one.
export function problemNotice(problem, again = null) {
  const actions = again ? [{ label: "Try again", run: again }] : [];
  const shown = notice(problem.sentence ?? problem.message, { tone: "error", heading: problem.title, actions });
  if (problem.requestId && problem.status >= 500)
    shown.append(make("p", { className: "quiet" }, "The log has more under ", make("code", null, problem.requestId), "."));
  return shown;
}
