// What is looked for: an item of the gallery, a sample, or pictures of one person.
//
// Items and samples stand in the address. Pictures do not: they are kept here, while the page lives, under a number
// that the history entry holds.

const held = new Map();
let last = 0;

// pictures: a list of {blob, name, whole}; whole is the larger photo {blob, name} that it was cut out of, or null.
export function keepPictures(pictures) {
  held.set(++last, pictures);
  return { probe: last };
}

// {kind: "none" | "item" | "sample" | "pictures" | "forgotten", ...}
export function probeOf({ params, state }) {
  if (params.get("item")) return { kind: "item", id: params.get("item") };
  if (params.get("sample")) return { kind: "sample", name: params.get("sample") };
  if (!state?.probe) return { kind: "none" };
  const pictures = held.get(state.probe);
  return pictures ? { kind: "pictures", pictures } : { kind: "forgotten" };
}

// Whether two probes are the same: only how to search has then changed.
export function sameProbe(one, other) {
  return one.kind === other.kind && one.id === other.id && one.name === other.name && one.pictures === other.pictures;
}
