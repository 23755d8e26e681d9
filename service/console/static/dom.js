// Elements from what they hold. Text is only ever set as text: nothing of an answer becomes markup.

const SVG = "http://www.w3.org/2000/svg";

// Properties are set as properties; what has no property (aria-*, role, for) goes into `attributes`, listeners into `on`.
export function make(tag, properties, ...children) {
  const { dataset, attributes, on, ...others } = properties ?? {};
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  setAttributes(element, attributes);
  for (const [event, listener] of Object.entries(on ?? {})) element.addEventListener(event, listener);
  element.append(...present(children));
  return element;
}

export function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  element.append(...present(children));
  return element;
}

let made = 0;

// An id that no other element has, for labels and descriptions.
export function freshId(word) {
  return `${word}-${++made}`;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {}))
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
}

function present(children) {
  return children.flat(3).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}
