/**
 * A permission request: what a worker wants to do, in plain words, and the user's answer to it. What was decided is what
 * the server says, here as everywhere.
 */
import { announce, h, replace, uid } from '../dom.js';
import { t, has } from '../strings.js';
import { icon } from '../icons.js';
import { plain, timeOfDay } from '../format.js';
import * as api from '../api.js';
import { applyLive } from '../live.js';
import { getPref } from '../prefs.js';
import { emit, loadExecution, store, workerName } from '../store.js';
import { diffOf } from './diff.js';
import { toastError } from './toast.js';

/** A key that was meant for something else answers nothing: a request has to have stood there this long. */
const ARMED_AFTER_MS = 600;
const SHOWN_CHARS_MAX = 20_000;
const DECISIONS = ['allow', 'allow_always', 'deny'];
const TARGET_KEYS = ['path', 'file_path', 'notebook_path', 'url', 'worker', 'to', 'name'];
/** What would not be seen, or would show other characters elsewhere than where they stand. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The cards that wait, in the order in which they came. */
const waiting = new Set();

/** Text of which nothing is hidden: who allows it has to see it. */
function visible(text) {
  const shown = text.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
  return shown.length > SHOWN_CHARS_MAX ? `${shown.slice(0, SHOWN_CHARS_MAX)}\n…` : shown;
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that a call would run, as one would type it; null where it is none. */
function commandOf(args) {
  const command = args?.argv ?? args?.command ?? args?.cmd;
  if (typeof command === 'string') return command;
  if (Array.isArray(command) && command.every((word) => typeof word === 'string')) return command.map(quoted).join(' ');
  return null;
}

function targetOf(args) {
  const key = TARGET_KEYS.find((k) => typeof args?.[k] === 'string' && args[k]);
  return key ? visible(plain(args[key]).split('\n', 1)[0].slice(0, 200)) : null;
}

/** What it wants, in plain words. */
function title(request, name) {
  if (request.effect === 'run' && commandOf(request.args) !== null) return t('permission.run', { name });
  const target = targetOf(request.args);
  const key = `permission.${request.effect}`;
  if (target && request.effect !== 'run' && has(key)) return t(key, { name, target });
  return t('permission.title', { name, tool: plain(request.tool) });
}

/** The command, the change, or else all that the tool would be given. */
function detail(request) {
  const command = request.effect === 'run' ? commandOf(request.args) : null;
  if (command !== null) {
    const { argv, command: _, cmd, ...rest } = request.args;
    return [block(command, 'permission-command'), Object.keys(rest).length > 0 && h('p', { class: 'permission-hint' }, settingsOf(rest))];
  }
  if (request.diff) return diffOf(visible(request.diff))?.el ?? block(request.diff);
  if (request.args === null || request.args === undefined) return null;
  return block(typeof request.args === 'string' ? request.args : JSON.stringify(request.args, null, 2));
}

/** What is beside the command, in a line: `timeout_s: 60`. */
const settingsOf = (rest) =>
  visible(Object.entries(rest).map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' · '));

const block = (text, kind = '') => h('pre', { class: kind, tabindex: 0 }, visible(text));

/** How it was answered, as a sentence. */
function outcome(request, name) {
  if (request.decision !== 'deny') return t(`permission.did.${request.decision}`, { name });
  const key = `permission.denied.${request.by}`;
  return t(has(key) ? key : 'permission.denied.user');
}

/**
 * The card of one request.
 * @param {object} request as `permission_request` has it, with `decision` and `by` once it is answered
 * @param {string} executionId
 * @returns {{el: HTMLElement, update: (request: object) => void, destroy: () => void}}
 */
export function permissionCard(request, executionId) {
  const heading = uid('permission');
  const el = h('section', { class: 'permission', tabindex: -1, aria: { labelledby: heading } });
  let current = request;
  let shown = null;
  let before = null;

  const name = () => {
    const execution = store.executions.get(executionId);
    return workerName(execution?.worker_id, execution?.worker_name) ?? t('chat.bee');
  };

  async function decide(decision) {
    if (current.decision || el.ariaBusy === 'true') return;
    el.ariaBusy = 'true';
    const path = `/api/executions/${executionId}/permissions/${encodeURIComponent(current.request_id)}`;
    try {
      const answer = await api.post(path, { decision });
      applyLive('permission_resolved', answer);
      emit('live', executionId);
    } catch (error) {
      toastError(error);
      // Somebody else was faster, or it lapsed: what stands is with the server.
      if (error.status === 409 || error.status === 404) await loadPermissions(executionId).catch(toastError);
    } finally {
      el.ariaBusy = null;
    }
  }

  const card = { el, decide, options: () => current.options ?? DECISIONS, isArmed: () => 'armed' in el.dataset };
  setTimeout(() => (el.dataset.armed = ''), ARMED_AFTER_MS);

  function showQuestion() {
    const options = DECISIONS.filter((decision) => card.options().includes(decision));
    replace(
      el,
      h('p', { class: 'permission-title', id: heading }, icon('shield'), h('span', null, title(current, name()))),
      detail(current),
      h(
        'div',
        { class: 'permission-answers' },
        options.map((decision) =>
          h(
            'button',
            {
              class: decision === 'allow' ? 'button primary' : 'button',
              type: 'button',
              data: { decision },
              aria: { keyshortcuts: String(DECISIONS.indexOf(decision) + 1) },
              on: { click: () => decide(decision) },
            },
            t(`permission.${decision}`),
            h('kbd', { aria: { hidden: 'true' } }, String(DECISIONS.indexOf(decision) + 1)),
          ),
        ),
      ),
      h(
        'p',
        { class: 'permission-hint' },
        options.includes('allow_always') && t('permission.always', { name: name(), tool: plain(current.tool) }),
        ' ',
        current.expires_at && t('permission.expires', { time: timeOfDay(current.expires_at) }),
      ),
    );
  }

  function showAnswer() {
    const hadFocus = el.contains(document.activeElement);
    const what = detail(current);
    replace(
      el,
      h(
        'details',
        { class: 'permission-past' },
        h(
          'summary',
          { id: heading },
          icon(current.decision === 'deny' ? 'close' : 'check'),
          h('span', { class: 'permission-outcome' }, outcome(current, name())),
          h('span', { class: 'tool-target' }, [plain(current.tool), commandOf(current.args) ?? targetOf(current.args)].filter(Boolean).map((part) => visible(part).split('\n', 1)[0]).join(': ')),
          h('span', { class: 'chevron' }, icon('right')),
        ),
        what,
      ),
    );
    // The buttons are gone; whoever was there goes on where they came from.
    if (hadFocus) (before?.isConnected ? before : el.querySelector('summary')).focus();
  }

  function update(next) {
    current = next;
    const state = next.decision ?? 'waiting';
    if (state === shown) return;
    shown = state;
    el.dataset.state = state;
    if (next.decision) {
      waiting.delete(card);
      showAnswer();
    } else {
      waiting.add(card);
      showQuestion();
      requestAnimationFrame(() => {
        if (!el.isConnected || current.decision) return;
        announce(`${title(current, name())}. ${t('permission.keys')}`);
        takeFocus();
      });
    }
  }

  /** Only from where nobody is writing, and not from a finger: that would open and close its keyboard. */
  function takeFocus() {
    const active = document.activeElement;
    const isFree = active === document.body || active?.id === 'main' || (active?.matches('.composer-input') && active.value === '');
    if (!isFree || matchMedia('(pointer: coarse)').matches || document.querySelector('dialog[open], .menu')) return;
    before = active === document.body ? null : active;
    el.focus({ preventScroll: true });
  }

  update(request);
  return {
    el,
    update,
    destroy: () => waiting.delete(card),
  };
}

/** Fetches what an execution asked for, and how that was answered. */
export async function loadPermissions(executionId) {
  const requests = await api.get(`/api/executions/${encodeURIComponent(executionId)}/permissions`);
  for (const request of requests) {
    applyLive('permission_request', request);
    if (request.decision) applyLive('permission_resolved', request);
  }
  if (requests.length > 0) emit('live', executionId);
  await loadExecution(executionId);
}

/** The keys 1 to 3 answer the request that has the focus, else the one that waits longest on this page. */
addEventListener('keydown', (event) => {
  const at = ['1', '2', '3'].indexOf(event.key);
  if (at < 0 || event.defaultPrevented || event.isComposing || event.repeat) return;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open], .menu')) return;
  const all = [...waiting].filter((card) => card.el.isConnected);
  const focused = all.find((card) => card.el.contains(event.target));
  const isTyping = event.target.closest?.('input, textarea, select, [contenteditable]');
  if (!focused && (isTyping || getPref('singleKeys', 'on') !== 'on')) return;
  const card = focused ?? all[0];
  if (!card || !card.isArmed() || !card.options().includes(DECISIONS[at])) return;
  event.preventDefault();
  card.decide(DECISIONS[at]);
});
