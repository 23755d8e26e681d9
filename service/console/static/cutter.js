// A crop out of a larger photo: a box that is drawn with the pointer, moved by keys, or given in numbers.

import { between, holds, moved, oppositeCorner, resized, same, suggested, within } from "./box.js";
import { freshId, make } from "./dom.js";
import { icon } from "./icons.js";

const MOST_SHOWN = 1600;  // pixels of a side: a larger photo is painted smaller, and cut at its own size all the same
const REACH = 18;  // of a corner, in pixels of the screen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SIDES = [["left", "Left"], ["top", "Top"], ["width", "Width"], ["height", "Height"]];

// Resolves to a picture {blob, name, whole}: cut out, or the whole as it is; to null if it was given up.
export async function cutOut({ blob, name }, { announce }) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const size = { width: bitmap.width, height: bitmap.height };
  let box = suggested(size);
  const before = [];
  const shrunk = Math.min(1, MOST_SHOWN / Math.max(size.width, size.height));
  const canvas = make("canvas", {
    width: Math.round(shrunk * size.width), height: Math.round(shrunk * size.height), tabIndex: 0,
    attributes: { role: "application", "aria-roledescription": "box on a photo", "aria-describedby": "cut-keys" },
  });
  const paint = () => drawBox(canvas.getContext("2d"), bitmap, box, shrunk);
  const undo = make("button", { type: "button", disabled: true }, icon("undo"), "Undo");
  const inputs = Object.fromEntries(SIDES.map(([side]) => [side, make("input", { type: "number", id: freshId("cut"), step: 1 })]));

  function show() {
    paint();
    undo.disabled = before.length === 0;
    for (const [side] of SIDES) inputs[side].value = box[side];
    canvas.setAttribute("aria-label", `Box of ${box.width} by ${box.height} pixels, ${box.left} from the left and ${box.top} ` +
      `from the top, on a photo of ${size.width} by ${size.height}`);
  }
  function change(next, remember = true) {
    if (same(next, box)) return;
    if (remember) before.push(box);
    box = next;
    show();
  }
  undo.addEventListener("click", () => {
    box = before.pop();
    show();
    if (undo.disabled) canvas.focus();
    announce("The box is as it was before.");
  });
  for (const [side] of SIDES)
    inputs[side].addEventListener("change", () => change(within({ ...box, [side]: Number(inputs[side].value) || 0 }, size)));
  followPointer(canvas, size, () => box, change);
  canvas.addEventListener("keydown", (event) => {
    const [x, y] = ARROWS[event.key] ?? [];
    if (x === undefined) return;
    event.preventDefault();
    const by = Math.max(1, Math.round((event.ctrlKey ? 0.002 : 0.02) * Math.max(size.width, size.height)));
    change((event.shiftKey ? resized : moved)(box, by * x, by * y, size));
    announce(`${box.width} by ${box.height}, at ${box.left}, ${box.top}`);
  });

  const { promise, resolve } = Promise.withResolvers();
  const dialog = make("dialog", { className: "dialog cut", attributes: { "aria-labelledby": "cut-title" } });
  const finish = (result) => (resolve(result), dialog.close());
  const cut = async () => finish({ blob: await cutBlob(bitmap, box), name: `cut-${name.replace(/\.\w+$/, "")}.png`, whole: { blob, name } });
  dialog.append(
    make("form", { on: { submit: (event) => (event.preventDefault(), cut()) } },
      make("h2", { id: "cut-title" }, "Cut the person out"),
      make("p", { className: "quiet", id: "cut-keys" }, "Draw a box around one person, or drag the one that is there. " +
        "Arrow keys move it, with Shift they change its size; with Ctrl, in small steps."),
      make("div", { className: "cut-sheet" }, canvas),
      make("details", { className: "quiet" }, make("summary", null, "The box in numbers"),
        make("div", { className: "cut-numbers" }, SIDES.map(([side, label]) =>
          make("div", { className: "field" }, make("label", { htmlFor: inputs[side].id }, label), inputs[side])))),
      make("div", { className: "row row-end" }, undo,
        make("button", { type: "button", className: "quiet-button", on: { click: () => finish(null) } }, "Cancel"),
        make("button", { type: "button", on: { click: () => finish({ blob, name, whole: null }) } }, "Use the whole picture"),
        make("button", { type: "submit", className: "primary" }, icon("cut"), "Cut out and search"))));
  dialog.addEventListener("close", () => (resolve(null), dialog.remove(), bitmap.close()));
  document.body.append(dialog);
  dialog.showModal();
  show();
  canvas.focus();
  return promise;
}

// Drawing begins outside the box, moving inside it, changing its size at a corner.
function followPointer(canvas, size, current, change) {
  let drag = null;
  const point = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: (size.width * (event.clientX - left)) / width, y: (size.height * (event.clientY - top)) / height };
  };
  const reach = () => (REACH * size.width) / canvas.getBoundingClientRect().width;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const from = point(event), box = current();
    const fixed = oppositeCorner(box, from, reach()) ?? (holds(box, from) ? null : from);
    drag = { from, box, fixed, remember: true };
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = point(event);
    if (!drag) {
      canvas.dataset.over = oppositeCorner(current(), now, reach()) ? "corner" : holds(current(), now) ? "box" : "";
      return;
    }
    const next = drag.fixed ? between(drag.fixed, now, size) : moved(drag.box, now.x - drag.from.x, now.y - drag.from.y, size);
    const earlier = current();
    change(next, drag.remember);
    drag.remember &&= same(current(), earlier);  // one drag is one step for undo
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drag = null));
}

function drawBox(paint, bitmap, box, shrunk) {
  const { width, height } = bitmap;
  const thin = Math.max(width, height) / 400;
  paint.setTransform(shrunk, 0, 0, shrunk, 0, 0);
  paint.drawImage(bitmap, 0, 0);
  paint.fillStyle = "#0b0c0f99";
  paint.fillRect(0, 0, width, height);
  paint.drawImage(bitmap, box.left, box.top, box.width, box.height, box.left, box.top, box.width, box.height);
  for (const [colour, line] of [["#000", 3 * thin], ["#fff", 1.5 * thin]]) {
    paint.strokeStyle = colour;
    paint.lineWidth = line;
    paint.strokeRect(box.left, box.top, box.width, box.height);
  }
  paint.fillStyle = "#fff";
  for (const x of [box.left, box.left + box.width])
    for (const y of [box.top, box.top + box.height]) {
      paint.beginPath();
      paint.arc(x, y, 4 * thin, 0, 2 * Math.PI);
      paint.fill();
    }
}

// As it is in the photo, pixel by pixel, without loss.
function cutBlob(bitmap, box) {
  const canvas = make("canvas", { width: box.width, height: box.height });
  canvas.getContext("2d").drawImage(bitmap, box.left, box.top, box.width, box.height, 0, 0, box.width, box.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
