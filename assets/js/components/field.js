/** Form fields: label, control, hint and error tied together. */
import { h, uid } from '../dom.js';
import { t } from '../strings.js';

/**
 * @param {{label: string, name: string, control?: HTMLElement, type?: string, value?: string, hint?: string,
 *          optional?: boolean, attrs?: object}} options
 * @returns {{el: HTMLElement, input: HTMLElement, setError: (text: string|null) => void}}
 */
export function field({ label, name, control, type = 'text', value = '', hint, optional = false, attrs = {} }) {
  const id = uid('field');
  const input = control ?? h('input', { type, value, class: 'input', ...attrs });
  input.id = id;
  input.name = name;
  const hintEl = hint && h('p', { class: 'field-hint', id: `${id}-hint` }, hint);
  const errorEl = h('p', { class: 'field-error', id: `${id}-error`, role: 'alert', hidden: true });
  const describedBy = [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(' ');
  input.setAttribute('aria-describedby', describedBy);
  const setError = (text) => {
    errorEl.textContent = text ?? '';
    errorEl.hidden = !text;
    if (text) input.setAttribute('aria-invalid', 'true');
    else input.removeAttribute('aria-invalid');
  };
  input.addEventListener('input', () => setError(null));
  const el = h(
    'div',
    { class: 'field' },
    h('label', { htmlFor: id }, label, optional && h('span', { class: 'field-optional' }, t('common.optional'))),
    input,
    errorEl,
    hintEl,
  );
  return { el, input, setError };
}

/** A text area that is as tall as its text. */
export function textArea({ value = '', rows = 3, ...attrs }) {
  const el = h('textarea', { class: 'input', rows, ...attrs });
  el.value = value;
  return el;
}

/** A select. @param {{value: string, label: string, disabled?: boolean}[]} options */
export function select(options, value, attrs = {}) {
  return h(
    'select',
    { class: 'input select', ...attrs },
    options.map((o) => h('option', { value: o.value, disabled: o.disabled, selected: o.value === value }, o.label)),
  );
}

/**
 * Puts the errors of a 422 at their fields.
 * @param {object} error an ApiError
 * @param {Record<string, {setError: Function, input: HTMLElement}>} fields by API name
 * @returns {boolean} whether every error found its field
 */
export function showFieldErrors(error, fields) {
  const errors = error?.details?.errors;
  if (error?.status !== 422 || !Array.isArray(errors) || errors.length === 0) return false;
  let first = null;
  for (const { field: name, message } of errors) {
    const target = fields[name];
    if (!target) return false;
    target.setError(message);
    first ??= target.input;
  }
  first?.focus();
  return true;
}
