/**
 * The messages of one chat, in the order in which they are shown. Pages of history, stream events and messages on
 * their way are put together here; drawing is the page's business.
 *
 * Order: an answer stands under the message it answers, even when another message was sent meanwhile; what waits in
 * the queue stands last. Ids are UUIDv7, so they sort by time.
 */
import { now } from './clock.js';
import { dayKey } from './format.js';
import { isFinal, openExecutions, store } from './store.js';

/** One shape for a message, whether it came from a list or from the stream. */
export function normalise(raw, role = raw.role ?? 'bee') {
  return {
    id: raw.id,
    seq: raw.seq ?? null,
    role,
    content: raw.content ?? '',
    html: raw.html ?? null,
    ts: raw.ts ?? raw.created_at ?? now(),
    author: raw.author ?? null,
    executionId: raw.execution_id ?? null,
    media: raw.media ?? [],
    status: raw.status ?? null,
    error: raw.error ?? null,
  };
}

/** @param {() => string|null} sessionIdOf */
export function transcript(sessionIdOf) {
  /** @type {Map<string, object>} */
  const messages = new Map();
  /** @type {object[]} messages on their way: {key, content, media, replaces, state, ts} */
  let outgoing = [];

  /** Lets go of what was there at a time; what came after it stays. @param {Iterable<string>} ids */
  function forget(ids) {
    for (const id of ids) messages.delete(id);
  }

  function putPage(items) {
    for (const raw of items) messages.set(raw.id, normalise(raw));
  }

  /** A message from the stream; a user's own one takes the place of its optimistic bubble. */
  function putEvent(name, data) {
    const message = normalise(data, name === 'user_message' ? 'user' : 'bee');
    if (name === 'user_message' && !messages.has(message.id)) {
      const mine = outgoing.find((o) => o.state === 'sending' && o.content === message.content);
      if (mine) outgoing = outgoing.filter((o) => o !== mine);
    }
    if (data.follows !== undefined) cut(data.follows + 1, message.seq);
    // The list knows more of a message (its page was asked for with everything) than the event that announced it.
    messages.set(message.id, { ...messages.get(message.id), ...message });
    return message;
  }

  /** Drops what an edit replaced: the places from `from` up to `to`. */
  function cut(from, to) {
    for (const m of messages.values()) if (m.seq >= from && m.seq < to) messages.delete(m.id);
  }

  /** The server took a message: it has its id, and is on disk. */
  function settle(key, answer) {
    const mine = outgoing.find((o) => o.key === key);
    outgoing = outgoing.filter((o) => o.key !== key);
    if (mine?.replaces) cut(mine.replaces.seq, answer.seq);
    if (!mine || messages.has(answer.id)) return;
    messages.set(
      answer.id,
      normalise(
        {
          id: answer.id,
          seq: answer.seq,
          content: mine.content,
          media: mine.media ? [mine.media] : [],
          ts: mine.ts,
          execution_id: answer.execution_id,
        },
        'user',
      ),
    );
  }

  /** The rows to draw. */
  function items() {
    const open = openExecutions(sessionIdOf());
    const pending = new Map(open.filter((e) => e.status === 'pending').map((e) => [e.id, e]));
    const answered = new Set();
    const askedBy = new Map();
    // What runs again answers the same message, and the server hides the reply that it replaces.
    const replaced = new Set();
    for (const m of messages.values()) {
      if (m.role === 'user' && m.executionId) askedBy.set(m.executionId, m.id);
      if (m.role !== 'user' && m.executionId) answered.add(m.executionId);
    }
    for (const e of store.executions.values()) {
      if (e.session_id !== sessionIdOf() || !e.retry_of) continue;
      replaced.add(e.retry_of);
      if (messages.has(e.message_id)) askedBy.set(e.id, e.message_id);
    }
    const rows = [];
    const queued = [];
    for (const m of messages.values()) {
      if (m.role !== 'user' && replaced.has(m.executionId)) continue;
      const turn = m.role === 'user' ? m.id : (askedBy.get(m.executionId) ?? m.id);
      const waiting = m.role === 'user' && pending.get(m.executionId);
      if (waiting && !answered.has(m.executionId))
        queued.push({
          kind: 'user',
          key: m.id,
          turn,
          id: m.id,
          message: m,
          // It waits for its worker and for the turns of this chat before it.
          queued: {
            executionId: m.executionId,
            position: Math.max(waiting.queue_position ?? 0, open.indexOf(waiting)),
          },
        });
      else if (m.role === 'user') rows.push({ kind: 'user', key: m.id, turn, id: m.id, message: m });
      else
        rows.push({
          kind: 'reply',
          key: m.executionId ?? m.id,
          turn,
          id: m.id,
          executionId: m.executionId,
          message: m,
        });
    }
    for (const e of open) {
      if (answered.has(e.id) || (e.status !== 'running' && !e.retry_of) || replaced.has(e.id)) continue;
      rows.push({ kind: 'reply', key: e.id, turn: askedBy.get(e.id) ?? '~', id: '~', executionId: e.id });
    }
    // A run that has just ended keeps its place until its reply arrives, one event later.
    const last = lastEnded(answered);
    if (last)
      rows.push({ kind: 'reply', key: last.id, turn: askedBy.get(last.id) ?? '~', id: '~', executionId: last.id });
    const byTurn = (a, b) => (a.turn < b.turn ? -1 : a.turn > b.turn ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
    rows.sort(byTurn);
    queued.sort(byTurn);
    const sending = outgoing.map((o) => ({
      kind: 'user',
      key: o.key,
      message: normalise({ id: o.key, content: o.content, media: o.media ? [o.media] : [], ts: o.ts }, 'user'),
      state: o.state,
      why: o.why,
      onResend: o.onResend,
      onDiscard: o.onDiscard,
    }));
    return withDays([...rows, ...queued, ...sending]);
  }

  const settling = new Map();
  /** Notes that an execution ended whose reply is still to come. */
  function noteEnded(executionId) {
    settling.set(executionId, Date.now());
  }

  function lastEnded(answered) {
    for (const [id, at] of settling) {
      const execution = store.executions.get(id);
      if (answered.has(id) || !execution || !isFinal(execution.status) || Date.now() - at > 5000) {
        settling.delete(id);
        continue;
      }
      return execution;
    }
    return null;
  }

  return {
    forget,
    putPage,
    putEvent,
    settle,
    items,
    noteEnded,
    addOutgoing: (o) => {
      outgoing.push(o);
    },
    waiting: () => outgoing.filter((o) => o.state === 'waiting'),
    dropOutgoing: (key) => {
      outgoing = outgoing.filter((o) => o.key !== key);
    },
    outgoing: (key) => outgoing.find((o) => o.key === key),
    has: (id) => messages.has(id),
    ids: () => [...messages.keys()],
    /** The user's newest message that is on disk. */
    lastSaid: () => [...messages.values()].filter((m) => m.role === 'user').reduce((a, b) => (a && a.id > b.id ? a : b), null),
    hasAny: () => messages.size > 0,
    /** The message that an execution answers. */
    askedBy: (executionId) =>
      [...messages.values()].find((m) => m.role === 'user' && m.executionId === executionId) ??
      messages.get(store.executions.get(executionId)?.message_id),
    isEmpty: () => messages.size === 0 && outgoing.length === 0,
  };
}

function withDays(rows) {
  const out = [];
  let day = null;
  for (const row of rows) {
    const ts = row.message?.ts;
    if (ts && dayKey(ts) !== day) {
      day = dayKey(ts);
      out.push({ kind: 'day', key: `day ${day}`, ts });
    }
    out.push(row);
  }
  // The same day twice (a late answer to yesterday's message) needs two keys.
  const seen = new Map();
  for (const row of out) {
    if (row.kind !== 'day') continue;
    const n = (seen.get(row.key) ?? 0) + 1;
    seen.set(row.key, n);
    if (n > 1) row.key += ` ${n}`;
  }
  return out;
}
