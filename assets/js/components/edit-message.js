/** A message of the user's, open for being said differently. */
import { h } from '../dom.js';
import { t } from '../strings.js';

/**
 * @param {string} text
 * @param {{onChange: (text: string) => void, onSend: (text: string) => void, onCancel: () => void}} options
 * @returns {HTMLElement} takes the focus when it is put in the page
 */
export function editMessage(text, { onChange, onSend, onCancel }) {
  const input = h('textarea', { class: 'input edit-input', rows: 1, value: text, aria: { label: t('edit.label') } });
  const fit = () => {
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight + 2}px`;
  };
  const send = () => {
    if (input.value.trim()) onSend(input.value.trim());
  };
  input.addEventListener('input', () => {
    onChange(input.value);
    fit();
  });
  input.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      onCancel();
    } else if (event.key === 'Enter' && !event.shiftKey && !matchMedia('(pointer: coarse)').matches) {
      event.preventDefault();
      send();
    }
  });
  requestAnimationFrame(() => {
    fit();
    input.focus();
    input.setSelectionRange(input.value.length, input.value.length);
  });
  return h(
    'div',
    { class: 'edit-box' },
    input,
    h(
      'div',
      { class: 'edit-bar' },
      h('span', { class: 'edit-hint' }, t('edit.hint')),
      h('button', { class: 'button small', type: 'button', on: { click: onCancel } }, t('common.cancel')),
      h('button', { class: 'button small primary', type: 'button', on: { click: send } }, t('composer.send')),
    ),
  );
}
