/**
 * Builds elements. Text only ever goes in as text nodes, so nothing a worker, a file name or a log says becomes
 * markup; the one place that takes HTML is `setRendered`, for what the server has sanitised.
 */
import { BASE, below } from './base.js';

/**
 * Makes an element. Props: `class`, `on` (listeners), `data` (dataset), `aria` (aria-*), a function-valued `ref`;
 * booleans set or omit an attribute; `value`, `checked` and the like are set as properties.
 * @param {string} tag
 * @param {object|null} [props]
 * @param {...(Node|string|number|null|false|Array)} children
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') el.className = value;
    else if (name === 'on') for (const [type, fn] of Object.entries(value)) el.addEventListener(type, fn);
    else if (name === 'data') Object.assign(el.dataset, value);
    else if (name === 'aria')
      for (const [k, v] of Object.entries(value)) {
        if (v !== null && v !== undefined) el.setAttribute(`aria-${k}`, String(v));
      }
    else if (name === 'ref') value(el);
    else if (PROPERTIES.has(name)) el[name] = value;
    else if (name === 'href' || name === 'src') el.setAttribute(name, below(String(value)));
    else el.setAttribute(name, value === true ? '' : String(value));
  }
  append(el, children);
  return el;
}

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'open', 'indeterminate', 'htmlFor', 'inert']);

/** Appends children, skipping what is empty. */
export function append(el, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(el, child);
    else el.append(child);
  }
}

/** Replaces everything inside `el`. */
export function replace(el, ...children) {
  el.replaceChildren();
  append(el, children);
}

/** Sets text only when it differs, so that selections and screen readers are left alone. */
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** Shows a text that grows at its end without touching what is there, so that a selection in it stays. */
export function growText(el, text) {
  const node = el.firstChild;
  if (el.childNodes.length === 1 && node.nodeType === Node.TEXT_NODE && text.startsWith(node.data)) {
    if (text.length > node.data.length) node.appendData(text.slice(node.data.length));
  } else setText(el, text);
}

/**
 * Sets HTML that the server rendered and sanitised. Never call it with anything but a field named `html`.
 * @param {HTMLElement} el
 * @param {string} html
 */
export function setRendered(el, html) {
  el.innerHTML = html;
  // What a reply names of the chat's own files, it names from the root.
  for (const name of BASE ? ['href', 'src'] : [])
    for (const link of el.querySelectorAll(`[${name}^="/"]`)) link.setAttribute(name, below(link.getAttribute(name)));
}

/**
 * Makes the children of `parent` match `items`, reusing nodes by key and moving only what moved.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => {el: HTMLElement, update?: (item: T) => void}} create
 * @param {Map<string, {el: HTMLElement, update?: Function, destroy?: Function}>} views kept by the caller between calls
 */
export function reconcile(parent, items, keyOf, create, views) {
  const seen = new Set();
  let cursor = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let view = views.get(key);
    if (view) view.update?.(item);
    else views.set(key, (view = create(item)));
    if (view.el === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(view.el, cursor);
  }
  for (const [key, view] of views) {
    if (seen.has(key)) continue;
    view.destroy?.();
    view.el.remove();
    views.delete(key);
  }
}

let idCounter = 0;
/** An id that is unique in the page, to tie labels to fields. */
export function uid(prefix = 'i') {
  return `${prefix}-${++idCounter}`;
}

/** The text of what the server rendered: as one reads it, without markup. */
export function textOf(html) {
  return new DOMParser().parseFromString(html, 'text/html').body.textContent.replace(/\s+/g, ' ').trim();
}

/** Runs `fn` at most once per animation frame, with the last arguments. */
export function perFrame(fn) {
  let queued = false;
  let args = [];
  return (...latest) => {
    args = latest;
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      fn(...args);
    });
  };
}

/** Says something to screen readers once. */
export function announce(text) {
  const el = document.getElementById('announcer');
  if (!el) return;
  el.textContent = '';
  requestAnimationFrame(() => {
    el.textContent = text;
  });
}

/**
 * Fills `el` anew only when the key changes, so that focus and selection inside it survive updates about other things.
 * @returns {(key: string, build: () => any) => void}
 */
export function slot(el) {
  let shown = null;
  return (key, build) => {
    if (key === shown) return;
    shown = key;
    replace(el, build());
  };
}
