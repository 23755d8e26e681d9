// How a gallery is and is kept: its health in plain words, snapshots, purging, and dropping it.

import { freshId, make } from "./dom.js";
import { health } from "./gallery-health.js";
import { jobButton, purging, size } from "./gallery-jobs.js";
import { notice, problemNotice } from "./notices.js";
import { isAbort } from "./problem.js";
import { count, fullMoment, number } from "./words.js";

export class Keeping {
  constructor(context, path, act) {
    Object.assign(this, { context, path });
    this.health = make("div");
    this.snapshots = make("div");
    const again = () => this.show();
    const check = jobButton({ context, path: `${path}/verify`, label: "Check everything", outcome: checked,
      working: "Comparing all that is kept with everything else …" });
    const snapshot = jobButton({ context, path: `${path}/snapshots`, label: "Take a snapshot", ended: again,
      working: "Copying the gallery as it is now; searches and writes go on …",
      outcome: (taken) => `The snapshot ${taken.name} holds ${count(taken.count, "item")} in ${size(taken.bytes)}.` });
    const drop = make("button", { type: "button", className: "danger", on: { click: () => dropDialog(context, path) } },
      "Drop the gallery …");
    this.element = make("section", { className: "keeping", attributes: { "aria-label": "Health and safekeeping" } },
      part("Health", this.health, check), make("div", { className: "stack" },
      part("Snapshots", make("p", { className: "quiet" }, "A snapshot is a whole copy on the server's disk. ",
        make("code", null, "vantage gallery restore"), " brings one back."), this.snapshots, snapshot),
      part("What was deleted", make("p", null, "Deleted items are found by no search any more. Purging also leaves nothing "
        + "of them on the disk, neither in the gallery's files nor in its snapshots."),
        purging(context, path, () => (act.changed(), this.show()))),
      part("Drop this gallery", make("p", null, "Everything it holds goes. Its snapshots stay."),
        make("div", null, drop))));
  }

  show() {
    this.#fill(this.health, async (get) => health(...await Promise.all([get(this.path), get("version")])));
    this.#fill(this.snapshots, async (get) => snapshotTable((await get(`${this.path}/snapshots`)).snapshots));
  }

  async #fill(place, ask) {
    if (!place.childElementCount) place.replaceChildren(make("p", { className: "quiet waiting" }, "Asking the service …"));
    try {
      const { api, signal } = this.context;
      place.replaceChildren(await ask((path) => api.get(path, { signal })));
    } catch (error) {
      if (!isAbort(error)) place.replaceChildren(problemNotice(error, () => this.show()));
    }
  }
}

function part(heading, ...content) {
  const id = freshId("part");
  return make("section", { className: "card stack", attributes: { "aria-labelledby": id } }, make("h2", { id }, heading), content);
}

function snapshotTable(snapshots) {
  if (!snapshots.length) return make("p", null, "There is no snapshot of it yet.");
  const rows = snapshots.map((one) => make("tr", null, make("td", null, fullMoment(one.at)),
    make("td", { className: "figures" }, number(one.count)), make("td", { className: "figures" }, size(one.bytes)),
    make("td", null, make("code", null, one.name))));
  const heads = ["Taken", "Items", "Size", "Name"].map((word) => make("th", null, word));
  return make("div", { className: "scroll", tabIndex: 0, attributes: { role: "region", "aria-label": "All snapshots" } },
    make("table", null, make("thead", null, make("tr", null, heads)), make("tbody", null, rows)));
}

function checked({ sound, checked: looked, findings }) {
  const places = Object.entries(looked).map(([place, many]) => `${number(many)} ${place}`).join(", ");
  if (sound) return notice(`Everything is sound. Looked at: ${places}.`);
  return make("div", { className: "notice notice-error", attributes: { role: "alert" } },
    make("p", { className: "notice-heading" }, count(findings.length, "finding")),
    make("ul", { className: "plain-list" }, findings.map(({ place, problem, remedy }) =>
      make("li", null, `${place}: ${problem}. What to do: ${remedy}.`))));
}

// The name must be typed: nothing but a snapshot brings a gallery back.
function dropDialog(context, path) {
  const typed = make("input", { type: "text", id: "drop-name", autocomplete: "off", spellcheck: false });
  const button = make("button", { type: "submit", className: "danger-button", disabled: true }, "Drop it");
  const told = make("div");
  typed.addEventListener("input", () => (button.disabled = typed.value.trim() !== context.gallery));
  const drop = async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    try {
      await context.api.send("DELETE", path);
      dialog.close();
      history.pushState(null, "", "#/gallery");
      context.notify(`The gallery ${context.gallery} is dropped.`);
      context.reload();
    } catch (error) {
      told.replaceChildren(problemNotice(error));
      button.disabled = false;
    }
  };
  const dialog = make("dialog", { className: "dialog dialog-narrow", attributes: { "aria-labelledby": "drop-title" } },
    make("div", { className: "dialog-head" }, make("h2", { id: "drop-title" }, `Drop ${context.gallery}?`)),
    make("form", { on: { submit: drop } },
      make("p", null, "All its items, pictures and judgements go, and no search finds them any more."),
      make("div", { className: "field" }, make("label", { htmlFor: "drop-name" }, `Type ${context.gallery} to confirm`), typed),
      told,
      make("div", { className: "row row-end" },
        make("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"), button)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  typed.focus();
}
