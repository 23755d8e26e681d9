// Sightings: results that may be the person, in the order of time, those of one camera and moment as one visit.

import { natural } from "./words.js";

const SAME_VISIT_SECONDS = 120;
const TAKEN_WITHOUT_VERDICTS = 10;

// Which results count as sightings. withUnsure: whether unsure ones do too. {results, without}: without calibration the
// best few are taken.
export function sightingsOf(results, withUnsure) {
  if (results.every((one) => one.verdict === null))
    return { results: results.slice(0, TAKEN_WITHOUT_VERDICTS), without: true };
  const wanted = withUnsure ? ["likely", "unsure"] : ["likely"];
  return { results: results.filter((one) => one.confirmed || wanted.includes(one.verdict)), without: false };
}

// {cameras, visits, untimed}. A visit: {camera, from, to (milliseconds), hits (best first)}, in the order of time.
export function visitsOf(results) {
  const timed = results.filter((one) => one.captured_at !== null && one.camera_id !== null);
  const inTime = timed.map((hit) => ({ hit, at: Date.parse(hit.captured_at) })).sort((one, other) => one.at - other.at);
  const visits = [];
  for (const { hit, at } of inTime) {
    const last = visits.at(-1);
    if (last && last.camera === hit.camera_id && at - last.to <= 1000 * SAME_VISIT_SECONDS) {
      last.to = at;
      last.hits.push(hit);
    } else {
      visits.push({ camera: hit.camera_id, from: at, to: at, hits: [hit] });
    }
  }
  for (const visit of visits) visit.hits.sort((one, other) => one.rank - other.rank);
  const cameras = [...new Set(visits.map((one) => one.camera))].sort(natural);
  return { cameras, visits, untimed: results.length - timed.length };
}
