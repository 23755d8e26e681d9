// A search: what is sent for a probe and options, and where the results would stand without re-ranking.

const COMPARED_AT_LEAST = 100;
const MOST = 1000;
export const APART_SECONDS = 60;

// How to search, as the address has it. gallery: as the API lists it.
export function readOptions(params, gallery) {
  const usual = gallery?.settings.rerank ?? "online";
  const reranked = (params.get("rerank") ?? (usual === "off" ? "off" : "on")) !== "off";
  return {
    reranked,
    mode: reranked ? (usual === "off" ? "online" : usual) : "off",
    cameras: params.getAll("camera"),
    from: params.get("from"),
    to: params.get("to"),
    viewpoints: params.getAll("viewpoint"),
    group: ["person", "tracklet"].includes(params.get("group")) ? params.get("group") : "none",
    apart: params.get("apart") === "1" && params.has("item"),
    k: Math.min(MOST, Math.max(1, Number.parseInt(params.get("k"), 10) || 24)),
  };
}

export function ask(api, gallery, probe, options, signal) {
  return send(api, gallery, probe, { ...parametersOf(options), rerank: options.mode, explain: true }, signal);
}

// The places without re-ranking, {of: by id, compared: how many}; null where there is nothing to compare. In groups there
// is not, because without re-ranking others stand for theirs.
export async function plainPlaces(api, gallery, probe, options, answer, signal) {
  if (!canCompare(options, answer)) return null;
  const k = Math.min(MOST, Math.max(COMPARED_AT_LEAST, 4 * options.k));
  const { results } = await send(api, gallery, probe, { ...parametersOf(options), rerank: "off", include: [], top_k: k }, signal);
  return { of: new Map(results.map((one) => [one.id, one.rank])), compared: results.length };
}

export function canCompare(options, answer) {
  return answer.rerank.applied && options.group === "none";
}

// The probe's name in feedback, as the API wants it.
export function probeName(query) {
  return query.item_id === null ? { probe_sha256: query.sha256 } : { probe_item_id: query.item_id };
}

function parametersOf(options) {
  const filter = {};
  if (options.cameras.length) filter.camera_ids = options.cameras;
  if (options.viewpoints.length) filter.viewpoints = options.viewpoints;
  if (options.from) filter.time_from = options.from;
  if (options.to) filter.time_to = options.to;
  const grouped = options.group === "none" ? {} : { group_by: options.group, max_per_group: 3 };
  const apart = options.apart ? { exclude_same_camera_within_s: APART_SECONDS } : {};
  return { top_k: options.k, ...apart, ...(Object.keys(filter).length ? { filter } : {}), ...grouped };
}

function send(api, gallery, probe, parameters, signal) {
  const path = `v1/galleries/${encodeURIComponent(gallery)}/search`;
  if (probe.kind === "item") return api.send("POST", path, { json: { item_id: probe.id, ...parameters }, signal });
  const form = new FormData();
  for (const { blob, name } of probe.pictures) form.append("image", blob, name);
  form.append("params", JSON.stringify(parameters));
  return api.send("POST", probe.pictures.length > 1 ? `${path}:batch` : path, { body: form, signal });
}
