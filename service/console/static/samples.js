// The demo's queries, which come with the service: for those who have no crop at hand.

import { Problem } from "./problem.js";

export async function samplesOf(api, signal) {
  return (await api.get("console/samples", { signal })).samples;
}

export function sampleAddress(api, name) {
  return api.address(samplePath(name)).href;
}

// A sample's picture; an address may name one that there is not.
export async function sampleOf(api, name, signal) {
  if (!(await samplesOf(api, signal)).includes(name))
    throw new Problem({ status: 404, title: "There is no such sample", detail: `the demo has no query ${name}: choose another` });
  return api.blob(samplePath(name), { signal });
}

function samplePath(name) {
  return `console/samples/${encodeURIComponent(name)}`;
}
