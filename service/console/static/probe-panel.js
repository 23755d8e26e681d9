// What is looked for, beside the results: its pictures, and what else can be done with them.

import { missing } from "./crops.js";
import { make } from "./dom.js";
import { icon } from "./icons.js";
import { chooseButton } from "./intake.js";
import { viewpointBadge } from "./viewpoint.js";

// act: {fresh(), add(files), cut(at), uncut(at), remove(at)}. Returns the element; `fill` shows a sample once it has come,
// `release` lets the pictures go.
export function probePanel(probe, context, act) {
  const urls = [];
  const own = (blob) => (urls.push(URL.createObjectURL(blob)), urls.at(-1));
  const figures = {
    item: () => [make("figure", { className: "probe-figure" },
      context.crops.show(context.keepsCrops ? itemCrop(context.gallery, probe.id) : null, "The crop that is looked for"))],
    sample: () => [make("figure", { className: "probe-figure" },
      make("img", { className: "crop crop-coming", alt: "" }))],
    pictures: () => probe.pictures.map((one, at) => pictureFigure(one, at, probe.pictures.length, own, act)),
  }[probe.kind]();
  const several = figures.length > 1;
  const element = make("section", { className: `card probe ${several ? "probe-several" : ""}`, attributes: { "aria-labelledby": "probe-title" } },
    make("h2", { id: "probe-title" }, several ? `Looked for, in ${figures.length} crops` : "Looked for"),
    make("div", { className: "probe-figures" }, figures),
    probe.kind === "item" ? make("p", { className: "probe-name" }, probe.id) : make("p", { className: "quiet", id: "probe-seen" }),
    make("div", { className: "probe-actions" },
      make("button", { type: "button", on: { click: act.fresh } }, icon("search"), "New search"),
      probe.kind === "item" ? null : chooseButton("Add a crop", act.add, { iconName: "add" })));
  const fill = (blob) => {
    const image = element.querySelector(".crop-coming");
    Object.assign(image ?? {}, { src: own(blob), className: "crop", alt: "The sample that is looked for" });
  };
  return { element, fill, release: () => urls.forEach((url) => URL.revokeObjectURL(url)) };
}

// What the answer tells of the probe.
export function tellProbe(panel, query) {
  const badge = viewpointBadge(query.viewpoint);
  panel.querySelector("#probe-seen")?.replaceChildren(...[badge && "Seen from the ", badge, badge && query.width && make("br"),
    query.width && `${query.width} × ${query.height} pixels`].filter(Boolean));
}

export function itemCrop(gallery, id) {
  return `v1/galleries/${encodeURIComponent(gallery)}/items/${encodeURIComponent(id)}/crop`;
}

// Nothing can be cut out of it either.
function undecodable({ target }) {
  target.parentElement.replaceChildren(missing("No picture"));
}

function pictureFigure(picture, at, of, own, act) {
  const which = of > 1 ? ` ${at + 1}` : "";
  return make("figure", { className: "probe-figure" },
    make("img", { className: "crop", src: own(picture.blob), alt: `The crop${which} that is looked for`, on: { error: undecodable } }),
    make("figcaption", { className: "probe-tools" },
      make("button", { type: "button", className: "icon-button", title: picture.whole ? "Cut it out again" : "Cut a person out of it",
        attributes: { "aria-label": `Cut a person out of crop${which || " 1"}` }, on: { click: () => act.cut(at) } }, icon("cut")),
      picture.whole ? make("button", { type: "button", className: "icon-button", title: "Back to the whole picture",
        attributes: { "aria-label": "Back to the whole picture" }, on: { click: () => act.uncut(at) } }, icon("undo")) : null,
      of > 1 ? make("button", { type: "button", className: "icon-button", title: "Leave this crop out",
        attributes: { "aria-label": `Leave crop${which} out` }, on: { click: () => act.remove(at) } }, icon("close")) : null));
}
