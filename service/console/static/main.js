// The console: which page is shown, of which gallery, and what concerns every page (the key, a service that starts).
//
// A page is a module that exports `show(root, context)`. context: api, crops (see crops.js), gallery (a name, or null
// where there is none), galleries (as the API lists them), params (of the address), state (of the history entry),
// announce(text), notify(text, action), navigate(hash, {state, replace}), reload() after galleries were made or
// dropped, and signal, which is aborted when the page goes. `show` may return a function: it is called with
// {params, state} when only those change; without one the page is then shown anew.

import { readAddress, writeAddress } from "./address.js";
import { Api } from "./api.js";
import { Crops } from "./crops.js";
import { make } from "./dom.js";
import { askForKey } from "./key-dialog.js";
import { waitUntilReady } from "./not-ready.js";
import { announce, notice, notify, problemNotice } from "./notices.js";
import { isAbort } from "./problem.js";

const PAGES = {
  search: { title: "Search", load: () => import("./search-page.js") },
  gallery: { title: "Gallery", load: () => import("./gallery-page.js") },
};
const at = (id) => document.getElementById(id);
const api = new Api();
let galleries = null;  // null until they are known
let shown = null;  // {page, gallery, update, leaving}

// Shows what the address says.
async function route() {
  const { page: asked, params } = readAddress(location.hash);
  const page = asked in PAGES ? asked : "search";
  const gallery = chosenGallery(params);
  if (shown && shown.page === page && shown.gallery === gallery && shown.update) {
    shown.update({ params, state: history.state });
    return;
  }
  const first = shown === null;
  const leaving = leave();
  const signal = leaving.signal;
  const own = (shown = { page, gallery, update: null, leaving });
  const root = at("content");
  if (!first) {
    scrollTo(0, 0);
    root.focus({ preventScroll: true });
  }
  try {
    if (!galleries) {
      root.replaceChildren(make("p", { className: "centred quiet" }, "Asking the service …"));
      galleries = (await api.get("v1/galleries", { signal })).galleries;
    }
    own.gallery = chosenGallery(params);
    showBar(page, own.gallery);
    document.title = `${PAGES[page].title} · Vantage`;
    const { show } = await PAGES[page].load();
    signal.throwIfAborted();
    root.replaceChildren();
    const context = { api, crops: new Crops(api, signal), gallery: own.gallery, galleries, params, state: history.state,
      announce, notify, navigate, reload, signal };
    own.update = (await show(root, context)) ?? null;
  } catch (error) {
    if (isAbort(error) || signal.aborted) return;
    if (error.status !== undefined) root.replaceChildren(problemNotice(error, reload));
    else root.replaceChildren(notice(`This page cannot be shown: ${error.message}.`, { tone: "error" }));
  }
}

function leave() {
  shown?.leaving.abort();
  return new AbortController();
}

// Where the address names none: the demo, or else the first.
function chosenGallery(params) {
  const names = (galleries ?? []).map((one) => one.name);
  return params.get("gallery") ?? (names.includes("demo") ? "demo" : names[0] ?? null);
}

function showBar(page, gallery) {
  const names = galleries.map((one) => one.name);
  if (gallery && !names.includes(gallery)) names.push(gallery);
  at("gallery").replaceChildren(...names.map((name) => make("option", { value: name, selected: name === gallery }, name)));
  at("gallery-choice").hidden = names.length === 0;
  at("key-button").hidden = !api.key;
  const params = new URLSearchParams(gallery ? { gallery } : {});
  at("brand").href = writeAddress("search", params);
  for (const link of at("pages").children) {
    link.href = writeAddress(link.dataset.page, params);
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function navigate(hash, { state = null, replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](state, "", hash);
  route();
}

// Galleries, and then the page, are asked for anew.
function reload() {
  galleries = null;
  shown?.leaving.abort();
  shown = null;
  return route();
}

function enterKey(reason = null) {
  askForKey({ reason, held: Boolean(api.key), entered: (key) => ((api.key = key), reload()) });
}

api.addEventListener("key-wanted", ({ detail: { problem, refused } }) => {
  at("key-button").hidden = false;
  if (!at("key-dialog")) enterKey(refused ? problem.sentence : null);
});
api.addEventListener("waiting", ({ detail }) => notify(`The service is busy: it is asked again in ${detail} s.`));
let waiting = false;
api.addEventListener("not-ready", async () => {
  if (waiting) return;
  waiting = true;
  const leaving = leave();
  shown = { leaving };
  try {
    await waitUntilReady(at("content"), api, leaving.signal);
    announce("The service is ready.");
    reload();
  } catch (error) {
    if (!isAbort(error)) throw error;  // another page was wanted, which will ask by itself
  } finally {
    waiting = false;
  }
});

at("skip").addEventListener("click", (event) => {
  event.preventDefault();  // the address says which page is shown
  at("content").focus();
});
at("key-button").addEventListener("click", () => enterKey());
at("gallery").addEventListener("change", ({ target }) =>
  navigate(writeAddress(readAddress(location.hash).page, new URLSearchParams({ gallery: target.value }))));
addEventListener("popstate", () => {
  for (const dialog of document.querySelectorAll("dialog[open]:not(#key-dialog)")) dialog.close();  // of what was shown before
  route();
});
route();
