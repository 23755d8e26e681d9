// A service that starts, stops or could not start: its own words, until it is ready.

import { make } from "./dom.js";
import { announce } from "./notices.js";
import { isAbort, Problem } from "./problem.js";

const EVERY_MS = 700;
const STARTED = /\((\d+) of (\d+)\)/;

// Resolves when the service is ready; rejects when the signal is aborted.
export async function waitUntilReady(root, api, signal) {
  const words = make("p", { className: "lead" });
  const bar = make("progress", { attributes: { "aria-label": "How far the service has started" } });
  const heading = make("h1", null, "One moment");
  root.replaceChildren(make("section", { className: "centred not-ready" }, heading, bar, words,
    make("p", { className: "quiet" }, "This page looks again by itself and goes on as soon as the service is ready.")));
  let said = null;
  for (;;) {
    const problem = await whyNot(api, signal);
    if (!problem) return;
    const failed = problem.sentence.includes("could not start");
    heading.textContent = failed ? "The service could not start" : problem.title;
    bar.hidden = failed || problem.type === "unreachable";
    const [, done, of] = STARTED.exec(problem.message) ?? [];
    if (of) Object.assign(bar, { max: Number(of), value: Number(done) });
    else bar.removeAttribute("value");
    if (problem.sentence !== said) announce((words.textContent = said = problem.sentence));
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    signal.throwIfAborted();
  }
}

// Asked past `api`, whose event brought us here.
async function whyNot(api, signal) {
  try {
    const answer = await fetch(api.address("readyz"), { signal, cache: "no-store" });
    return answer.ok ? null : await Problem.of(answer);
  } catch (error) {
    if (isAbort(error)) throw error;
    return Problem.unreachable();
  }
}
