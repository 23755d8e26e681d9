// Making a gallery, and what is shown where there is none.

import { make } from "./dom.js";
import { notice } from "./notices.js";

const NAME = "[a-z0-9][a-z0-9._\\-]{0,62}";

export function noGallery(context) {
  return make("section", { className: "centred" }, make("h1", null, "There is no gallery yet"),
    make("p", { className: "lead" }, "A gallery holds the crops that are searched. Make one, and add crops to it."),
    make("button", { type: "button", className: "primary", on: { click: () => makeGallery(context) } }, "Make a gallery"));
}

export function makeGallery(context) {
  const name = make("input", { type: "text", id: "make-name", required: true, pattern: NAME, maxLength: 63, autocomplete: "off",
    spellcheck: false, title: "a to z, 0 to 9, dot, underscore and hyphen; a letter or digit first",
    attributes: { "aria-describedby": "make-name-hint" } });
  const keeps = make("input", { type: "checkbox", checked: true });
  const denies = make("input", { type: "checkbox" });
  const days = make("input", { type: "number", id: "make-days", min: 1, max: 36500, step: 1,
    attributes: { "aria-describedby": "make-days-hint" } });
  const told = make("div");
  const submit = make("button", { type: "submit", className: "primary" }, "Make it");
  const check = (input, label, hint) => make("label", { className: "make-check" }, input,
    make("span", null, label, make("span", { className: "quiet" }, hint)));
  const form = make("form", { on: { submit: send } },
    make("div", { className: "field" }, make("label", { htmlFor: "make-name" }, "Name"), name,
      make("p", { id: "make-name-hint", className: "quiet" }, "Small letters, digits, dots, hyphens: it stands in addresses.")),
    check(keeps, "Keep the pictures", "Otherwise only what the model makes of them is kept, and no wall can show them."),
    make("div", { className: "field" }, make("label", { htmlFor: "make-days" }, "Days until items expire"), days,
      make("p", { id: "make-days-hint", className: "quiet" },
        "Counted from the capture. Leave it empty to keep items until somebody deletes them.")),
    check(denies, "Refuse what was deleted",
      "An id that was deleted is not taken back, so that indexing the same folder again cannot restore it."),
    told,
    make("div", { className: "row row-end" },
      make("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"), submit));
  const dialog = make("dialog", { className: "dialog dialog-narrow", attributes: { "aria-labelledby": "make-title" } },
    make("div", { className: "dialog-head" }, make("h2", { id: "make-title" }, "A new gallery")), form);
  dialog.addEventListener("close", () => dialog.remove());

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    const json = { name: name.value.trim(), store_crops: keeps.checked, deny_erased: denies.checked };
    if (days.value) json.ttl_seconds = 86400 * Number(days.value);
    try {
      await context.api.send("POST", "v1/galleries", { json });
      dialog.close();
      history.pushState(null, "", `#/gallery?${new URLSearchParams({ gallery: json.name, view: "add" })}`);
      context.notify(`The gallery ${json.name} is made.`);
      context.reload();
    } catch (error) {
      told.replaceChildren(notice(error.sentence ?? error.message, { tone: "error" }));
      submit.disabled = false;
    }
  }
  document.body.append(dialog);
  dialog.showModal();
  name.focus();
}
