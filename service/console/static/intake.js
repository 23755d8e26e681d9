// Pictures on their way in: chosen, dropped anywhere on the page, or pasted.

import { freshId, make } from "./dom.js";
import { icon } from "./icons.js";

const KINDS = "image/jpeg,image/png,image/webp,image/bmp";

// A button that opens the system's choice of files. take(files) gets what was chosen.
export function chooseButton(label, take, { primary = false, iconName = "picture", describedBy = null } = {}) {
  const id = freshId("choose");
  const input = make("input", { type: "file", id, accept: KINDS, multiple: true, className: "unseen",
    attributes: { "aria-describedby": describedBy } });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";  // so that the same file can be chosen again
    if (files.length) take(files);
  });
  return make("span", { className: "choose" }, input,
    make("label", { className: `button ${primary ? "button-primary" : ""}`, htmlFor: id }, icon(iconName), label));
}

// From now until the signal is aborted: what is dropped on the page or pasted into it.
export function takeDroppedAndPasted(take, signal) {
  const curtain = make("div", { className: "curtain", hidden: true }, make("p", null, "Drop it to search for this person"));
  document.body.append(curtain);
  signal.addEventListener("abort", () => curtain.remove(), { once: true });
  let depth = 0;  // of enter and leave events, which come from every element under the pointer
  const on = (event, listener) => document.addEventListener(event, listener, { signal });
  const show = (seen) => ((curtain.hidden = !seen), (depth = seen ? depth : 0));
  const brings = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files") && !document.querySelector("dialog[open]");
  on("dragenter", (event) => brings(event) && (event.preventDefault(), ++depth, show(true)));
  on("dragleave", (event) => brings(event) && --depth <= 0 && show(false));
  on("dragover", (event) => brings(event) && event.preventDefault());
  on("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    show(false);
    take([...event.dataTransfer.files]);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    take(files);
  });
}
