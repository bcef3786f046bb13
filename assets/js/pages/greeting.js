/** What an empty chat says: a welcome and things one could ask. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { avatar } from '../components/avatar.js';
import { skepMark } from '../icons.js';

/** @param {{name: string|null, onSuggest: (text: string) => void}} options */
export function greeting({ name, onSuggest }) {
  const suggestions = ['chat.suggest.1', 'chat.suggest.2', 'chat.suggest.3'];
  return h(
    'section',
    { class: 'greeting' },
    name ? avatar(name, 'large') : h('div', { class: 'greeting-mark' }, skepMark()),
    h('h1', null, name ? t('chat.greetingWorker', { name }) : t('chat.greeting')),
    !name && h('p', { class: 'muted' }, t('chat.greetingLead')),
    !name &&
      h(
        'div',
        { class: 'suggestions' },
        suggestions.map((key) =>
          h('button', { class: 'suggestion', type: 'button', on: { click: () => onSuggest(t(key)) } }, t(key)),
        ),
      ),
  );
}
