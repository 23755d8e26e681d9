// Elements from what they hold. Text is only ever set as text: nothing of the document or of an answer becomes markup.

export function make(tag, properties, ...children) {
  const { dataset, ...others } = properties ?? {};
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// The little Markdown of descriptions: paragraphs, lists with * or -, **bold** and `code`.
export function prose(text) {
  return (text ?? "").split(/\n\s*\n/).filter((part) => part.trim()).map((part) => {
    const lines = part.trim().split("\n");
    const items = part.trim().split(/\n(?=[*-] )/);
    if (/^[*-] /.test(lines[0])) return make("ul", null, items.map((item) => make("li", null, inline(item.slice(2)))));
    return make("p", null, inline(part.trim()));
  });
}

function inline(text) {
  return text.replace(/\s+/g, " ").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (/^`.+`$/.test(part)) return make("code", null, part.slice(1, -1));
    return /^\*\*.+\*\*$/.test(part) ? make("strong", null, part.slice(2, -2)) : part;
  });
}
