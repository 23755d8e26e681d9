// Pictures of items: fetched with the key, as an image's own address could not be, when they come near the window.

import { draw, make } from "./dom.js";
import { isAbort } from "./problem.js";

const MOST_KEPT = 600;

export class Crops {
  // signal: when it is aborted, all pictures are let go.
  constructor(api, signal) {
    this.api = api;
    this.signal = signal;
    this.kept = new Map();  // address -> promise of an object URL, the least lately used first
    this.waiting = new WeakMap();
    this.watcher = new IntersectionObserver((seen) => this.#come(seen), { rootMargin: "300px" });
    signal.addEventListener("abort", () => this.#release(), { once: true });
  }

  // An element of the class `crop` that shows the picture, or says that none is kept. alt: "" where words stand beside.
  show(url, alt = "") {
    if (!url) return missing("No picture is kept");
    const image = make("img", { className: "crop", alt, decoding: "async", draggable: false });
    image.classList.add("crop-coming");
    this.waiting.set(image, url);
    this.watcher.observe(image);
    return image;
  }

  #come(seen) {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      this.watcher.unobserve(target);
      this.#fill(target, this.waiting.get(target));
    }
  }

  async #fill(image, url) {
    try {
      image.src = await this.#objectUrl(url);
      await image.decode();
      image.classList.remove("crop-coming");
    } catch (error) {
      if (!isAbort(error) && !this.signal.aborted) image.replaceWith(missing("The picture did not come"));
    }
  }

  #objectUrl(url) {
    const held = this.kept.get(url) ?? this.api.blob(url, { signal: this.signal }).then((blob) => URL.createObjectURL(blob));
    this.kept.delete(url);
    this.kept.set(url, held);
    held.catch(() => this.kept.delete(url));
    // A picture that is shown stays shown when its address is let go: only showing it anew fetches it again.
    for (const old of this.kept.keys()) {
      if (this.kept.size <= MOST_KEPT) break;
      this.#forget(old);
    }
    return held;
  }

  #forget(url) {
    this.kept.get(url)?.then((objectUrl) => URL.revokeObjectURL(objectUrl), () => {});
    this.kept.delete(url);
  }

  #release() {
    this.watcher.disconnect();
    for (const url of [...this.kept.keys()]) this.#forget(url);
  }
}

// In place of a picture that there is not.
export function missing(words) {
  return make("span", { className: "crop crop-missing", attributes: { role: "img", "aria-label": words }, title: words },
    draw("svg", { viewBox: "0 0 32 64", "aria-hidden": "true" },
      draw("circle", { cx: 16, cy: 17, r: 6 }), draw("path", { d: "M8 50V34a8 8 0 0 1 16 0v16z" })));
}
