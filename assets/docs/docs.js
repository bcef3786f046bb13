/** The documentation: the OpenAPI document of this server as a page. */
import { copyButton } from '/js/components/copy.js';
import { h, replace } from '/js/dom.js';
import { fields, prose, resolve, setRoot, typeOf } from './schema.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const byId = (id) => document.getElementById(id);

/** A block of code with a button that copies it. */
function code(text, label) {
  return h(
    'div',
    { class: 'docs-code' },
    h('pre', { tabindex: 0, aria: { label } }, h('code', null, text)),
    copyButton(() => text, 'icon-button small docs-copy'),
  );
}

const json = (value) => JSON.stringify(value, null, 2);

const part = (title, ...content) => h('section', { class: 'docs-part' }, h('h4', null, title), content);

/** The command, with this server's own address in it; what else it needs is named. */
function command(operation) {
  const source = operation['x-codeSamples'][0].source.replaceAll('$ORIGIN', location.origin);
  const needed = [...new Set(source.match(/\$[A-Z_]+/g) ?? [])];
  return part(
    'Command',
    code(source, 'Command'),
    needed.length
      ? h('p', { class: 'docs-note' }, 'Set in your shell: ', needed.map((name, index) => [index ? ', ' : '', h('code', null, name.slice(1))]))
      : null,
  );
}

function parameters(operation) {
  const all = operation.parameters ?? [];
  if (!all.length) return null;
  const rows = all.map((parameter) =>
    h(
      'li',
      null,
      h('code', { class: 'docs-field' }, parameter.name),
      h('span', { class: 'docs-type' }, `${parameter.in}, ${typeOf(parameter.schema)}`),
      parameter.required ? null : h('span', { class: 'docs-optional' }, 'optional'),
      parameter.description ? h('span', { class: 'docs-says' }, prose(parameter.description)) : null,
    ),
  );
  return part('Parameters', h('ul', { class: 'docs-fields' }, rows));
}

function requestBody(operation) {
  if (!operation.requestBody) return null;
  const [[type, content]] = Object.entries(operation.requestBody.content);
  return part(
    'Body',
    h('p', { class: 'docs-note' }, h('code', null, type), operation.requestBody.required ? '' : ', or none'),
    fields(content.schema),
  );
}

function events(content) {
  return h(
    'div',
    { class: 'docs-events' },
    content['x-events'].map((event) =>
      h(
        'details',
        null,
        h(
          'summary',
          null,
          h('code', null, event.event),
          h('span', { class: 'docs-says' }, prose(event.description)),
          event.id ? null : h('span', { class: 'docs-optional' }, 'transient'),
        ),
        fields(event.schema) ?? h('p', { class: 'docs-note' }, 'No data.'),
      ),
    ),
  );
}

function response(status, raw) {
  const found = resolve(raw);
  const isGood = Number(status) < 400;
  const contents = Object.entries(found.content ?? {});
  const head = [
    h('code', { class: isGood ? 'docs-status docs-good' : 'docs-status' }, status),
    h('span', { class: 'docs-says' }, prose(found.description)),
  ];
  if (!isGood) return h('li', null, head);
  return h(
    'li',
    null,
    head,
    contents.map(([type, content]) => [
      type === 'application/json' ? null : h('p', { class: 'docs-note' }, h('code', null, type)),
      content['x-events'] ? events(content) : null,
      content.schema && !content['x-events'] ? fields(content.schema) : null,
      content.example !== undefined ? code(json(content.example), 'Example of the answer') : null,
    ]),
  );
}

function badges(operation) {
  const words = [];
  if (operation.deprecated) words.push('deprecated');
  words.push(operation['x-scope'] ? `scope ${operation['x-scope']}` : 'no token');
  if (operation['x-rate-limit']) words.push(`limit ${operation['x-rate-limit']}`);
  return h('p', { class: 'docs-badges' }, words.map((word) => h('span', { class: 'docs-badge' }, word)));
}

/** An operation, closed; what is in it is made when it is first opened. */
function operationOf(path, method, operation) {
  const inside = h('div', { class: 'docs-inside' });
  const fill = () => {
    if (inside.firstChild) return;
    replace(
      inside,
      h('p', null, prose(operation.description)),
      badges(operation),
      command(operation),
      parameters(operation),
      requestBody(operation),
      part(
        'Answers',
        h('ul', { class: 'docs-answers' }, Object.entries(operation.responses).map(([status, raw]) => response(status, raw))),
      ),
    );
  };
  const element = h(
    'details',
    { class: 'docs-operation', id: operation.operationId, on: { toggle: () => element.open && fill() } },
    h(
      'summary',
      null,
      h('span', { class: `docs-method docs-${method}` }, method.toUpperCase()),
      h('code', { class: operation.deprecated ? 'docs-path docs-gone' : 'docs-path' }, path.split('/').map((step, index) => [index ? '/' : '', index ? h('wbr') : null, step])),
      h('span', { class: 'docs-summary' }, operation.summary),
    ),
    inside,
  );
  element.fill = fill;
  return element;
}

function about(info) {
  return [
    h('p', { class: 'docs-note' }, `Version ${info.version} at ${location.origin}`),
    info.description.split('\n\n').map((text) => h('p', null, prose(text))),
    h('p', null, 'The commands below work as they are in a shell that has a token:'),
    code(`TOKEN=$(skep token --name docs)`, 'Command that makes a token'),
  ];
}

function all(document) {
  const groups = document.tags.map(({ name, description }) => ({ name, description, rows: [] }));
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((method) => methods[method])) {
      const operation = methods[method];
      const text = `${method} ${path} ${operation.summary} ${operation.description} ${operation.tags}`.toLowerCase();
      const element = operationOf(path, method, operation);
      const link = h('a', { href: `#${operation.operationId}` }, operation.summary);
      groups.find((group) => group.name === operation.tags[0]).rows.push({ element, text, link: h('li', null, link) });
    }
  }
  return groups;
}

/** Shows what holds every word. */
function filterBy(groups, words) {
  let count = 0;
  for (const group of groups) {
    let left = 0;
    for (const row of group.rows) {
      const fits = words.every((word) => row.text.includes(word));
      row.element.hidden = !fits;
      row.link.hidden = !fits;
      left += fits ? 1 : 0;
    }
    group.section.hidden = left === 0;
    group.contents.hidden = left === 0;
    count += left;
  }
  byId('found').textContent = words.length ? `${count} ${count === 1 ? 'operation' : 'operations'}` : '';
}

/** Opens what the address names. */
function openNamed() {
  const element = location.hash.length > 1 ? byId(location.hash.slice(1)) : null;
  if (!element?.fill) return;
  element.hidden = false;
  element.fill();
  element.open = true;
  element.scrollIntoView();
  element.querySelector('summary').focus({ preventScroll: true });
}

async function start() {
  const answer = await fetch('/docs/openapi.json');
  if (!answer.ok) throw new Error(`the document was answered with ${answer.status}`);
  const found = await answer.json();
  setRoot(found);
  replace(byId('about'), about(found.info));
  const groups = all(found);
  for (const group of groups) {
    const title = group.name.charAt(0).toUpperCase() + group.name.slice(1);
    group.section = h(
      'section',
      { class: 'docs-group', id: `group-${group.name}` },
      h('h2', null, title),
      group.description ? h('p', { class: 'docs-note' }, prose(group.description)) : null,
      group.rows.map((row) => row.element),
    );
    group.contents = h('div', null, h('h2', null, h('a', { href: `#group-${group.name}` }, title)), h('ul', null, group.rows.map((row) => row.link)));
  }
  replace(byId('operations'), groups.map((group) => group.section));
  replace(byId('contents'), groups.map((group) => group.contents));

  const filter = byId('filter');
  const apply = () => filterBy(groups, filter.value.toLowerCase().split(/\s+/).filter(Boolean));
  filter.addEventListener('input', apply);
  addEventListener('keydown', (event) => {
    const isTyping = event.target.matches?.('input, textarea');
    if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === 'Escape' && event.target === filter) {
      filter.value = '';
      apply();
    }
  });
  addEventListener('hashchange', openNamed);
  apply();
  openNamed();
}

start().catch((error) => {
  replace(byId('about'), h('p', { role: 'alert' }, `The documentation could not be shown: ${error.message}.`));
});
