/** Notices that come and go, and the one way an error is shown that belongs to no field. */
import { h } from '../dom.js';
import { t, has } from '../strings.js';
import { icon } from '../icons.js';
import { ApiError, NetworkError, onAnswered } from '../api.js';
import { setHeld, store } from '../store.js';

const SHOWN_MS = 5000;
const ERROR_SHOWN_MS = 12_000;
const TOASTS_MAX = 4;

/** Notices that nothing answers, until something does. @type {Set<() => void>} */
const aboutSilence = new Set();
onAnswered(() => {
  for (const close of aboutSilence) close();
  aboutSilence.clear();
});

/**
 * Shows a notice.
 * @param {string} text
 * @param {{kind?: 'info'|'ok'|'error', small?: string, advice?: string, action?: {label: string, run: () => void}}} [options]
 * @returns {() => void} takes it away
 */
export function toast(text, { kind = 'info', small, advice, action } = {}) {
  const root = document.getElementById('toasts');
  const close = () => {
    const box = el.parentElement;
    el.remove();
    // What a dialog has of them takes up room.
    if (box !== root && box?.childElementCount === 0) box.remove();
  };
  const el = h(
    'div',
    { class: `toast toast-${kind}`, role: kind === 'error' ? 'alert' : 'status' },
    icon(kind === 'error' ? 'alert' : kind === 'ok' ? 'check' : 'info'),
    h(
      'div',
      { class: 'toast-body' },
      h('p', null, text),
      advice && h('p', { class: 'muted' }, advice),
      small && h('p', { class: 'small' }, small),
    ),
    action &&
      h(
        'button',
        {
          class: 'button small',
          type: 'button',
          on: {
            click: () => {
              close();
              action.run();
            },
          },
        },
        action.label,
      ),
    h(
      'button',
      { class: 'icon-button small', type: 'button', aria: { label: t('common.close') }, on: { click: close } },
      icon('close'),
    ),
  );
  // A dialog is in the top layer, above everything: a notice for it has to go inside.
  const dialog = [...document.querySelectorAll('dialog[open]')].pop();
  const box = dialog ? toastBox(dialog) : root;
  box.append(el);
  while (box.childElementCount > TOASTS_MAX) box.firstElementChild.remove();
  let timer = setTimeout(close, kind === 'error' || action ? ERROR_SHOWN_MS : SHOWN_MS);
  const wait = () => clearTimeout(timer);
  const goOn = () => {
    clearTimeout(timer);
    timer = setTimeout(close, SHOWN_MS);
  };
  for (const [begin, end] of [
    ['pointerenter', 'pointerleave'],
    ['focusin', 'focusout'],
  ]) {
    el.addEventListener(begin, wait);
    el.addEventListener(end, goOn);
  }
  // What had the focus may be what was undone: the way back is where the keyboard goes next.
  if (action) el.querySelector('.button').focus();
  return close;
}

/** A sentence for an error, and what to do about it. @returns {{text: string, advice: string|null, small: string|null}} */
export function describe(error) {
  if (error instanceof NetworkError) return { text: t('error.network'), advice: null, small: null };
  if (!(error instanceof ApiError)) return { text: t('error.unknown'), advice: null, small: error?.message ?? null };
  const key = `error.advice.${error.code}`;
  const advice =
    error.retryAfter && error.status === 429 ? t('error.retryIn', { n: error.retryAfter }) : has(key) ? t(key) : null;
  const fields = error.details?.errors?.map?.((e) => `${e.field}: ${e.message}`).join('\n');
  return {
    text: fields || error.message || t('error.unknown'),
    advice,
    small: error.requestId ? t('error.requestId', { id: error.requestId }) : null,
  };
}

/** Shows an error as a notice. Aborted requests and ended sessions are nobody's news. */
export function toastError(error) {
  if (error?.name === 'AbortError') return;
  if (error instanceof ApiError && error.status === 401) return;
  // The banner that then appears says it; when it is there already, the notice does.
  if (error instanceof ApiError && error.code === 'held' && !store.held) {
    setHeld(true);
    return;
  }
  const { text, advice, small } = describe(error);
  const close = toast(text, { kind: 'error', advice, small });
  if (error instanceof NetworkError) {
    // One is enough, however many requests met the silence.
    for (const earlier of aboutSilence) earlier();
    aboutSilence.clear();
    aboutSilence.add(close);
  }
  if (!(error instanceof ApiError) && !(error instanceof NetworkError)) console.error(error);
}

function toastBox(dialog) {
  return dialog.querySelector(':scope > .toasts') ?? dialog.appendChild(h('div', { class: 'toasts' }));
}
