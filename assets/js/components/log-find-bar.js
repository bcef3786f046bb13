/** Finding a text anywhere in a log: the field, the way to the next and the one before, and the marks in what is shown. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { findInLog } from '../log-find.js';
import { toastError } from './toast.js';

const MARK = 'log-find';
const MARKS_MAX = 2000;

/**
 * @param {string} id of the execution
 * @param {{size: () => number, from: () => number, show: (offset: number) => Promise<HTMLElement|null>,
 *          lines: HTMLElement, view: HTMLElement}} log
 */
export function logFind(id, log) {
  let controller = new AbortController();
  /** @type {number|null} where the match is that is shown */
  let at = null;
  let marked = '';
  const input = h('input', {
    class: 'input log-find-input',
    type: 'search',
    placeholder: t('log.find'),
    aria: { label: t('log.find') },
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const status = h('span', { class: 'small muted log-find-status', role: 'status' });
  const button = (glyph, label, isBackward) =>
    h(
      'button',
      {
        class: 'icon-button small',
        type: 'button',
        title: label,
        aria: { label },
        on: { click: () => go(isBackward) },
      },
      icon(glyph),
    );
  const el = h(
    'div',
    { class: 'log-find', role: 'search' },
    input,
    status,
    button('up', t('log.findBefore'), true),
    button('down', t('log.findNext'), false),
  );

  input.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && input.value) {
      event.preventDefault();
      input.value = '';
      changed();
    } else if (event.key === 'Enter' && !event.isComposing) {
      event.preventDefault();
      go(event.shiftKey);
    }
  });
  input.addEventListener('input', changed);

  function changed() {
    controller.abort();
    at = null;
    status.textContent = '';
    mark(null);
    update();
  }

  async function go(isBackward) {
    const text = input.value;
    if (!text) return;
    controller.abort();
    controller = new AbortController();
    const { signal } = controller;
    const begin = at === null ? log.from() : isBackward ? at : at + 1;
    try {
      const found = await findInLog(id, {
        text,
        from: Math.min(begin, log.size()),
        size: log.size(),
        isBackward,
        signal,
        onProgress: (fraction) => {
          status.textContent = fraction > 0 ? `${Math.round(fraction * 100)} %` : '';
        },
      });
      status.textContent = found === null ? t('log.notFound') : '';
      if (found === null) return;
      at = found;
      const line = await log.show(found);
      mark(line);
      update();
    } catch (error) {
      toastError(error);
    }
  }

  function mark(line) {
    log.lines.querySelector('.is-match')?.classList.remove('is-match');
    line?.classList.add('is-match');
  }

  /** Marks every occurrence in the lines that are there. */
  function update() {
    if (!globalThis.Highlight || !CSS.highlights) return;
    const text = input.value.toLowerCase();
    const key = `${text} ${log.lines.firstElementChild?.dataset.offset} ${log.lines.lastElementChild?.dataset.end}`;
    if (key === marked) return;
    marked = key;
    CSS.highlights.delete(MARK);
    if (text) CSS.highlights.set(MARK, new Highlight(...ranges(text)));
  }

  function ranges(text) {
    const found = [];
    const walker = document.createTreeWalker(log.lines, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && found.length < MARKS_MAX; node = walker.nextNode()) {
      const hay = node.data.toLowerCase();
      for (let i = hay.indexOf(text); i >= 0; i = hay.indexOf(text, i + text.length)) {
        const range = new Range();
        range.setStart(node, i);
        range.setEnd(node, Math.min(node.length, i + text.length));
        found.push(range);
      }
    }
    return found;
  }

  return {
    el,
    update,
    destroy() {
      controller.abort();
      globalThis.CSS?.highlights?.delete(MARK);
    },
  };
}
