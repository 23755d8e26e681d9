// The form that tries an operation out: what was filled in as a request, as a curl line, and the answer.

import { make } from "./dom.js";
import { isFile } from "./schema.js";

export function tryForm(operation, schemas, key) {
  const fields = operation.parameters.map((parameter) => parameterField(parameter, schemas));
  const body = bodyFields(operation, schemas);
  const send = make("button", { type: "submit" }, "Send");
  const answer = make("div", { className: "answer" });
  answer.setAttribute("aria-live", "polite");
  const needed = fields.filter(({ parameter }) => parameter.required);
  const further = fields.filter(({ parameter }) => !parameter.required).map((field) => field.row);
  const form = make("form", { className: "try" }, make("h3", null, "Try it"), needed.map((field) => field.row), body.rows,
    further.length ? make("details", { className: "schema" }, make("summary", null, "further parameters"), further) : null,
    send, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    answer.replaceChildren(make("p", { className: "quiet" }, "Waiting for the answer …"));
    try {
      const request = assemble(operation, fields, body, key());
      answer.replaceChildren(make("h4", null, "As curl"), make("pre", null, curl(request)), ...(await ask(request)));
    } catch (error) {
      answer.replaceChildren(make("p", null, `No answer came: ${error.message}`));
    }
    send.disabled = false;
  });
  return form;
}

let rows = 0;

function row(name, input, hint) {
  input.id = `row-${++rows}`;
  return make("div", { className: "row" }, make("label", { htmlFor: input.id }, name),
    hint ? make("div", null, input, make("div", { className: "quiet" }, hint)) : input);
}

function parameterField(parameter, schemas) {
  const { schemas: [schema] } = schemas.choices(parameter.schema);
  const choices = schema?.enum ?? (schema?.type === "boolean" ? [true, false] : null);
  const input = choices
    ? make("select", null, make("option", { value: "" }, ""), choices.map((value) => make("option", null, String(value))))
    : make("input", { placeholder: schemas.type(parameter.schema) });
  const given = parameter.example ?? parameter.schema?.examples?.[0];
  if (given !== undefined && parameter.required) input.value = given;
  input.required = parameter.required ?? false;
  return { parameter, input, row: row(`${parameter.name}${parameter.required ? " *" : ""}`, input) };
}

// One block for each kind of body, of which the chosen one is shown. `body()` is what is sent, `words()` what curl says.
function bodyFields(operation, schemas) {
  const kinds = Object.entries(operation.requestBody?.content ?? {});
  if (!kinds.length) return { rows: [], chosen: () => null };
  const choice = make("select", null, kinds.map(([kind]) => make("option", null, kind)));
  const blocks = kinds.map(([kind, media]) => bodyBlock(kind, media, schemas));
  const show = () => blocks.forEach((block, at) => (block.element.hidden = at !== choice.selectedIndex));
  choice.addEventListener("change", show);
  show();
  return { rows: [row("body", choice), ...blocks.map((block) => block.element)], chosen: () => blocks[choice.selectedIndex] };
}

function bodyBlock(kind, media, schemas) {
  if (kind === "multipart/form-data") return formBlock(media, schemas);
  const { schemas: [schema] } = schemas.choices(media.schema);
  if (isFile(schema ?? {}) || kind.startsWith("image/") || kind === "application/octet-stream") {
    const file = make("input", { type: "file" });
    const type = () => (kind.includes("*") ? file.files[0]?.type || "application/octet-stream" : kind);
    return {
      element: row("file", file),
      headers: () => ({ "Content-Type": type() }),
      body: () => file.files[0],
      words: () => ["--data-binary", `@${file.files[0]?.name ?? "FILE"}`],
    };
  }
  const named = Object.entries(media.examples ?? {}).map(([name, example]) => [name, example.value]);
  const examples = named.length ? named : [["", media.example ?? schemas.example(media.schema)]];
  const choice = make("select", { hidden: examples.length === 1 }, examples.map(([name]) => make("option", null, name)));
  choice.ariaLabel = "Which example";
  const text = make("textarea", { spellcheck: false });
  const fill = () => {
    const [, example] = examples[choice.selectedIndex];
    text.value = typeof example === "string" ? example : JSON.stringify(example, null, 2);
  };
  choice.addEventListener("change", fill);
  fill();
  return {
    element: make("div", null, choice, row("content", text)),
    headers: () => ({ "Content-Type": kind }),
    body: () => text.value,
    words: () => ["--data-binary", text.value],
  };
}

function formBlock(media, schemas) {
  const { schemas: [schema] } = schemas.choices(media.schema);
  const parts = Object.entries(schema?.properties ?? {}).map(([name, part]) => {
    const { schemas: [one] } = schemas.choices(part);
    const files = isFile(one) || (one.type === "array" && isFile(schemas.choices(one.items).schemas[0] ?? {}));
    const input = files ? make("input", { type: "file", multiple: one.type === "array" }) : make("input", { placeholder: schemas.type(part) });
    return { name, input, files, row: row(name, input) };
  });
  const given = () => parts.flatMap(({ name, input, files }) =>
    files ? [...input.files].map((file) => [name, file]) : input.value ? [[name, input.value]] : []);
  return {
    element: make("div", null, parts.map((part) => part.row)),
    headers: () => ({}),
    body: () => given().reduce((form, [name, value]) => (form.append(name, value), form), new FormData()),
    words: () => given().flatMap(([name, value]) => ["-F", `${name}=${value.name ? `@${value.name}` : value}`]),
  };
}

function assemble(operation, fields, body, key) {
  const query = new URLSearchParams();
  const headers = new Headers();
  let path = operation.path;
  for (const { parameter, input } of fields) {
    const value = input.value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") listed(parameter, value).forEach((one) => query.append(parameter.name, one));
    else if (parameter.in === "header") headers.set(parameter.name, value);
  }
  if (key) headers.set("Authorization", `Bearer ${key}`);
  const block = body.chosen();
  for (const [name, value] of Object.entries(block?.headers() ?? {})) headers.set(name, value);
  const url = new URL(path.slice(1) + (query.size ? `?${query}` : ""), operation.base);
  return { url, method: operation.method, headers, body: block?.body(), words: block?.words() ?? [] };
}

function listed(parameter, value) {
  return parameter.schema?.type === "array" ? value.split(",").map((one) => one.trim()) : [value];
}

function curl(request) {
  const words = ["curl", ...(request.method === "GET" ? [] : ["-X", request.method])];
  // The key is the reader's secret: the line can be shown to others.
  for (const [name, value] of request.headers)
    words.push("-H", `${name}: ${name === "authorization" ? "Bearer $VANTAGE_KEY" : value}`);
  return [...words, ...request.words, request.url.href].map(quoted).join(" ");
}

function quoted(word) {
  if (word.includes("$VANTAGE_KEY")) return `"${word}"`;
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

async function ask({ url, method, headers, body }) {
  const began = performance.now();
  const answer = await fetch(url, { method, headers, body, cache: "no-store" });
  const content = await answer.blob();
  const took = Math.round(performance.now() - began);
  const kind = answer.headers.get("Content-Type") ?? "";
  const shown = [...answer.headers].map(([name, value]) => `${name}: ${value}`).sort().join("\n");
  return [
    make("h4", null, `${answer.status} ${answer.statusText} · ${took} ms · ${content.size.toLocaleString()} bytes`),
    await display(content, kind),
    make("details", { className: "schema" }, make("summary", null, "headers"), make("pre", null, shown)),
  ];
}

async function display(content, kind) {
  if (content.size === 0) return null;
  if (kind.startsWith("image/")) return make("img", { src: URL.createObjectURL(content), alt: "the picture that was answered" });
  const text = await content.text();
  if (!kind.includes("json") || kind.includes("ndjson")) return make("pre", null, text);
  try {
    return make("pre", null, JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return make("pre", null, text);
  }
}
