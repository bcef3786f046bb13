/** Small signs of state: badges, dots, empty pages. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon, skepMark } from '../icons.js';
import { isWaiting, shownStatus, store } from '../store.js';
import { describe } from './toast.js';

/** The state of an execution in a word and a colour. */
export function executionBadge(execution) {
  const status = isWaiting(execution) ? 'waiting' : shownStatus(execution);
  const isStopping = store.stopping.has(execution.id);
  return h(
    'span',
    { class: `badge badge-${isStopping ? 'stopping' : status}` },
    h('span', { class: `dot dot-${status}`, aria: { hidden: 'true' } }),
    isStopping ? t('exec.cancelling') : t(`exec.status.${status}`),
  );
}

/** A state in a word and a colour: `pending`, `running`, `completed`, `failed`, `cancelled`, `paused`. */
export function stateBadge(state, word) {
  return h(
    'span',
    { class: `badge badge-${state}` },
    h('span', { class: `dot dot-${state}`, aria: { hidden: 'true' } }),
    word,
  );
}

/** The state of a worker; that its last run failed may be said beside it already. */
export function workerBadge({ status }, isFailureShown = false) {
  const shown = status === 'error' && isFailureShown ? 'idle' : status;
  const kind = { working: 'running', error: 'failed', idle: 'idle' }[shown] ?? 'idle';
  return h(
    'span',
    { class: `badge badge-${kind}` },
    h('span', { class: `dot dot-${kind}`, aria: { hidden: 'true' } }),
    t(`workers.status.${shown}`),
  );
}

/**
 * A page with nothing on it, and the one next action.
 * @param {{title: string, lead: string, action?: Node, glyph?: string}} options
 */
export function emptyState({ title, lead, action, glyph }) {
  return h(
    'div',
    { class: 'empty' },
    h('div', { class: 'empty-glyph' }, glyph ? icon(glyph) : skepMark()),
    h('h2', null, title),
    h('p', { class: 'muted' }, lead),
    action,
  );
}

/** A page whose content did not come: why, and the way to ask again. */
export function loadFailed(error, again) {
  const { text, advice } = describe(error);
  return emptyState({
    title: t('page.notLoaded'),
    lead: [text, advice].filter(Boolean).join(' '),
    glyph: 'alert',
    action: h('button', { class: 'button primary', type: 'button', on: { click: again } }, t('common.again')),
  });
}

/** Three cells that fill one after the other: something is being worked on. */
export function workingDots() {
  return h('span', { class: 'working-dots', aria: { hidden: 'true' } }, h('i'), h('i'), h('i'));
}
