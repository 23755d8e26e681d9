// Work of the service that takes longer than a request: begun by a button, followed until it has ended.

import { make } from "./dom.js";
import { notice, problemNotice } from "./notices.js";
import { isAbort, Problem } from "./problem.js";
import { count, listed } from "./words.js";

const EVERY_MS = 300, SLOWER_MS = 2000;

// A button and what becomes of it. outcome(result): what to show, a text or an element. ended(): when it is done.
export function jobButton({ context, path, label, working, outcome, ended = () => {} }) {
  const told = make("div", { className: "job-told" });
  const button = make("button", { type: "button", on: { click: run } }, label);
  async function run() {
    const bar = make("progress", { attributes: { "aria-label": working } });
    button.disabled = true;
    told.replaceChildren(make("p", { attributes: { role: "status" } }, working), bar);
    try {
      const shown = outcome(await follow(context, path, bar));
      told.replaceChildren(typeof shown === "string" ? notice(shown) : shown);
      context.announce(told.textContent);
      ended();
    } catch (error) {
      if (!isAbort(error)) told.replaceChildren(problemNotice(error));
    } finally {
      button.disabled = false;
    }
  }
  return make("div", { className: "stack job" }, make("div", null, button), told);
}

export function purging(context, path, ended) {
  return jobButton({ context, path: `${path}/compact`, label: "Purge now", ended,
    working: "Purging: the gallery's files are written anew …",
    outcome: ({ purged, bytes_before: before, bytes_after: after, rewritten }) =>
      `${purged ? `Nothing is left on disk of ${count(purged, "deleted item")}` : "There was nothing to purge"}. `
      + `${rewritten.length ? `Written anew: ${listed(rewritten)}. ` : ""}The gallery took ${size(before)} and takes ${size(after)}.` });
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toLocaleString("en-GB", { maximumSignificantDigits: 3 })} ${units[power]}`;
}

async function follow({ api, signal }, path, bar) {
  let job = await api.send("POST", path, { signal });
  for (let asked = 0; job.state === "waiting" || job.state === "running"; asked++) {
    if (job.progress !== null) bar.value = job.progress;
    await new Promise((resolve) => setTimeout(resolve, asked < 20 ? EVERY_MS : SLOWER_MS));
    signal.throwIfAborted();
    job = await api.get(`v1/jobs/${encodeURIComponent(job.id)}`, { signal });
  }
  if (job.state === "failed") throw new Problem(job.problem);
  return job.result;
}
