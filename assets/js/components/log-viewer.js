/** The log of an execution: a window of lines that follows its end, and goes back as far as one likes. */
import { h, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { bytes as sizeOf } from '../format.js';
import { getPref, setPref } from '../prefs.js';
import { isFinal } from '../store.js';
import { lineSplitter, logUrl, readRange, streamFrom } from '../log-source.js';
import { toastError } from './toast.js';

const LINES_MAX = 3000;
const TAIL_BYTES = 256 * 1024;
const EARLIER_BYTES = 128 * 1024;
const LINE_CHARS_MAX = 4000;
const RETRY_MS = 2000;
const BOTTOM_PX = 40;
// Colours come with a later version; until then the escape sequences would only be noise.
const ANSI = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;

/** @param {object} execution */
export function logViewer(execution) {
  const { id } = execution;
  let isOpen = !isFinal(execution.status);
  let isFollowing = true;
  let controller = new AbortController();
  let windowStart = 0;
  let received = 0;
  let pending = [];
  let frame = 0;
  let isDestroyed = false;

  const lines = h('div', { class: 'log-lines' });
  const note = h('p', { class: 'log-note' }, t('common.loading'));
  const earlier = h(
    'button',
    { class: 'button small quiet log-earlier', type: 'button', hidden: true, on: { click: loadEarlier } },
    t('log.earlier'),
  );
  const view = h(
    'div',
    { class: 'log-view', tabindex: 0, role: 'region', aria: { label: t('log.title') } },
    earlier,
    lines,
    note,
  );
  const follow = h('button', {
    class: 'button small',
    type: 'button',
    on: { click: () => setFollowing(!isFollowing, true) },
  });
  const fillFollow = slot(follow);
  const wrap = h(
    'button',
    {
      class: 'button small',
      type: 'button',
      aria: { label: t('log.wrap') },
      on: { click: () => setWrap(!view.classList.contains('wrap')) },
    },
    icon('wrap'),
    h('span', null, t('log.wrap')),
  );
  const download = h(
    'a',
    { class: 'button small', href: logUrl(id), download: `${id}.log`, aria: { label: t('log.download') } },
    icon('download'),
    h('span', null, t('log.download')),
  );
  const live = h('span', { class: 'badge badge-running' }, h('span', { class: 'dot dot-running' }), t('log.live'));
  const size = h('span', { class: 'small muted' });
  const el = h(
    'section',
    { class: 'log card' },
    h(
      'header',
      { class: 'log-head' },
      h('h2', null, t('log.title')),
      live,
      size,
      h('div', { class: 'row' }, follow, wrap, download),
    ),
    view,
  );

  function setWrap(isOn) {
    view.classList.toggle('wrap', isOn);
    wrap.setAttribute('aria-pressed', String(isOn));
    setPref('logWrap', isOn ? 'on' : null);
  }

  function setFollowing(isOn, isAsked = false) {
    isFollowing = isOn;
    const label = t(isOn ? 'log.pause' : isOpen ? 'log.follow' : 'log.later');
    follow.setAttribute('aria-label', label);
    fillFollow(label, () => [icon(isOn ? 'pause' : 'arrowDown'), h('span', null, label)]);
    if (isOn && isAsked && windowWasCut) restart();
    else if (isOn) {
      flush();
      view.scrollTop = view.scrollHeight;
    }
  }

  function showState() {
    live.hidden = !isOpen;
    size.textContent = received ? sizeOf(received) : '';
    earlier.hidden = windowStart === 0;
    follow.hidden = !isOpen && isFollowing;
    note.hidden = lines.childElementCount > 0;
    if (!note.hidden) note.textContent = isOpen ? t('log.waiting') : t('log.empty');
  }

  /** True once lines at the end were dropped to make room for earlier ones. */
  let windowWasCut = false;

  function lineNode({ offset, text }) {
    const clean = text.replace(ANSI, '').replace(/\r$/, '').replace(/^.*\r/, '');
    const shown =
      clean.length > LINE_CHARS_MAX
        ? clean.slice(0, LINE_CHARS_MAX) + t('log.cut', { n: clean.length - LINE_CHARS_MAX })
        : clean;
    return h('div', { class: 'log-line', data: { offset } }, shown || '\u200b');
  }

  function queue(more) {
    pending.push(...more);
    // While the reader looks elsewhere only the newest lines are worth keeping.
    if (pending.length > LINES_MAX) pending = pending.slice(-LINES_MAX);
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (isFollowing) flush();
      showState();
    });
  }

  function flush() {
    if (pending.length === 0 || windowWasCut) return;
    const batch = document.createDocumentFragment();
    for (const line of pending) batch.append(lineNode(line));
    pending = [];
    lines.append(batch);
    while (lines.childElementCount > LINES_MAX) lines.firstElementChild.remove();
    windowStart = Number(lines.firstElementChild?.dataset.offset ?? 0);
    if (isFollowing) view.scrollTop = view.scrollHeight;
  }

  async function run() {
    const mine = controller;
    let start = Math.max(0, (execution.log_bytes ?? 0) - TAIL_BYTES);
    windowStart = start;
    received = start;
    let isFirst = start > 0;
    const splitter = lineSplitter();
    while (!mine.signal.aborted) {
      try {
        await streamFrom(id, start, {
          follow: isOpen,
          signal: mine.signal,
          onChunk: (offset, bytes) => {
            let more = splitter.push(offset, bytes);
            // A window that begins inside a line shows it from the next one on.
            if (isFirst && more.length) {
              more = more.slice(1);
              isFirst = false;
              windowStart = more[0]?.offset ?? windowStart;
            }
            start = offset + bytes.length;
            received = start;
            queue(more);
          },
        });
        queue(splitter.end());
        break;
      } catch (error) {
        if (error.name === 'AbortError' || mine.signal.aborted) return;
        if (error.status === 416) break;
        if (!isOpen || error.status) {
          toastError(error);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    showState();
  }

  async function loadEarlier() {
    if (windowStart === 0) return;
    setFollowing(false);
    earlier.setAttribute('aria-busy', 'true');
    try {
      const from = Math.max(0, windowStart - EARLIER_BYTES);
      const { start, bytes } = await readRange(id, from, windowStart, controller.signal);
      const splitter = lineSplitter();
      let older = splitter.push(start, bytes);
      older = older.concat(splitter.end());
      if (start > 0 && older.length > 1) older = older.slice(1);
      const batch = document.createDocumentFragment();
      for (const line of older) batch.append(lineNode(line));
      const before = view.scrollHeight - view.scrollTop;
      lines.prepend(batch);
      view.scrollTop = view.scrollHeight - before;
      windowStart = older[0]?.offset ?? 0;
      while (lines.childElementCount > LINES_MAX) {
        lines.lastElementChild.remove();
        windowWasCut = true;
      }
    } catch (error) {
      toastError(error);
    } finally {
      earlier.removeAttribute('aria-busy');
      showState();
    }
  }

  /** Back to the end after the window was moved away from it. */
  function restart() {
    controller.abort();
    controller = new AbortController();
    pending = [];
    windowWasCut = false;
    lines.replaceChildren();
    execution = { ...execution, log_bytes: received };
    run();
  }

  view.addEventListener(
    'scroll',
    () => {
      const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < BOTTOM_PX;
      if (isFollowing !== isAtEnd && !windowWasCut) setFollowing(isAtEnd);
      showState();
    },
    { passive: true },
  );

  setWrap(getPref('logWrap') === 'on');
  setFollowing(true);
  showState();
  run();
  return {
    el,
    /** The execution has ended: what is on its way still comes, then the log is complete. */
    finished(final) {
      if (!isOpen || isDestroyed) return;
      isOpen = false;
      execution = final;
      showState();
    },
    destroy() {
      isDestroyed = true;
      controller.abort();
      cancelAnimationFrame(frame);
    },
  };
}
