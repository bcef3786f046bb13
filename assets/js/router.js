/** History routing: a table of patterns, links intercepted, one page mounted at a time. */
import { below, within } from './base.js';

let routes = [];
let outlet = null;
let current = null;
let onChange = () => {};

/**
 * A page is a function `(params, query) => {el, title, destroy?, update?}`. `update(params, query)` is used in place
 * of a new page when the route stays the same and the page can.
 * @param {{pattern: string, page: Function}[]} table last entry without a match is the 404 page
 * @param {HTMLElement} element where pages go
 * @param {(path: string, page: object) => void} changed
 */
export function startRouter(table, element, changed) {
  routes = table.map((route) => ({ ...route, regexp: compile(route.pattern) }));
  outlet = element;
  onChange = changed;
  show();
}

/** Unmounts the page and stops routing. */
export function stopRouter() {
  current?.page.destroy?.();
  current = null;
  outlet = null;
}

/** Goes to a path of the console. */
export function navigate(path, { replace = false } = {}) {
  if (below(path) === location.pathname + location.search + location.hash) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', below(path));
  show();
}

/** Changes the address without mounting anything: the page became another one by itself. */
export function renamePath(path) {
  history.replaceState(null, '', below(path));
  if (current) onChange(path, current.page);
}

/** The path that is shown. */
export const currentPath = () => within(location.pathname);

function compile(pattern) {
  if (pattern === '*') return /^.*$/;
  return new RegExp(`^${pattern.replace(/:(\w+)/g, '(?<$1>[^/]+)')}/?$`);
}

function show() {
  if (!outlet) return;
  for (const route of routes) {
    const match = route.regexp.exec(currentPath());
    if (!match) continue;
    const params = Object.fromEntries(Object.entries(match.groups ?? {}).map(([k, v]) => [k, safeDecode(v)]));
    const query = new URLSearchParams(location.search);
    const isSame = current?.route === route && current.page.update?.(params, query);
    if (!isSame) {
      current?.page.destroy?.();
      const page = route.page(params, query);
      current = { route, page };
      outlet.replaceChildren(page.el);
      outlet.scrollTop = 0;
    }
    onChange(currentPath(), current.page);
    return;
  }
}

function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener('popstate', show);

document.addEventListener('click', (event) => {
  if (
    !outlet ||
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  const link = event.target.closest?.('a[href]');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  // Only links the console made are routes; a link in a worker's text may point at the API or elsewhere.
  if (!('route' in link.dataset)) return;
  event.preventDefault();
  navigate(within(link.pathname) + link.search + link.hash);
});
