/** Completes `@Name` in a text area: a listbox of workers above the composer. */
import { h, uid } from '../dom.js';
import { t } from '../strings.js';
import { store } from '../store.js';
import { avatar } from './avatar.js';

const SHOWN_MAX = 6;

/**
 * @param {HTMLTextAreaElement} input
 * @returns {{el: HTMLElement, onKey: (event: KeyboardEvent) => boolean, onInput: () => void, isOpen: () => boolean}}
 *   `onKey` says whether the key was used up
 */
export function mentions(input) {
  const listId = uid('mentions');
  const el = h('ul', {
    class: 'mentions',
    id: listId,
    role: 'listbox',
    hidden: true,
    aria: { label: t('composer.mentions') },
  });
  let found = [];
  let at = 0;
  let start = -1;

  input.setAttribute('aria-autocomplete', 'list');
  input.setAttribute('aria-controls', listId);

  function close() {
    el.hidden = true;
    found = [];
    input.removeAttribute('aria-activedescendant');
  }

  function onInput() {
    const before = input.value.slice(0, input.selectionStart);
    const match = /(?:^|\s)@([^@\n]{0,40})$/.exec(before);
    if (!match) {
      close();
      return;
    }
    const wanted = match[1].toLowerCase();
    start = before.length - match[1].length - 1;
    const begins = (w) => w.name.toLowerCase().startsWith(wanted);
    const workers = [...store.workers.values()];
    // The bee is the way out when a worker cannot answer: it is never pushed off the list.
    const bee = { name: 'bee', isBee: true, description: t('chat.beeAbout') };
    found = workers
      .filter(begins)
      .concat(workers.filter((w) => !begins(w) && w.name.toLowerCase().includes(wanted)))
      .slice(0, SHOWN_MAX)
      .concat(begins(bee) ? bee : []);
    at = 0;
    // A name typed out in full with what follows it is done.
    if (found.length === 0) {
      close();
      return;
    }
    render();
  }

  function render() {
    el.hidden = false;
    el.replaceChildren(
      ...found.map((worker, i) =>
        h(
          'li',
          {
            class: 'mention',
            role: 'option',
            id: `${listId}-${i}`,
            aria: { selected: i === at },
            on: {
              pointerdown: (e) => {
                e.preventDefault();
                choose(i);
              },
            },
          },
          avatar(worker.isBee ? null : worker.name, 'small'),
          h('span', { class: 'mention-name' }, worker.name),
          h('span', { class: 'mention-about muted' }, worker.description ?? ''),
        ),
      ),
    );
    input.setAttribute('aria-activedescendant', `${listId}-${at}`);
  }

  function choose(i) {
    const name = found[i].name;
    const end = input.selectionStart;
    input.setRangeText(`@${name} `, start, end, 'end');
    close();
    input.dispatchEvent(new Event('input', { bubbles: true }));
    close();
    input.focus();
  }

  function onKey(event) {
    if (el.hidden || event.isComposing) return false;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      at = (at + (event.key === 'ArrowDown' ? 1 : -1) + found.length) % found.length;
      render();
    } else if (event.key === 'Enter' || event.key === 'Tab') choose(at);
    else if (event.key === 'Escape') close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  input.addEventListener('blur', close);
  return { el, onKey, onInput, isOpen: () => !el.hidden };
}
