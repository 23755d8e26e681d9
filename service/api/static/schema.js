// JSON schemas: what they mean, for people, and an example of what they allow.

import { make, prose } from "./dom.js";

export class Schemas {
  constructor(document) {
    this.document = document;
  }

  resolve(schema) {
    let found = schema ?? {};
    for (let steps = 0; found.$ref && steps < 20; steps++) {
      const { $ref, ...beside } = found;
      const parts = $ref.slice(2).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      found = { ...parts.reduce((at, part) => at?.[part], this.document), ...beside };
    }
    return found;
  }

  // anyOf, oneOf and allOf as a list of choices, null apart: a choice of one thing is that thing.
  choices(schema) {
    const whole = this.resolve(schema);
    if (whole.allOf?.length === 1) return this.choices({ ...whole, ...this.resolve(whole.allOf[0]), allOf: undefined });
    // Beside fields, choices only say which of the fields go together.
    const all = whole.properties ? undefined : (whole.anyOf ?? whole.oneOf);
    if (!all) return { schemas: [whole], nullable: [whole.type].flat().includes("null") };
    const given = all.map((one) => this.resolve(one)).filter((one) => one.type !== "null");
    return { schemas: given, nullable: given.length < all.length };
  }

  type(schema) {
    const { schemas, nullable } = this.choices(schema);
    const names = [...new Set(schemas.map((one) => this.#typeOfOne(one)))];
    return [...names, ...(nullable ? ["null"] : [])].join(" or ");
  }

  #typeOfOne(one) {
    if (one.const !== undefined) return JSON.stringify(one.const);
    if (one.enum) return one.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (isFile(one)) return "file";
    if (one.type === "array") return one.items ? `list of ${this.type(one.items)}` : "list";
    const type = [one.type].flat().filter((name) => name && name !== "null").join(" or ");
    if (type === "object" || one.properties) return one.title ? `object ${one.title}` : "object";
    return `${type || "any"}${one.format ? ` (${one.format})` : ""}`;
  }

  limits(schema) {
    const words = [];
    const { schemas } = this.choices(schema);
    const own = this.resolve(schema);
    for (const one of schemas) {
      words.push(range(one.minimum, one.maximum, ""));
      if (one.exclusiveMinimum !== undefined) words.push(`more than ${one.exclusiveMinimum}`);
      if (one.exclusiveMaximum !== undefined) words.push(`less than ${one.exclusiveMaximum}`);
      words.push(range(one.minLength, one.maxLength, " characters"), range(one.minItems, one.maxItems, " entries"));
      if (one.pattern) words.push(`like ${one.pattern}`);
    }
    if (own.default !== undefined && own.default !== null && own.default.length !== 0) words.push(`default ${JSON.stringify(own.default)}`);
    return words.filter(Boolean).join(", ");
  }

  // What is inside: the fields of an object, of a list's entries, of each choice. What is inside itself stops there.
  inside(schema, above = []) {
    const { schemas } = this.choices(schema);
    return schemas.flatMap((one) => {
      if (one.type === "array") return this.inside(one.items, above);
      const known = one.title && above.includes(one.title) ? {} : (one.properties ?? {});
      const path = one.title ? [...above, one.title] : above;
      const fields = Object.entries(known).map(([name, value]) =>
        this.field(name, value, (one.required ?? []).includes(name), path));
      if (fields.length === 0) return [];
      const several = schemas.length > 1 && one.title ? [make("h4", null, one.title)] : [];
      return [...several, make("ul", { className: "fields" }, fields)];
    });
  }

  field(name, schema, required, above = []) {
    const own = this.resolve(schema);
    const deep = this.inside(schema, above);
    return make("li", null,
      make("span", { className: "name" }, name), " ",
      make("span", { className: "type" }, this.type(schema)), " ",
      required ? make("span", { className: "needed" }, "required") : null,
      prose(own.description),
      this.limits(schema) ? make("p", { className: "quiet" }, this.limits(schema)) : null,
      deep.length ? make("details", { className: "schema" }, make("summary", null, "its fields"), deep) : null);
  }

  example(schema, above = []) {
    const own = this.resolve(schema);
    const given = own.example ?? own.examples?.[0] ?? own.const ?? own.default;
    if (given !== undefined && given !== null) return given;
    const { schemas } = this.choices(schema);
    const one = schemas[0] ?? {};
    const told = one.examples?.[0] ?? one.const ?? one.enum?.[0];
    if (told !== undefined) return told;
    if (one.type === "array") return above.length > 6 ? [] : [this.example(one.items, [...above, "[]"])];
    if (one.properties) {
      if (above.includes(one.title) || above.length > 6) return {};
      // Of what need not be given, only what somebody thought worth an example.
      const shown = Object.entries(one.properties).filter(([name, value]) =>
        (one.required ?? []).includes(name) || this.resolve(value).examples);
      return Object.fromEntries(shown.map(([name, value]) => [name, this.example(value, [...above, one.title])]));
    }
    if (own.default === null) return null;
    return { string: "", integer: one.minimum ?? 0, number: one.minimum ?? 0, boolean: false, object: {} }[one.type] ?? null;
  }
}

function range(least, most, unit) {
  if (least === undefined && most === undefined) return "";
  if (most === undefined) return `at least ${least}${unit}`;
  return least === undefined ? `at most ${most}${unit}` : `${least} to ${most}${unit}`;
}

export function isFile(schema) {
  return schema.format === "binary" || schema.contentMediaType !== undefined;
}
