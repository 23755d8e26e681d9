// What stands behind the # of the address: #/search?gallery=demo&item=... A page, and what can be shared of its state.

export function readAddress(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?", 2);
  return { page: path || "search", params: new URLSearchParams(query ?? "") };
}

export function writeAddress(page, params) {
  const kept = new URLSearchParams([...params].filter(([, value]) => value !== ""));
  return `#/${page}${kept.size ? `?${kept}` : ""}`;
}
