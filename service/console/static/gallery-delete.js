// Deleting: first counted, then confirmed, then told what was removed and what may be left of it.

import { freshId, make } from "./dom.js";
import { receipt } from "./gallery-receipt.js";
import { problemNotice } from "./notices.js";
import { isAbort } from "./problem.js";
import { count } from "./words.js";

const TYPED_FROM = 5;  // so many items are only deleted once somebody has typed how many they are
const SHOWN = 8;

// what: {ids} or {filter}, as the service takes them. words: what is meant. done() after items were deleted.
export async function deleteDialog({ context, path, what, words, done }) {
  const { api } = context;
  const asking = new AbortController();
  const title = make("h2", { id: "delete-title" }, "Delete");
  const body = make("div", { className: "stack" });
  const dialog = make("dialog", { className: "dialog delete-dialog", attributes: { "aria-labelledby": "delete-title" } },
    make("div", { className: "dialog-head" }, title), body);
  const close = () => dialog.close();
  let deleted = false;
  dialog.addEventListener("close", () => {
    asking.abort();
    dialog.remove();
    if (deleted) done();
  });
  context.signal.addEventListener("abort", close, { once: true });
  document.body.append(dialog);
  dialog.showModal();

  const send = (dry) => api.send("POST", `${path}/items:delete`, { json: { ...what, dry_run: dry }, signal: asking.signal });
  // Shows what comes of a request, or what is wrong with it.
  async function step(waiting, ask, show) {
    const again = () => step(waiting, ask, show);
    body.replaceChildren(make("p", { attributes: { role: "status" } }, waiting),
      make("progress", { attributes: { "aria-label": waiting } }), closing("Cancel"));
    try {
      show(await ask());
    } catch (error) {
      if (isAbort(error) || !dialog.open) return;
      body.replaceChildren(problemNotice(error, again), closing("Close"));
    }
  }
  const closing = (label, ...others) => make("div", { className: "row row-end" },
    make("button", { type: "button", on: { click: close } }, label), others);

  const confirm = (would) => {
    const many = would.ids.length;
    title.textContent = many ? `Delete ${count(many, "item")}?` : "There is nothing to delete";
    const gone = would.missing.length;
    const missing = gone ? make("p", { className: "quiet" }, `Not there any more: ${count(gone, "item")} of those.`) : null;
    if (!many) {
      body.replaceChildren(make("p", null, `There is no item in ${context.gallery} that this would remove.`), missing, closing("Close"));
      return;
    }
    const unsure = many >= TYPED_FROM;
    const button = make("button", { type: "submit", className: "danger-button", disabled: unsure }, `Delete ${count(many, "item")}`);
    const typed = make("input", { type: "text", id: freshId("typed"), inputMode: "numeric", autocomplete: "off", size: 12 });
    typed.addEventListener("input", () => (button.disabled = typed.value.trim().replace(/[,. ]/g, "") !== String(many)));
    const form = make("form", { on: { submit: (event) => (event.preventDefault(), button.disabled || erase(many)) } },
      make("p", null, "This would remove ", make("strong", null, count(many, "item")), ` from ${context.gallery}: ${words}.`),
      preview(would.ids, context, path), missing,
      make("p", { className: "quiet" },
        "No search finds them from then on. Only a snapshot that was taken before can bring them back."),
      unsure ? make("div", { className: "field" }, make("label", { htmlFor: typed.id }, `Type ${many} to confirm`), typed) : null,
      closing("Cancel", button));
    body.replaceChildren(form);
    (unsure ? typed : form.querySelector("button")).focus();
    context.announce(`This would remove ${count(many, "item")}.`);
  };
  const erase = (many) => step(`Deleting ${count(many, "item")} …`, () => send(false), (told) => {
    deleted = told.ids.length > 0;
    title.textContent = deleted ? `${count(told.ids.length, "item")} deleted` : "Nothing was deleted";
    const close = closing("Close");
    body.replaceChildren(receipt(told, { context, path, expected: many }), close);
    close.firstElementChild.focus();
    context.announce(title.textContent);
  });
  await step("Counting what this would remove …", () => send(true), confirm);
}

function preview(ids, { crops }, path) {
  const rest = ids.length - SHOWN;
  return make("ul", { className: "delete-preview" },
    ids.slice(0, SHOWN).map((id) => make("li", { title: id }, crops.show(`${path}/items/${encodeURIComponent(id)}/crop`, id))),
    rest > 0 ? make("li", { className: "quiet" }, `and ${rest.toLocaleString("en-GB")} more`) : null);
}
