// The page: the OpenAPI document by tags, each operation with what it takes and what it answers.

import { make, prose } from "./dom.js";
import { isFile, Schemas } from "./schema.js";
import { tryForm } from "./try.js";

const METHODS = ["get", "put", "post", "patch", "delete"];
const base = new URL(".", location.href);
const at = (id) => document.getElementById(id);

function operationsOf(description, schemas) {
  return Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({
      ...item[method],
      base,
      path,
      method: method.toUpperCase(),
      id: item[method].operationId ?? `${method}${path}`,
      tag: item[method].tags?.[0] ?? "other",
      parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])].map((one) => schemas.resolve(one)),
      requestBody: item[method].requestBody && schemas.resolve(item[method].requestBody),
    })));
}

function show(description) {
  const schemas = new Schemas(description);
  const operations = operationsOf(description, schemas);
  const told = (description.tags ?? []).map((tag) => tag.name);
  const tags = [...new Set([...told, ...operations.map((one) => one.tag)])];
  const groups = tags.map((tag) => ({
    tag,
    description: description.tags?.find((one) => one.name === tag)?.description,
    operations: operations.filter((one) => one.tag === tag),
  })).filter((group) => group.operations.length);

  document.title = `${description.info.title}: API`;
  at("about").replaceChildren(
    make("h1", null, description.info.title),
    make("p", { className: "quiet" }, `Version ${description.info.version} · OpenAPI ${description.openapi} · `,
      make("a", { href: "openapi.json" }, "openapi.json")),
    ...prose(description.info.description));
  at("access").hidden = !description.components?.securitySchemes;
  at("index").replaceChildren(...groups.flatMap(indexOf));
  at("operations").replaceChildren(...groups.map((group) => sectionOf(group, schemas)));
}

function indexOf({ tag, operations }) {
  return [make("h2", null, tag), make("ul", null, operations.map((one) =>
    make("li", { dataset: { words: wordsOf(one) } }, make("a", { href: `#${one.id}`, title: one.path },
      make("span", { className: `method ${one.method.toLowerCase()}` }, one.method), one.summary ?? one.path))))];
}

function sectionOf(group, schemas) {
  return make("section", null, make("h2", null, group.tag), prose(group.description),
    group.operations.map((one) => detailsOf(one, schemas)));
}

function wordsOf(one) {
  return `${one.method} ${one.path} ${one.summary ?? ""} ${one.tag}`.toLowerCase();
}

// The inside of an operation is made when it is opened: a description of a hundred operations is shown at once.
function detailsOf(one, schemas) {
  const details = make("details", { className: `operation${one.deprecated ? " deprecated" : ""}`, id: one.id, dataset: { words: wordsOf(one) } },
    make("summary", null,
      make("span", { className: `method ${one.method.toLowerCase()}` }, one.method),
      make("span", { className: "path" }, one.path),
      make("span", { className: "short" }, one.summary ?? "")));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(insideOf(one, schemas));
  });
  return details;
}

function insideOf(one, schemas) {
  const parts = [...prose(one.description)];
  if (one.parameters.length) {
    parts.push(make("h3", null, "Parameters"), make("ul", { className: "fields" }, one.parameters.map((parameter) =>
      schemas.field(`${parameter.name} (${parameter.in})`,
        { ...schemas.resolve(parameter.schema), description: parameter.description ?? parameter.schema?.description },
        parameter.required))));
  }
  parts.push(...bodiesOf(one, schemas));
  parts.push(make("h3", null, "Answers"), ...answersOf(one, schemas));
  parts.push(tryForm(one, schemas, () => at("key").value.trim()));
  return make("div", null, parts);
}

// Kinds of body, of which those that are a file and nothing else stand together.
function bodiesOf(one, schemas) {
  const kinds = Object.entries(one.requestBody?.content ?? {});
  const files = kinds.filter(([, media]) => isFile(schemas.resolve(media.schema))).map(([kind]) => kind);
  const others = kinds.filter(([kind]) => !files.includes(kind));
  const codes = files.flatMap((kind, at) => [at ? ", " : "", make("code", null, kind)]);
  return [
    ...others.flatMap(([kind, media]) => [make("h3", null, "Body ", make("code", null, kind)), ...mediaOf(media, schemas)]),
    ...(files.length ? [make("h3", null, "Body ", codes), make("p", { className: "type" }, "the file itself")] : []),
  ];
}

function mediaOf(media, schemas) {
  const own = schemas.resolve(media.schema);
  const fields = schemas.inside(media.schema);
  return [...prose(own.description), ...(fields.length ? fields : [make("p", { className: "type" }, schemas.type(media.schema))])];
}

// What may go wrong is much the same everywhere, and stands folded below what may go right.
function answersOf(one, schemas) {
  const all = Object.entries(one.responses ?? {}).map(([code, given]) => [code, schemas.resolve(given)]);
  const wrong = all.filter(([code]) => code >= 400);
  const listed = (answers) => make("ul", { className: "fields" }, answers.map(([code, given]) => answerOf(code, given, schemas)));
  return [
    listed(all.filter((answer) => !wrong.includes(answer))),
    wrong.length
      ? make("details", { className: "schema" }, make("summary", null, `problems: ${wrong.map(([code]) => code).join(", ")}`), listed(wrong))
      : null,
  ];
}

function answerOf(code, given, schemas) {
  const kinds = Object.entries(given.content ?? {});
  return make("li", null, make("span", { className: "answer-code" }, code), prose(given.description),
    kinds.map(([kind, media]) => {
      const fields = schemas.inside(media.schema);
      const type = make("code", null, kind);
      if (!fields.length) return make("p", { className: "quiet" }, type, ` ${schemas.type(media.schema)}`);
      return make("details", { className: "schema" }, make("summary", null, type, ` ${schemas.type(media.schema)}`), fields);
    }));
}

function openNamed() {
  const named = at(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const element of document.querySelectorAll("[data-words]"))
    element.hidden = !words.every((word) => element.dataset.words.includes(word));
}

at("sought").addEventListener("input", find);
addEventListener("hashchange", openNamed);
try {
  const answer = await fetch(new URL("openapi.json", base));
  if (!answer.ok) throw new Error(`openapi.json was answered with ${answer.status}`);
  show(await answer.json());
  openNamed();
} catch (error) {
  at("about").replaceChildren(make("h1", null, "Vantage"), make("p", null, `The description of the API cannot be shown: ${error.message}`));
}
