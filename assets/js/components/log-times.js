/** When the lines of a log were printed, fetched for those that are shown. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { getPref, setPref } from '../prefs.js';
import { readPieces } from '../log-source.js';
import { toastError } from './toast.js';

const PIECES_MAX = 1000;
/** Lines that keep coming are asked about together. */
const PAUSE_MS = 250;

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/** @param {string} id of the execution @param {HTMLElement} view @param {HTMLElement} lines */
export function logTimes(id, view, lines) {
  const controller = new AbortController();
  let isBusy = false;
  let timer = 0;
  const button = h(
    'button',
    {
      class: 'button small',
      type: 'button',
      title: t('log.times'),
      aria: { label: t('log.times') },
      on: { click: () => set(!isOn()) },
    },
    icon('clock'),
    h('span', null, t('log.times')),
  );
  const isOn = () => view.classList.contains('times');

  function set(wanted) {
    view.classList.toggle('times', wanted);
    button.setAttribute('aria-pressed', String(wanted));
    setPref('logTimes', wanted ? 'on' : null);
    update();
  }

  function update() {
    if (!isOn() || isBusy || timer) return;
    timer = setTimeout(load, PAUSE_MS);
  }

  async function load() {
    timer = 0;
    isBusy = true;
    try {
      for (;;) {
        const first = lines.querySelector('.log-line:not([data-time])');
        if (!first || !isOn()) break;
        const pieces = await readPieces(id, Number(first.dataset.offset), PIECES_MAX, controller.signal);
        if (!mark(first, pieces)) break;
      }
    } catch (error) {
      toastError(error);
    }
    isBusy = false;
  }

  /** Marks the lines from `line` on; a line has the time of the first piece that ends behind its beginning. */
  function mark(line, pieces) {
    let n = 0;
    let isMarked = false;
    for (let el = line; el; el = el.nextElementSibling) {
      const offset = Number(el.dataset.offset);
      while (n < pieces.length && pieces[n].offset + pieces[n].bytes <= offset) n += 1;
      if (n === pieces.length) return isMarked;
      el.dataset.time = clock.format(pieces[n].at);
      el.dataset.stream = pieces[n].stream;
      isMarked = true;
    }
    return isMarked;
  }

  set(getPref('logTimes') === 'on');
  return {
    button,
    update,
    destroy() {
      controller.abort();
      clearTimeout(timer);
    },
  };
}
