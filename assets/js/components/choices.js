/** A few choices of which one holds, beside each other: radio buttons that look like pills. */
import { h, uid } from '../dom.js';

/**
 * @param {{label: string, options: [value: string|number, words: string, glyph?: Node][], chosen: string|number,
 *          onChoose: (value: string|number) => void, hideLabel?: boolean}} options
 * @returns {HTMLFieldSetElement}
 */
export function choices({ label, options, chosen, onChoose, hideLabel = false }) {
  const name = uid('choice');
  return h(
    'fieldset',
    { class: 'choices' },
    h('legend', { class: hideLabel ? 'visually-hidden' : null }, label),
    h(
      'div',
      { class: 'choice-row' },
      options.map(([value, words, glyph]) =>
        h(
          'label',
          { class: 'choice' },
          h('input', {
            type: 'radio',
            name,
            value: String(value),
            checked: value === chosen,
            on: { change: () => onChoose(value) },
          }),
          h('span', null, glyph, words),
        ),
      ),
    ),
  );
}
