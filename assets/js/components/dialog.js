/** Dialogs on <dialog>: focus is trapped and given back by the browser. */
import { h, uid } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { on } from '../store.js';
import { toast, toastError, describe } from './toast.js';

/**
 * Opens a modal dialog.
 * @param {{title: string, body: Node|Node[], actions?: Node[], wide?: boolean, isForm?: boolean}} options what was typed
 *   into a form is not lost to a stray press
 * @returns {{el: HTMLDialogElement, close: () => void, closed: Promise<void>}}
 */
export function openDialog({ title, body, actions, wide = false, isForm = false }) {
  const titleId = uid('dialog');
  const close = () => el.close();
  const el = h(
    'dialog',
    { class: wide ? 'dialog dialog-wide' : 'dialog', aria: { labelledby: titleId } },
    h(
      'header',
      { class: 'dialog-head' },
      h('h2', { id: titleId }, title),
      h(
        'button',
        { class: 'icon-button', type: 'button', aria: { label: t('common.close') }, on: { click: close } },
        icon('close'),
      ),
    ),
    h('div', { class: 'dialog-body' }, body),
    actions && h('footer', { class: 'dialog-foot' }, actions),
  );
  document.body.append(el);
  let isTyped = false;
  if (isForm) el.addEventListener('input', () => (isTyped = true));
  // The first Escape asks, the second one leaves.
  let isWarned = false;
  el.addEventListener('cancel', (e) => {
    if (e.target !== el || !isTyped || isWarned) return;
    e.preventDefault();
    isWarned = true;
    // What a finger has instead of the key is the way back.
    toast(t(matchMedia('(pointer: coarse)').matches ? 'dialog.typedBack' : 'dialog.typed'));
  });
  // A page that is left takes its dialogs along, but for what was typed into one.
  const off = on('page-left', () => isTyped || close());
  const closed = new Promise((resolve) => {
    el.addEventListener('close', () => {
      off();
      el.remove();
      resolve();
    });
  });
  // A press that both starts and ends on the backdrop closes; selecting text that slips outside does not.
  let pressedOutside = false;
  el.addEventListener('pointerdown', (e) => {
    pressedOutside = e.target === el && !isInside(el, e);
  });
  el.addEventListener('click', (e) => {
    // The second press of a double click on what opened it is none of its own.
    if (pressedOutside && e.target === el && e.detail < 2 && !isTyped) close();
  });
  el.showModal();
  (
    el.querySelector('[data-autofocus]') ??
    el.querySelector('.dialog-body input, .dialog-body textarea, .dialog-foot button')
  )?.focus();
  return { el, close, closed };
}

function isInside(el, event) {
  const box = el.getBoundingClientRect();
  return (
    event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom
  );
}

/**
 * A button that is busy while its action runs; what it throws becomes a notice unless the action handled it.
 * @param {string} label
 * @param {() => Promise<void>} action
 * @param {{kind?: string, type?: string}} [options]
 */
export function actionButton(label, action, { kind = 'primary', type = 'button' } = {}) {
  const button = h('button', { class: `button ${kind}`, type }, label);
  button.run = async () => {
    if (button.getAttribute('aria-busy') === 'true') return;
    button.setAttribute('aria-busy', 'true');
    try {
      await action();
    } catch (error) {
      toastError(error);
    } finally {
      button.removeAttribute('aria-busy');
    }
  };
  if (type !== 'submit') button.addEventListener('click', button.run);
  return button;
}

/**
 * Asks before something that cannot be undone.
 * @param {{title: string, text: Node|string, action: string, run: () => Promise<void>}} options
 */
export function confirmDialog({ title, text, action, run }) {
  const error = h('p', { class: 'field-error', role: 'alert', hidden: true });
  const go = actionButton(
    action,
    async () => {
      try {
        await run();
        dialog.close();
      } catch (cause) {
        error.textContent = describe(cause).text;
        error.hidden = false;
      }
    },
    { kind: 'danger' },
  );
  const cancel = h(
    'button',
    { class: 'button', type: 'button', data: { autofocus: '' }, on: { click: () => dialog.close() } },
    t('common.cancel'),
  );
  const dialog = openDialog({ title, body: [h('div', { class: 'prose-tight' }, text), error], actions: [cancel, go] });
  return dialog;
}

/**
 * A dialog around a form.
 * @param {{title: string, body: Node[], submit: string, also?: string, wide?: boolean,
 *          onSubmit: (form: HTMLFormElement, isAlso: boolean) => Promise<void|false>}} options
 *   `onSubmit` closes by returning; throwing, or false, keeps it open. `also` is the label of a second way to submit
 */
export function formDialog({ title, body, submit, also, onSubmit, wide }) {
  const formId = uid('form');
  const run = async (isAlso) => {
    if ((await onSubmit(form, isAlso)) !== false) dialog.close();
  };
  const go = actionButton(submit, () => run(false), { type: 'submit' });
  go.setAttribute('form', formId);
  // Not a way to submit: Enter in a field is for the first of those.
  const other = also && actionButton(also, () => run(true), { kind: 'also' });
  const form = h(
    'form',
    {
      id: formId,
      class: 'form',
      novalidate: true,
      on: {
        submit: (e) => {
          e.preventDefault();
          go.run();
        },
      },
    },
    body,
  );
  const cancel = h(
    'button',
    { class: 'button', type: 'button', on: { click: () => dialog.close() } },
    t('common.cancel'),
  );
  const dialog = openDialog({ title, body: form, actions: [other, cancel, go].filter(Boolean), wide, isForm: true });
  return dialog;
}
