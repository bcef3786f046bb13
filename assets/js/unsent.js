/**
 * What was sent and has not reached the server, by chat: it outlives a reload, and other pages being opened meanwhile.
 * Each goes out under the key it had the first time, so that one whose answer was lost is not said twice.
 */
import { getPref, setPref } from './prefs.js';

/** What is older waits for a word of the user's, who may have thought better of it. */
const FRESH_MS = 3_600_000;

/**
 * @typedef {{key: string, content: string, media: object|null, replaces: object|null, ts: number, isRefused: boolean}} Unsent
 * @param {() => string|null} sessionIdOf
 */
export function unsent(sessionIdOf) {
  const place = (id = sessionIdOf()) => `unsent.${id ?? 'new'}`;

  /** @returns {Unsent[]} oldest first */
  function all(at = place()) {
    try {
      const list = JSON.parse(getPref(at, '[]'));
      return Array.isArray(list) ? list.filter((it) => it?.key && typeof it.content === 'string') : [];
    } catch {
      return [];
    }
  }

  const write = (list, at = place()) => setPref(at, list.length ? JSON.stringify(list) : null);

  function drop(key) {
    const list = all();
    const left = list.filter((it) => it.key !== key);
    if (left.length < list.length) write(left);
  }

  return {
    all,
    drop,
    /** Keeps it, or what is new about it. */
    keep({ key, content, media = null, replaces = null, ts, isRefused = false }) {
      drop(key);
      write([...all(), { key, content, media, replaces, ts, isRefused }].sort((a, b) => a.ts - b.ts));
    },
    /** The chat that was to be made has an id now. */
    move() {
      const list = all(place(null));
      if (list.length === 0) return;
      setPref(place(null), null);
      write([...all(), ...list]);
    },
    /** Whether it goes out by itself once the server is there. @param {{ts: number, isRefused?: boolean}} it */
    isFresh: (it) => !it.isRefused && Date.now() - it.ts < FRESH_MS,
  };
}
