/** The log of an execution: a window of lines that follows its end and goes wherever one likes, however long the log is. */
import { h, perFrame, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { bytes as sizeOf } from '../format.js';
import { getPref, setPref } from '../prefs.js';
import { isFinal } from '../store.js';
import { lineSplitter, logUrl, readRange, streamFrom } from '../log-source.js';
import { ansiNodes } from './ansi.js';
import { logFind } from './log-find-bar.js';
import { logTimes } from './log-times.js';
import { toastError } from './toast.js';

const LINES_MAX = 3000;
const TAIL_BYTES = 256 * 1024;
const STEP_BYTES = 128 * 1024;
const LINE_CHARS_MAX = 4000;
const RETRY_MS = 2000;
const BOTTOM_PX = 40;
const EDGE_PX = 600;

/** @param {object} execution */
export function logViewer(execution) {
  const { id } = execution;
  let isOpen = !isFinal(execution.status);
  let isFollowing = true;
  /** Whether the window ends where the log does, or did when it was read last. */
  let isAtEnd = true;
  let controller = new AbortController();
  let size = execution.log_bytes ?? 0;
  let [windowStart, windowEnd] = [0, 0];
  let pending = [];
  let frame = 0;
  let isBusy = false;

  const lines = h('div', { class: 'log-lines' });
  const note = h('p', { class: 'log-note' }, t('common.loading'));
  const view = h(
    'div',
    { class: 'log-view', tabindex: 0, role: 'region', aria: { label: t('log.title') } },
    lines,
    note,
  );
  const times = logTimes(id, view, lines);
  const find = logFind(id, { size: () => size, from: firstVisible, show: showAt, lines, view });
  /** Where somebody asked for a pause: an event of the scrolling before it does not end it. @type {number|null} */
  let pausedAt = null;
  const follow = tool('pause', '', () => {
    pausedAt = isFollowing ? view.scrollTop : null;
    setFollowing(!isFollowing);
  });
  const fillFollow = slot(follow);
  const start = tool('toStart', t('log.start'), () => showAt(0));
  const wrap = tool('wrap', t('log.wrap'), () => setWrap(!view.classList.contains('wrap')));
  const download = h(
    'a',
    { class: 'button small', href: logUrl(id), download: `${id}.log`, aria: { label: t('log.download') } },
    icon('download'),
    h('span', null, t('log.download')),
  );
  const live = h('span', { class: 'badge badge-running' }, h('span', { class: 'dot dot-running' }), t('log.live'));
  const sizeText = h('span', { class: 'small muted' });
  const el = h(
    'section',
    { class: 'log card' },
    h(
      'header',
      { class: 'log-head' },
      h('h2', null, t('log.title')),
      live,
      sizeText,
      find.el,
      h('div', { class: 'row' }, start, follow, wrap, times.button, download),
    ),
    view,
  );

  function setWrap(isOn) {
    view.classList.toggle('wrap', isOn);
    wrap.setAttribute('aria-pressed', String(isOn));
    setPref('logWrap', isOn ? 'on' : null);
  }

  function setFollowing(isOn) {
    isFollowing = isOn;
    if (isOn && !isAtEnd) restart();
    else if (isOn) {
      flush();
      view.scrollTop = view.scrollHeight;
    }
    showState();
  }

  function showState() {
    live.hidden = !isOpen;
    sizeText.textContent = size ? sizeOf(size) : '';
    start.hidden = windowStart === 0;
    const label = t(isFollowing ? 'log.pause' : isOpen ? 'log.follow' : 'log.later');
    follow.hidden = !isOpen && isFollowing;
    follow.setAttribute('aria-label', label);
    fillFollow(label, () => [icon(isFollowing ? 'pause' : 'arrowDown'), h('span', null, label)]);
    note.hidden = lines.childElementCount > 0;
    if (!note.hidden) note.textContent = isOpen ? t('log.waiting') : t('log.empty');
    times.update();
    find.update();
  }

  function batchOf(more) {
    const batch = document.createDocumentFragment();
    for (const { offset, end, text } of more) {
      const isCut = text.length > LINE_CHARS_MAX;
      const nodes = ansiNodes(isCut ? text.slice(0, LINE_CHARS_MAX) : text);
      const cut = isCut && h('em', null, t('log.cut', { n: text.length - LINE_CHARS_MAX }));
      const line = h('div', { class: 'log-line', data: { offset, end } }, nodes, cut);
      if (!line.hasChildNodes()) line.append('\u200b');
      batch.append(line);
    }
    return batch;
  }

  /** What came of the end of the log: shown in the next frame, or once somebody follows again. */
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
    if (pending.length === 0 || !isAtEnd) return;
    lines.append(batchOf(pending));
    pending = [];
    while (lines.childElementCount > LINES_MAX) lines.firstElementChild.remove();
    measure();
    view.scrollTop = view.scrollHeight;
  }

  function measure() {
    windowStart = Number(lines.firstElementChild?.dataset.offset ?? 0);
    windowEnd = Number(lines.lastElementChild?.dataset.end ?? windowStart);
  }

  /** Reads from `start` to the end, and on from where it was when the connection breaks. */
  async function run(start, isFirstCut) {
    const { signal } = controller;
    const splitter = lineSplitter();
    while (!signal.aborted) {
      try {
        await streamFrom(id, start, {
          follow: isOpen,
          signal,
          onChunk(offset, bytes) {
            let more = splitter.push(offset, bytes);
            // A window that begins inside a line shows it from the next one on.
            if (isFirstCut && more.length) {
              more = more.slice(1);
              isFirstCut = false;
            }
            start = offset + bytes.length;
            size = Math.max(size, start);
            queue(more);
          },
        });
        queue(splitter.end());
        break;
      } catch (error) {
        if (error.name === 'AbortError' || signal.aborted) return;
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

  /** Shows the end, and follows it. */
  function restart() {
    controller.abort();
    controller = new AbortController();
    pending = [];
    [isAtEnd, isFollowing] = [true, true];
    lines.replaceChildren();
    const start = Math.max(0, size - TAIL_BYTES);
    run(start, start > 0);
  }

  /** The lines of a part of the log; those that are cut by its borders only where there is nothing else. */
  async function linesOf(from, to) {
    const { start, bytes } = await readRange(id, from, to, controller.signal);
    const splitter = lineSplitter();
    const whole = splitter.push(start, bytes);
    const rest = splitter.end();
    return whole.length === 0 || start + bytes.length >= size ? [...whole, ...rest] : whole;
  }

  /** One piece of work at a time; what fails is said once. */
  async function exclusively(work) {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } catch (error) {
      if (error.status !== 416) toastError(error);
    }
    isBusy = false;
    showState();
  }

  /** Moves the window to a place in the log. */
  async function showAt(offset) {
    if (offset < windowStart || offset >= windowEnd || lines.childElementCount === 0) {
      controller.abort();
      controller = new AbortController();
      pending = [];
      [isAtEnd, isFollowing] = [false, false];
      await exclusively(async () => {
        const from = Math.max(0, offset - STEP_BYTES / 2);
        let found = await linesOf(from, Math.min(size, offset + STEP_BYTES));
        if (from > 0 && found.length > 1) found = found.slice(1);
        lines.replaceChildren(batchOf(found));
        measure();
      });
    }
    isFollowing = false;
    const line = lineAt(offset);
    if (offset === 0) view.scrollTop = 0;
    else line?.scrollIntoView({ block: 'center', behavior: 'instant' });
    showState();
    return line;
  }

  const lineAt = (offset) =>
    [...lines.children].findLast((line) => Number(line.dataset.offset) <= offset) ?? lines.firstElementChild;

  function firstVisible() {
    const edge = view.getBoundingClientRect().top;
    const line = [...lines.children].find((el_) => el_.getBoundingClientRect().bottom > edge);
    return Number(line?.dataset.offset ?? windowStart);
  }

  const loadEarlier = () =>
    exclusively(async () => {
      let older = await linesOf(Math.max(0, windowStart - STEP_BYTES), windowStart);
      if (older[0]?.offset > 0 && older.length > 1) older = older.slice(1);
      const before = view.scrollHeight - view.scrollTop;
      lines.prepend(batchOf(older));
      view.scrollTop = view.scrollHeight - before;
      if (lines.childElementCount > LINES_MAX) {
        // The end is not shown any more, so there is nothing to keep up with.
        controller.abort();
        controller = new AbortController();
        pending = [];
        isAtEnd = false;
      }
      while (lines.childElementCount > LINES_MAX) lines.lastElementChild.remove();
      measure();
    });

  const loadLater = () =>
    exclusively(async () => {
      const later = await linesOf(windowEnd, Math.min(size, windowEnd + STEP_BYTES));
      lines.append(batchOf(later));
      const before = view.scrollHeight;
      while (lines.childElementCount > LINES_MAX) lines.firstElementChild.remove();
      view.scrollTop -= before - view.scrollHeight;
      measure();
      if (windowEnd < size && later.length) return;
      isAtEnd = true;
      if (isOpen) run(windowEnd, false);
    });

  view.addEventListener(
    'scroll',
    perFrame(() => {
      const below = view.scrollHeight - view.scrollTop - view.clientHeight;
      const isAtBottom = isAtEnd && below < BOTTOM_PX;
      if (pausedAt !== null && Math.abs(view.scrollTop - pausedAt) < 2) return;
      pausedAt = null;
      if (isFollowing !== isAtBottom) setFollowing(isAtBottom);
      if (view.scrollTop < EDGE_PX && windowStart > 0 && !isFollowing) loadEarlier();
      else if (below < EDGE_PX && !isAtEnd) loadLater();
    }),
    { passive: true },
  );

  setWrap(getPref('logWrap') === 'on');
  showState();
  restart();
  return {
    el,
    /** The execution has ended: what is on its way still comes, then the log is complete. */
    finished(final) {
      if (!isOpen) return;
      isOpen = false;
      size = Math.max(size, final.log_bytes ?? 0);
      showState();
    },
    destroy() {
      controller.abort();
      find.destroy();
      times.destroy();
      cancelAnimationFrame(frame);
    },
  };
}

/** A button of the log's head; its words give way to its icon on a narrow screen. */
export function tool(glyph, label, click) {
  return h(
    'button',
    { class: 'button small', type: 'button', title: label, aria: { label }, on: { click } },
    icon(glyph),
    h('span', null, label),
  );
}
