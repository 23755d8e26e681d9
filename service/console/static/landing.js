// What is shown before anything was searched for: a place for a crop, and samples for those who have none.

import { make } from "./dom.js";
import { chooseButton } from "./intake.js";
import { sampleAddress, samplesOf } from "./samples.js";
import { count } from "./words.js";

// info: the gallery as the API lists it. take(files), search(params): a sample is searched for by its name.
export function landing({ info, gallery, context, take, search, message }) {
  const hint = make("p", { id: "intake-hint", className: "quiet" },
    "JPEG, PNG, WebP or BMP. Several pictures are taken as crops of the same person; of a larger photo you cut the person out.");
  const zone = make("div", { className: "intake" },
    make("p", { className: "intake-call" }, "Drop a crop of a person here, or paste one"),
    make("p", { className: "quiet" }, make("kbd", null, "Ctrl"), " + ", make("kbd", null, "V"), " pastes a copied picture"),
    chooseButton("Choose a picture", take, { primary: true, describedBy: "intake-hint" }), hint);
  const samples = make("section", { className: "samples", hidden: true });
  if (gallery === "demo") showSamples(samples, context, search);
  return make("div", { className: "landing stack" },
    make("header", { className: "stack-tight" },
      make("h1", null, "Who is this?"),
      make("p", { className: "lead" }, "Give a crop of one person. You see which of the ", info ? `${count(info.count, "crop")} in ` : "crops in ",
        make("strong", null, gallery), " are most like that person, and where the cameras saw them.")),
    message, info?.count === 0 ? emptyGallery(gallery) : null, zone, samples);
}

function emptyGallery(gallery) {
  return make("p", { className: "notice" }, "There is nothing in this gallery yet. ",
    make("a", { href: `#/gallery?gallery=${encodeURIComponent(gallery)}` }, "Add crops to it"), ", then search.");
}

async function showSamples(section, { api, signal }, search) {
  const samples = await samplesOf(api, signal).catch(() => []);
  if (!samples.length) return;
  section.append(
    make("h2", null, "No crop at hand? Take one of these"),
    make("p", { className: "quiet" }, "Rendered figures, no real people. None of these crops is itself in the gallery."),
    make("ul", { className: "sample-row" }, samples.map((name, at) => make("li", null,
      make("button", { type: "button", className: "bare sample", on: { click: () => search(new URLSearchParams({ sample: name })) } },
        make("img", { className: "crop", src: sampleAddress(api, name), alt: `Sample ${at + 1}`, width: 64, height: 128, loading: "lazy" }))))));
  section.hidden = false;
}
