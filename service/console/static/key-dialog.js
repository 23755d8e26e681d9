// Where the service wants an API key: asked for, with the reason, and kept for this tab only.

import { make } from "./dom.js";

// Calls `entered` with a key, or with null where the present one is to be forgotten.
export function askForKey({ reason, held, entered }) {
  document.getElementById("key-dialog")?.remove();
  const input = make("input", {
    id: "key-input", type: "password", autocomplete: "off", spellcheck: false, required: true, placeholder: "vk_…",
    attributes: { "aria-describedby": "key-why key-kept" },
  });
  const dialog = make("dialog", { id: "key-dialog", className: "dialog dialog-narrow", attributes: { "aria-labelledby": "key-title" } });
  const done = (key) => (dialog.close(), entered(key));
  const submit = (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (key) done(key);
  };
  dialog.append(
    make("form", { on: { submit } },
      make("h2", { id: "key-title" }, "API key"),
      make("p", { id: "key-why", className: reason ? "notice notice-warning" : "" }, reason ?? "This service is asked with a key."),
      make("label", { htmlFor: "key-input", className: "field-label" }, "Your key"),
      input,
      make("p", { id: "key-kept", className: "quiet" },
        "It is kept in this tab alone and forgotten when the tab is closed. An operator makes keys with ",
        make("code", null, "vantage key create"), "."),
      make("div", { className: "row row-end" },
        held ? make("button", { type: "button", className: "quiet-button", on: { click: () => done(null) } }, "Forget the key") : null,
        make("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        make("button", { type: "submit", className: "primary" }, "Use this key"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}
