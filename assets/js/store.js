/**
 * What the server has said: account, chats, workers, executions, and the replies being written. Filled by fetches and
 * the stream, read by pages, which are told by topic. Nothing here is guessed, and nothing here draws.
 *
 * Topics: `me`, `sessions`, `workers`, `executions`, `live` (an execution id), `message` (an event of a chat),
 * `connection`, `held`, `page-left`, `gap` (events may have been missed: load your page's data anew).
 */
import { below } from './base.js';
import * as api from './api.js';
import { channel } from './channel.js';
import { now } from './clock.js';
import { plain } from './format.js';
import { setPref } from './prefs.js';
import { keepFile, rescueUnsent } from './unsent.js';
import { applyLive, clearLive, forgetFinished, liveOf } from './live.js';

const listeners = new Map();

/** The state; pages only read it. */
export const store = {
  me: null,
  held: false,
  connection: 'connecting',
  /** @type {Map<string, object>} chats by id */ sessions: new Map(),
  sessionsNext: null,
  /** @type {Map<string, object>} */ workers: new Map(),
  /** @type {Map<string, object>} executions the console has met */ executions: new Map(),
  /** @type {Set<string>} chats that are out of sight, on their way to being deleted */ hidden: new Set(),
  /** @type {string|null} the chat that was marked as unread while it is looked at */ keptUnread: null,
  /** @type {Set<string>} executions whose end was asked for, until the server says they have ended */ stopping:
    new Set(),
};

const EXECUTIONS_KNOWN_MAX = 2000;
/** A result is as long as a reply, and shown by the page of its execution alone, which keeps it. */
const RESULTS_KNOWN_MAX = 5;
/** Executions whose result is known, the latest last. */
const results = new Set();
const FINAL = new Set(['completed', 'failed', 'cancelled', 'interrupted']);

/** Whether a status is one that never changes again. */
export const isFinal = (status) => FINAL.has(status);

/** How an execution or message is shown: a run cut off by a restart is `interrupted`, whatever it is stored as. */
export function shownStatus({ status, error }) {
  return status === 'failed' && /^interrupted\b/.test(error ?? '') ? 'interrupted' : status;
}

/**
 * Listens to a topic.
 * @returns {() => void} ends it
 */
export function on(topic, fn) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(fn);
  return () => listeners.get(topic).delete(fn);
}

/** Tells a topic. */
export function emit(topic, value) {
  for (const fn of [...(listeners.get(topic) ?? [])]) fn(value);
}

/** Forgets everything (signing out). */
export function clearStore() {
  store.me = null;
  store.held = false;
  for (const map of [store.sessions, store.workers, store.executions, store.stopping, store.hidden]) map.clear();
  results.clear();
  clearLive();
}

/** Loads what every page needs. */
export async function loadAll() {
  await Promise.all([loadMe(), loadSessions(), loadWorkers(), loadExecutions(), checkHeld()]);
}

/** Fetches the account. */
export async function loadMe() {
  store.me = await api.get('/api/me');
  if (typeof store.me.held === 'boolean') setHeld(store.me.held);
  emit('me');
}

/** Fetches the newest chats. */
export async function loadSessions() {
  const { items, next } = await api.page('/api/local/sessions?limit=200');
  // What was fetched of the older ones is still there; its end is where the next page begins.
  const oldest = items.at(-1)?.updated_at;
  const older = next ? [...store.sessions.values()].filter((s) => s.updated_at < oldest) : [];
  if (older.length === 0) store.sessionsNext = next;
  store.sessions = new Map([...items.map(named), ...older].map((s) => [s.id, s]));
  emit('sessions');
}

/** The next page of chats. */
export async function loadMoreSessions() {
  if (!store.sessionsNext) return;
  const { items, next } = await api.page(store.sessionsNext);
  for (const s of items) store.sessions.set(s.id, named(s));
  store.sessionsNext = next;
  emit('sessions');
}

/** Fetches the workers; their status comes from their executions. */
export async function loadWorkers() {
  store.workers = new Map((await api.get('/api/workers')).map((w) => [w.id, named(w)]));
  emit('workers');
}

async function loadExecutions() {
  const open = [...store.executions.values()].filter((e) => !isFinal(e.status));
  const lists = await Promise.all(
    ['?limit=100', '?status=running', '?status=pending'].map((q) => api.get(`/api/executions${q}`)),
  );
  const listed = new Set(lists.flat().map((e) => e.id));
  for (const execution of lists.flat()) putExecution(execution, false);
  // What ended while nobody listened may be older than the list goes back.
  await Promise.all(open.filter((e) => !listed.has(e.id)).map((e) => loadEnded(e.id)));
  emit('executions');
}

async function loadEnded(id) {
  try {
    await loadExecution(id);
  } catch (error) {
    if (error.status !== 404) throw error;
    store.executions.delete(id);
  }
}

/** Asks whether this is a copy that waits for its confirmation. `/readyz` needs no token and may say 503. */
export async function checkHeld() {
  try {
    const response = await fetch(below('/readyz'), { headers: { Accept: 'application/json' } });
    const body = await response.json();
    setHeld(body.held === true || body.status === 'held' || body.error === 'held');
  } catch {
    // Not JSON or not there: the error code `held` will say so where it matters.
  }
}

/** Notes that this copy is held, or is not any more. */
export function setHeld(held) {
  if (store.held === held) return;
  store.held = held;
  emit('held');
}

/** Sorted for the list: pinned first, then the latest. */
export function sessionsByTime() {
  const shown = [...store.sessions.values()].filter((s) => !store.hidden.has(s.id));
  return shown.sort(
    (a, b) => (b.pinned === true) - (a.pinned === true) || b.updated_at - a.updated_at,
  );
}

const named = (thing) => ({ ...thing, name: plain(thing.name) });

/** Adds or replaces a chat. */
export function putSession(session) {
  store.sessions.set(session.id, named(session));
  emit('sessions');
}

/** Forgets a chat that was deleted, and what was being written in it; what it was still to be told begins another. */
export function dropSession(id) {
  setPref(`draft.${id}`, null);
  keepFile(`draft.${id}`, null);
  rescueUnsent(id);
  if (store.sessions.delete(id)) emit('sessions');
}

/** Adds or replaces a worker. */
export function putWorker(worker) {
  store.workers.set(worker.id, named(worker));
  emit('workers');
}

/** Forgets a worker that was deleted. */
export function dropWorker(id) {
  if (store.workers.delete(id)) emit('workers');
}

/** Adds or updates an execution. */
export function putExecution(execution, tell = true) {
  store.executions.set(execution.id, { ...store.executions.get(execution.id), ...execution });
  if (isFinal(execution.status)) store.stopping.delete(execution.id);
  else if (execution.stopping) store.stopping.add(execution.id);
  if (store.executions.size > EXECUTIONS_KNOWN_MAX) trimExecutions();
  if (execution.result) keepResult(execution.id);
  if (tell) emit('executions', execution.id);
}

function keepResult(id) {
  results.delete(id);
  results.add(id);
  if (results.size <= RESULTS_KNOWN_MAX) return;
  const [oldest] = results;
  results.delete(oldest);
  const execution = store.executions.get(oldest);
  if (execution) delete execution.result;
}

function trimExecutions() {
  for (const [id, execution] of store.executions) {
    if (store.executions.size <= EXECUTIONS_KNOWN_MAX * 0.9) return;
    if (isFinal(execution.status)) store.executions.delete(id);
  }
}

/** Fetches one execution. */
export async function loadExecution(id) {
  const execution = await api.get(`/api/executions/${encodeURIComponent(id)}`);
  putExecution(execution);
  return execution;
}

/** A chat's executions that have not ended, in the order in which they were asked for. */
export function openExecutions(sessionId) {
  // A chat that is not there yet has none; what tasks run without a chat is not its own.
  if (!sessionId) return [];
  return [...store.executions.values()]
    .filter((e) => e.session_id === sessionId && !isFinal(e.status))
    .sort((a, b) => (a.created_at ?? Infinity) - (b.created_at ?? Infinity) || (a.id < b.id ? -1 : 1));
}

/** Whether an execution waits for the user's permission. Its events are newer than its row, which may have been on its way. */
export function isWaiting(execution) {
  if (!execution || isFinal(execution.status)) return false;
  const asked = [...(liveOf(execution.id)?.permissions.values() ?? [])];
  return asked.length > 0 ? asked.some((request) => !request.decision) : execution.waiting === true;
}

const URGENCY = ['queued', 'running', 'waiting'];

/**
 * What goes on in chats: `waiting` (for the user), `running`, `queued`, or `failed` when its last run did.
 * @returns {Map<string, string>} chats in which there is something
 */
export function sessionStates() {
  const states = new Map();
  const latest = new Map();
  for (const e of store.executions.values()) {
    const id = e.session_id;
    if (!id) continue;
    if (!isFinal(e.status)) {
      const state = isWaiting(e) ? 'waiting' : e.status === 'running' ? 'running' : 'queued';
      if (URGENCY.indexOf(state) > URGENCY.indexOf(states.get(id))) states.set(id, state);
    } else if (!latest.has(id) || e.id > latest.get(id).id) latest.set(id, e);
  }
  for (const [id, e] of latest) if (e.status === 'failed' && !states.has(id)) states.set(id, 'failed');
  return states;
}

/** Takes a chat out of sight, or brings it back. */
export function hideSession(id, isHidden) {
  if (isHidden) store.hidden.add(id);
  else store.hidden.delete(id);
  emit('sessions');
}

/** How many chats have replies that nobody looked at. */
export const unreadSessions = () => sessionsByTime().filter((s) => s.unread && !s.archived).length;

/** The execution that runs this one again, if it is known. */
export function retryOf(id) {
  for (const e of store.executions.values()) if (e.retry_of === id) return e;
  return null;
}

/** The name to show for who answers; `fallback` is for a worker that is gone. Null is the bee. */
export function workerName(workerId, fallback) {
  return workerId ? (store.workers.get(workerId)?.name ?? plain(fallback) ?? null) : null;
}

// That a run was told to stop is no event: the other tabs ask what it does now.
const stops = channel('stops');
if (stops) stops.onmessage = ({ data: id }) => store.executions.has(id) && loadExecution(id).catch(() => {});

/** Asks an execution to end; it is shown as stopping until the server says that it has. */
export async function stopExecution(id) {
  store.stopping.add(id);
  emit('executions', id);
  try {
    await api.post(`/api/executions/${encodeURIComponent(id)}/cancel`);
    stops?.postMessage(id);
  } catch (error) {
    store.stopping.delete(id);
    emit('executions', id);
    if (error.status !== 409) throw error;
    await loadExecution(id);
  }
}

/** Runs an execution again. @returns {Promise<object>} the new one */
export function retryExecution(id) {
  // A double click asks once.
  if (!retrying.has(id)) retrying.set(id, retry(id).finally(() => retrying.delete(id)));
  return retrying.get(id);
}

const retrying = new Map();

async function retry(id) {
  const execution = await api.postOnce(`/api/executions/${encodeURIComponent(id)}/retry`, {}, randomKey());
  putExecution(execution);
  return execution;
}

/** A key for `Idempotency-Key` where `crypto.randomUUID` is missing (plain http on another host). */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

const wantedWorkers = soon(() => loadWorkers().catch(() => {}), 150);
const wantedSessions = soon(() => loadSessions().catch(() => {}), 150);

/** Does it a little later, once for all who asked meanwhile; asking again does not put it off. */
function soon(fn, ms) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      fn();
    }, ms);
  };
}

/** One event of `/api/stream`. */
export function applyEvent(name, data) {
  const sessionId = data.session_id ?? null;
  if (name === 'status') applyStatus(data);
  else if (name === 'session') applySession(data);
  else if (name === 'worker') wantedWorkers();
  else if (name === 'permission_request') putExecution({ id: data.execution_id, session_id: sessionId, status: 'running', waiting: true });
  // It may have asked for more than one thing.
  else if (name === 'permission_resolved') loadExecution(data.execution_id).catch(() => {});
  else if (name === 'deleted') dropSession(sessionId ?? data.id);
  else if (name === 'message' || name === 'user_message') touchSession(sessionId, data, name === 'message');
  if (applyLive(name, data)) emit('live', data.execution_id);
  if (name === 'usage') applyUsage(data);
  else if (name.startsWith('permission_')) loadExecution(data.execution_id).catch(() => {});
  emit('message', { name, data, sessionId });
  if (name === 'message') forgetFinished(data.execution_id);
}

function applyStatus(data) {
  const id = data.execution_id;
  const known = store.executions.get(id);
  putExecution({
    id,
    status: data.status,
    queue_position: data.queue_position ?? null,
    worker_id: data.worker_id ?? known?.worker_id ?? null,
    session_id: data.session_id ?? known?.session_id ?? null,
    created_at: known?.created_at ?? now(),
  });
  if (data.worker_id) wantedWorkers();
  if (isFinal(data.status)) moveUp();
  // The event is short; the row has the rest (times, engine, usage, error).
  if (!known || isFinal(data.status) || data.status === 'running') loadExecution(id).catch(() => {});
}

/** An execution is told its place when it is queued; those before it end one by one, and not always by running. */
function moveUp() {
  const open = [...store.executions.values()].filter((e) => !isFinal(e.status));
  for (const e of open) {
    if (e.status !== 'pending' || !e.queue_position) continue;
    const before = open.filter((o) => o.worker_id === e.worker_id && o.id < e.id).length;
    if (before < e.queue_position) putExecution({ id: e.id, status: e.status, queue_position: before });
  }
}

function applyUsage(data) {
  const known = store.executions.get(data.execution_id);
  if (!known) return;
  const { input_tokens, output_tokens, cost_usd } = data.usage ?? data;
  putExecution({ id: known.id, status: known.status, usage: { input_tokens, output_tokens, cost_usd } });
}

function applySession(data) {
  const id = data.session_id ?? data.id;
  const known = store.sessions.get(id);
  const session = data.session ?? data;
  // An event that only names the chat says that it changed; the list has how.
  if (!known || session.name === undefined) return wantedSessions();
  const { session_id, execution_id, id: _, ...fields } = session;
  putSession({ ...known, ...fields, id });
}

function touchSession(id, data, isReply) {
  const known = store.sessions.get(id);
  if (!known) return wantedSessions();
  putSession({
    ...known,
    updated_at: Math.max(known.updated_at, data.created_at ?? data.ts ?? now()),
    unread: (known.unread ?? 0) + (isReply ? 1 : 0),
  });
}

/** A chat whose replies were looked at. */
export async function markRead(id) {
  const known = store.sessions.get(id);
  if (store.keptUnread === id) store.keptUnread = null;
  if (!known?.unread) return;
  putSession({ ...known, unread: 0 });
  // Told again with the next reply; not worth a notice.
  await api.patch(`/api/local/sessions/${encodeURIComponent(id)}`, { unread: 0 }).catch(() => {});
}

/** Marks a chat as unread; it stays so until it is left and opened again. */
export async function markUnread(id) {
  store.keptUnread = id;
  putSession(await api.patch(`/api/local/sessions/${encodeURIComponent(id)}`, { unread: 1 }));
}
