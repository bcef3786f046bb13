/**
 * What was sent to a chat and has not reached the server, kept in the browser: it outlives a reload. Each goes out under
 * the key it had the first time, so that one whose answer was lost, or that two tabs deliver, is said once.
 */
import { NetworkError } from './api.js';
import { now } from './clock.js';
import { getPref, setPref } from './prefs.js';

/** What is older waits for a word of the user's, who may have thought better of it. */
const FRESH_MS = 3_600_000;
const NEW = 'draft.new';
/** Answers that say "not now": whoever asks again may be answered otherwise. */
const PASSING_CODES = new Set(['held', 'idempotency_in_progress']);
const PASSING_STATUS = new Set([401, 408, 429]);

const place = (id) => `unsent.${id}`;

/**
 * @typedef {{key: string, content: string, media: object|null, replaces: object|null, ts: number, isRefused: boolean}} Unsent
 * @param {string|null} id the chat's
 * @returns {Unsent[]} oldest first
 */
export function unsentOf(id) {
  const list = read(place(id));
  return Array.isArray(list) ? list.filter((it) => it?.key && typeof it.content === 'string') : [];
}

/** What is kept there, if it is JSON. */
function read(name) {
  try {
    return JSON.parse(getPref(name, 'null'));
  } catch {
    return null;
  }
}

const write = (id, list) => setPref(place(id), list.length ? JSON.stringify(list) : null);

/** Keeps it, or what is new about it. @param {string} id @param {Unsent} unsent */
export function keepUnsent(id, { key, content, media = null, replaces = null, ts, isRefused = false }) {
  const others = unsentOf(id).filter((it) => it.key !== key);
  write(id, [...others, { key, content, media, replaces, ts, isRefused }].sort((a, b) => a.ts - b.ts));
}

/** It reached the server, or nobody wants it any more. */
export function dropUnsent(id, key) {
  const list = unsentOf(id);
  const left = list.filter((it) => it.key !== key);
  if (left.length < list.length) write(id, left);
}

/** Whether it goes out by itself once the server is there. @param {{ts: number, isRefused?: boolean}} unsent */
export const isFresh = (unsent) => !unsent.isRefused && now() - unsent.ts < FRESH_MS;

/** Whether the next try may end otherwise: silence, and a server that is busy, are no refusal. */
export const isPassing = (error) =>
  error instanceof NetworkError ||
  error.status >= 500 ||
  PASSING_STATUS.has(error.status) ||
  PASSING_CODES.has(error.code);

/** A file that is on the server and waits for its message is part of the draft. @param {string} draftKey */
export const keepFile = (draftKey, media) => setPref(`file.${draftKey}`, media && JSON.stringify(media));

/** @returns {object|null} */
export function keptFile(draftKey) {
  const media = read(`file.${draftKey}`);
  return media?.path ? media : null;
}

/** Text that found no chat is where the next one begins, behind what was begun there. */
export function keepAsDraft(text) {
  const begun = getPref(NEW, '');
  if (text && !begun.includes(text)) setPref(NEW, begun ? `${begun}\n\n${text}` : text);
}

/** It has found one. */
export function dropDraft(text) {
  if (getPref(NEW) === text) setPref(NEW, null);
}

/** A chat is gone: what it was still to be told begins another. */
export function rescueUnsent(id) {
  for (const { content } of unsentOf(id)) keepAsDraft(content);
  write(id, []);
}
