// Files that come to a gallery: dropped anywhere on its page, also as folders, or chosen.

import { freshId, make } from "./dom.js";
import { icon } from "./icons.js";

const isPicture = ({ file }) => file.type.startsWith("image/");

// take([{file, path}]): of folders only the pictures are taken. path: the name, with the folders that it lay in. fail(text):
// what was dropped cannot be read.
export function takeDropped(words, { take, fail, signal }) {
  const curtain = make("div", { className: "curtain", hidden: true }, make("p", null, words));
  document.body.append(curtain);
  signal.addEventListener("abort", () => curtain.remove(), { once: true });
  const on = (event, listener) => document.addEventListener(event, listener, { signal });
  const busy = () => document.querySelector("dialog[open]") !== null;
  const brings = (event) => {
    const files = [...(event.dataTransfer?.types ?? [])].includes("Files");
    if (files) event.preventDefault();  // or the browser would leave this page for the file
    return files && !busy();
  };
  on("dragover", (event) => brings(event) && (curtain.hidden = false));
  on("dragleave", (event) => event.relatedTarget === null && (curtain.hidden = true));
  on("drop", async (event) => {
    if (!brings(event)) return;
    curtain.hidden = true;
    try {
      const found = await filesOf(event.dataTransfer);
      if (found.length && !signal.aborted) take(found);
    } catch (error) {
      fail(`What was dropped cannot be read: ${error.message}.`);
    }
  });
}

// A button that opens the system's choice of files, or of a folder.
export function fileButton(label, take, { folder = false, primary = false } = {}) {
  const input = make("input", { type: "file", id: freshId("files"), className: "unseen", multiple: true, webkitdirectory: folder });
  input.addEventListener("change", () => {
    const found = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    input.value = "";  // so that the same can be chosen again
    const taken = folder ? found.filter(isPicture) : found;
    if (taken.length) take(taken);
  });
  return make("span", { className: "choose" }, input,
    make("label", { className: `button ${primary ? "button-primary" : ""}`, htmlFor: input.id }, icon(folder ? "add" : "picture"), label));
}

async function filesOf(transfer) {
  // Before anything is awaited: the items are gone when the event is over.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const found = await Promise.all(entries.map(async ([entry, file]) => {
    if (!entry?.isDirectory) return file ? [{ file, path: file.name }] : [];
    return (await within(entry)).filter(isPicture);
  }));
  return found.flat();
}

async function within(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));  // a hundred at a time
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(within))).flat();
}
