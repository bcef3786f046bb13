/**
 * What agents keep in mind, by scope and key. Other tabs are told by a channel; what an agent notes down is seen when its
 * tools answer. Topic of the store: `memory`.
 */
import * as api from './api.js';
import { channel } from './channel.js';
import { emit, on } from './store.js';

const PAGE_ROWS = 1000;
const LOOK_AFTER_MS = 400;

/** @type {Map<string, object>} by scope and key */
const entries = new Map();
const keyOf = ({ scope, key }) => `${scope}\n${key}`;
const pathOf = ({ scope, key }) => `/api/memory/${encodeURIComponent(scope)}/${encodeURIComponent(key)}`;
const otherTabs = channel('memory');

/** The entries of a scope, last changed first. */
export const entriesOf = (scope) =>
  [...entries.values()].filter((entry) => entry.scope === scope).sort((a, b) => b.updated_at - a.updated_at);

/** Every scope that has an entry. */
export const scopesWithEntries = () => new Set([...entries.values()].map((entry) => entry.scope));

/** How many entries there are. */
export const entryCount = () => entries.size;

/** Fetches all entries, or those of one scope. */
export async function loadMemory(scope = null) {
  const found = [];
  let path = `/api/memory?limit=${PAGE_ROWS}${scope ? `&scope=${encodeURIComponent(scope)}` : ''}`;
  while (path) {
    const page = await api.page(path);
    found.push(...page.items);
    path = page.next;
  }
  for (const [id, entry] of entries) if (!scope || entry.scope === scope) entries.delete(id);
  for (const entry of found) entries.set(keyOf(entry), entry);
  emit('memory');
}

/** Sets an entry. One that gets another key is a new one, and the old one goes. */
export async function saveEntry(entry, before = null) {
  const saved = await api.put(pathOf(entry), { value: entry.value });
  entries.set(keyOf(saved), saved);
  if (before && keyOf(before) !== keyOf(saved)) await deleteEntry(before);
  changed();
  return saved;
}

/** Forgets an entry; one that is gone already is gone. */
export async function deleteEntry(entry) {
  try {
    await api.del(pathOf(entry));
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  entries.delete(keyOf(entry));
  changed();
}

function changed() {
  emit('memory');
  otherTabs?.postMessage('changed');
}

/**
 * Keeps the entries as they are on the server while somebody looks.
 * @returns {() => void} ends it
 */
export function watchMemory(scope, onError) {
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(() => loadMemory(scope).catch(onError), LOOK_AFTER_MS);
  };
  const offs = [
    on('gap', look),
    on('message', ({ name }) => {
      if (name === 'tool_result' || name === 'deleted' || name === 'worker') look();
    }),
  ];
  otherTabs?.addEventListener('message', look);
  return () => {
    clearTimeout(timer);
    offs.forEach((off) => off());
    otherTabs?.removeEventListener('message', look);
  };
}
