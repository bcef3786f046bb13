/** Schemas as people read them: a type in a few words, and the fields of an object as rows. */
import { h } from '/js/dom.js';

/** How deep fields are shown within fields. */
const DEPTH_MAX = 4;

let root = {};

/** Says which document `$ref` leads into. */
export function setRoot(document) {
  root = document;
}

/** What a schema or a `$ref` means; what stands beside the `$ref` wins. */
export function resolve(schema) {
  const target = schema?.$ref;
  if (!target) return schema ?? {};
  const found = target
    .slice(2)
    .split('/')
    .reduce((at, step) => at?.[step.replaceAll('~1', '/').replaceAll('~0', '~')], root);
  return { ...resolve(found), ...schema, $ref: undefined };
}

const choices = (schema) => schema.anyOf ?? schema.oneOf ?? schema.allOf;

/** The type in a few words: `uuid or null`, `array of Worker`. */
export function typeOf(schema) {
  const name = schema.$ref?.split('/').pop();
  if (name) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(', ');
  const among = choices(schema);
  if (among) return [...new Set(among.map(typeOf))].join(' or ');
  const types = [schema.type ?? 'anything'].flat().map((type) => {
    if (type === 'array') return `array of ${typeOf(schema.items ?? {})}`;
    if (type === 'string' && ['uuid', 'binary'].includes(schema.format)) return schema.format;
    return type;
  });
  return types.join(' or ');
}

/** Text in which `code` is code. */
export function prose(text) {
  return text.split('`').map((part, index) => (index % 2 ? h('code', null, part) : part));
}

/** The fields of an object, or of the objects in an array; null when there are none to tell. */
export function fields(schema, depth = 0, above = []) {
  const name = schema.$ref;
  if (depth > DEPTH_MAX || (name && above.includes(name))) return null;
  const found = resolve(schema);
  const names = name ? [...above, name] : above;
  if (found.items) return fields(found.items, depth, names);
  const among = choices(found);
  if (among && !found.properties) {
    const objects = among.map((one) => fields(one, depth, names)).filter(Boolean);
    return objects.length ? objects : null;
  }
  const entries = Object.entries(found.properties ?? {});
  if (!entries.length) return null;
  const required = new Set(found.required);
  return h(
    'ul',
    { class: 'docs-fields' },
    entries.map(([field, value]) => {
      const full = resolve(value);
      const inner = fields(value, depth + 1, names);
      const values = (choices(full) ?? [full])
        .flatMap((one) => resolve(one))
        .flatMap((one) => one.enum ?? (one.oneOf ?? [one]).map((each) => each.const))
        .filter((word) => word !== undefined && word !== null);
      return h(
        'li',
        null,
        h('code', { class: 'docs-field' }, field),
        h('span', { class: 'docs-type' }, typeOf(value)),
        required.has(field) ? null : h('span', { class: 'docs-optional' }, 'optional'),
        full.description ? h('span', { class: 'docs-says' }, prose(full.description)) : null,
        values.length > 1 ? h('span', { class: 'docs-says' }, values.map((word) => [h('code', null, word), ' '])) : null,
        inner,
      );
    }),
  );
}
