/**
 * Replies being written, by execution: text put together from deltas by offset, thinking, tool calls, permission
 * requests. Finished ones keep their steps for a while, so that they can be unfolded under the reply.
 */

/**
 * @typedef {{text: string, bytes: number, html: string|null, htmlChars: number, thinking: string, tools: Map<string, object>, permissions: Map<string, object>,
 *            error: object|null, done: boolean, gap: boolean}} Live
 */

const FINISHED_KEPT_MAX = 300;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @type {Map<string, Live>} */
const live = new Map();

/** What is known of a running reply, or undefined. @returns {Live|undefined} */
export const liveOf = (executionId) => live.get(executionId);

/** All of them, to be handed to another tab. */
export const liveEntries = () => live.entries();

/** Takes over what another tab, or the worker that tabs share, knows of a reply. */
export function adoptLive(executionId, entry) {
  live.set(executionId, entry);
}

/** Forgets one. */
export const dropLive = (executionId) => live.delete(executionId);

/** Forgets everything. */
export const clearLive = () => live.clear();

function open(executionId) {
  let entry = live.get(executionId);
  if (!entry) {
    entry = {
      text: '',
      bytes: 0,
      html: null,
      htmlChars: 0,
      thinking: '',
      tools: new Map(),
      permissions: new Map(),
      error: null,
      done: false,
      gap: false,
    };
    live.set(executionId, entry);
  }
  return entry;
}

/**
 * Applies one event.
 * @returns {boolean} whether a running reply changed
 */
export function applyLive(name, data) {
  const id = data.execution_id;
  if (!id || !(name in APPLY)) return false;
  APPLY[name](open(id), data);
  return true;
}

const APPLY = {
  delta(entry, data) {
    const text = data.text ?? '';
    const offset = data.offset ?? entry.bytes;
    if (offset > entry.bytes) {
      entry.gap = true;
      return;
    }
    if (offset < entry.bytes) cutTo(entry, offset);
    entry.text += text;
    entry.bytes += encoder.encode(text).length;
  },
  partial(entry, data) {
    entry.text = data.text ?? '';
    entry.bytes = encoder.encode(entry.text).length;
    entry.html = data.html ?? null;
    entry.htmlChars = entry.html === null ? 0 : entry.text.length;
    // What was thought so far follows a partial reply whole.
    entry.thinking = '';
    entry.gap = false;
  },
  /** The rendering of the text so far; it follows the delta that brought it there. */
  html(entry, data) {
    if (data.bytes !== entry.bytes) return;
    entry.html = data.html;
    entry.htmlChars = entry.text.length;
  },
  thinking(entry, data) {
    entry.thinking += data.text ?? '';
  },
  tool_call(entry, data) {
    const known = entry.tools.get(data.id);
    entry.tools.set(data.id, {
      state: 'running',
      output: null,
      ...known,
      id: data.id,
      name: data.name,
      args: parsed(data.args),
    });
  },
  tool_result(entry, data) {
    const known = entry.tools.get(data.id) ?? { id: data.id, name: data.name ?? data.id, args: null };
    entry.tools.set(data.id, { ...known, state: data.ok === false ? 'failed' : 'ok', output: data.output ?? null });
  },
  permission_request(entry, data) {
    // One that was answered stays so, whatever is read again.
    const known = entry.permissions.get(data.request_id);
    entry.permissions.set(data.request_id, { ...data, decision: known?.decision ?? null, by: known?.by ?? null });
  },
  permission_resolved(entry, data) {
    const known = entry.permissions.get(data.request_id);
    if (known) entry.permissions.set(data.request_id, { ...known, decision: data.decision, by: data.by });
  },
  error(entry, data) {
    entry.error = { error: data.error, message: data.message };
  },
  message(entry) {
    entry.done = true;
  },
};

/** Arguments come as JSON or as the text of it. */
function parsed(args) {
  if (typeof args !== 'string') return args;
  try {
    return JSON.parse(args);
  } catch {
    return args;
  }
}

/** Offsets count bytes of UTF-8, as the server stores the reply. */
function cutTo(entry, offset) {
  const kept = encoder.encode(entry.text).slice(0, offset);
  entry.text = decoder.decode(kept);
  entry.bytes = kept.length;
  if (entry.htmlChars > entry.text.length) entry.html = null;
}

/** Whether something of a reply was missed; asking clears it. */
export function takeGap(executionId) {
  const entry = live.get(executionId);
  if (!entry?.gap) return false;
  entry.gap = false;
  return true;
}

/** Keeps the memory of finished replies bounded, oldest out first; their text is in the history, but for the one that just ended. */
export function forgetFinished(latestId) {
  let finished = 0;
  for (const [id, entry] of live) {
    if (!entry.done) continue;
    finished += 1;
    if (id !== latestId) Object.assign(entry, { text: '', html: null, htmlChars: 0 });
  }
  for (const [id, entry] of live) {
    if (finished <= FINISHED_KEPT_MAX) return;
    if (entry.done) {
      live.delete(id);
      finished -= 1;
    }
  }
}
