/** A chat: its messages, the replies being written, the composer. At `/` it is one that does not exist yet. */
import { h, reconcile, replace, perFrame, announce, slot, textOf } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import {
  store,
  on,
  openExecutions,
  putSession,
  putExecution,
  isFinal,
  stopExecution,
  randomKey,
  workerName,
  markRead,
  setHeld,
} from '../store.js';
import { liveOf, takeGap } from '../live.js';
import { reconnectStream } from '../stream.js';
import { transcript } from '../transcript.js';
import { rowWindow } from '../row-window.js';
import { unsent } from '../unsent.js';
import { dayName, title as titleOf } from '../format.js';
import { navigate, renamePath } from '../router.js';
import { composer as makeComposer } from '../components/composer.js';
import { scroller as makeScroller } from '../components/scroller.js';
import { userMessage, reply } from '../components/message.js';
import { loadSteps } from '../components/load-steps.js';
import { stepsOnSight } from '../components/steps-on-sight.js';
import { BEE, chatHead } from '../components/chat-head.js';
import { emptyState } from '../components/status.js';
import { toast, toastError } from '../components/toast.js';
import { greeting } from './greeting.js';
import { onCall } from '../later.js';

const workerDialog = onCall(async () => (await import('./worker-dialog.js')).workerDialog);
/** A screen is filled at once; what is above comes as one nears it. */
const FIRST_MESSAGES = 24;
const PAGE_MESSAGES = 60;
const PAGE_EXECUTIONS = 50;
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const ANNOUNCED_CHARS_MAX = 600;

/**
 * @param {{id?: string}} params
 * @param {URLSearchParams} query `worker` sets a new chat to a worker; in the hash, `m` is the message to begin at
 */
export function chatPage(params, query) {
  let id = params.id ?? null;
  let next = null;
  let isLoading = false;
  let nextExecutions = null;
  let creating = null;
  let isGone = false;
  // Its messages are still to come, once something answers.
  let isMissing = false;
  let isDelivering = false;
  const offs = [];
  const views = new Map();
  const rows = transcript(() => id);
  const drawn = rowWindow();
  const kept = unsent(() => id);
  /** @type {Map<string, string>} messages that are being said differently, by id */
  const edits = new Map();

  const column = h('div', { class: 'chat-column', role: 'log', aria: { label: t('chat.log'), live: 'off' } });
  const top = h('p', { class: 'chat-top small muted', hidden: true });
  const inner = h('div', { class: 'chat-inner' }, top, column);
  const scroll = makeScroller(inner, {
    rows: column,
    isAtEnd: drawn.isAtEnd,
    onTop: showOlder,
    onBottom: showNewer,
    onJump: showLatest,
  });
  const welcome = h('div', { class: 'greeting-slot' });
  const sight = stepsOnSight(scroll, (executionId) => {
    if (shown.has(executionId)) views.get(executionId)?.update(shown.get(executionId));
  });
  const head = chatHead({ id: () => id, pinned: query.get('worker'), changed: renderHead, left: () => navigate('/') });
  const el = h('main', { class: 'chat', id: 'main', tabindex: -1, data: { drop: t('composer.drop') } });
  const composer = makeComposer({
    draftKey: draftKey(),
    sessionId: ensureSession,
    onSend: send,
    onStop: stop,
    onEditLast: () => {
      const last = rows.lastSaid();
      if (last) edit(last);
    },
    dropTarget: el,
  });
  el.append(head.el, scroll.el, welcome, h('div', { class: 'composer-dock' }, composer.el));

  function draftKey() {
    return `draft.${id ?? 'new'}`;
  }
  const session = () => store.sessions.get(id);

  const fillWelcome = slot(welcome);
  /** @type {Map<string, object>} the rows as drawn last, by key */
  let shown = new Map();
  const written = new Set();

  function draw() {
    const items = drawn.of(rows.items());
    const isIdle = openExecutions(id).length === 0;
    const latest = drawn.isAtEnd() && isIdle ? items.findLast((row) => row.kind === 'reply') : null;
    for (const row of items) {
      if (row.kind === 'reply') row.isLatest = row === latest;
      else if (row.kind === 'user') {
        row.canEdit = isIdle && row.message.seq !== null && !row.state;
        row.edited = edits.get(row.key);
      }
    }
    shown = new Map(items.map((row) => [row.key, row]));
    scroll.keepPlace(() => reconcile(column, items, (row) => row.key, createRow, views));
  }

  /** A reply grew: only it is drawn again. */
  const drawWritten = perFrame(() => {
    for (const key of written) if (shown.has(key)) views.get(key)?.update(shown.get(key));
    written.clear();
  });

  const render = perFrame(() => {
    draw();
    el.classList.toggle('is-new', rows.isEmpty() && !isLoading && !isMissing && openExecutions(id).length === 0);
    const open = openExecutions(id);
    const active = activeOf(open);
    composer.setStop(!active ? null : store.stopping.has(active.id) ? 'stopping' : 'running');
  });

  function createRow(row) {
    if (row.kind === 'day') return { el: h('h2', { class: 'day' }, h('span', null, dayName(row.ts))) };
    if (row.kind === 'user') return userMessage(row, { edit, keepEdit, resend, endEdit });
    const view = reply(row, { askBee, editWorker: (workerId) => workerDialog(store.workers.get(workerId)) });
    if (row.message && row.executionId && !liveOf(row.executionId)) sight.watch(view.el, row.executionId);
    return view;
  }

  function renderHead() {
    const name = head.render();
    composer.setPlaceholder(name ? t('composer.placeholderWorker', { name }) : t('composer.placeholder'));
    fillWelcome(`greeting ${name}`, () => greeting({ name, onSuggest: composer.setText }));
  }

  function showTop() {
    top.hidden = false;
    top.textContent = next || drawn.above(rows.items()) > 0 ? t('chat.older') : t('chat.start');
  }

  /** Loads the newest page and what is still open; after a gap in the stream, what was missed. */
  async function load({ isGap = false } = {}) {
    isLoading = true;
    // What comes while the page is on its way may be newer than the page.
    const before = new Set(rows.ids());
    try {
      const [history, executions] = await Promise.all([
        api.page(`/api/local/sessions/${id}/messages?html=true&limit=${FIRST_MESSAGES}`),
        api.page(`/api/executions?session_id=${id}&limit=${PAGE_EXECUTIONS}`),
        session() ? null : api.get(`/api/local/sessions/${id}`).then(putSession),
      ]);
      for (const e of executions.items) putExecution(e, false);
      // Pages that meet what is shown already leave it, and the reader's place in it, alone.
      const isJoined = isGap && history.items.some((m) => before.has(m.id));
      if (!isJoined) rows.forget(before);
      rows.putPage(history.items);
      const older = history.next?.replace(/\blimit=\d+/, `limit=${PAGE_MESSAGES}`) ?? null;
      if (!isJoined) [next, nextExecutions] = [older, executions.next];
      isLoading = isMissing = false;
      showTop();
      renderHead();
      render();
      requestAnimationFrame(() => {
        if (!isJoined) scroll.toBottom();
        if (scroll.nearTop()) showOlder();
        if (!isGap) showMessage();
      });
      // A reply that is being written was begun before we came: its earlier steps are in its own stream.
      for (const e of openExecutions(id)) if (e.status === 'running' && !liveOf(e.id)?.tools.size) loadSteps(e.id);
      deliverKept();
    } catch (error) {
      isLoading = false;
      isMissing = !isGap && error instanceof api.NetworkError;
      if (error.status === 404) notFound();
      else toastError(error);
    }
    look();
  }

  /** What is on a page that is in sight counts as read. */
  function look() {
    if (id && !document.hidden && store.keptUnread !== id) markRead(id);
  }

  /** Fetches the page before what is there, and the executions that it shows; whether there was one. */
  async function loadOlder() {
    if (!next || isLoading) return false;
    isLoading = true;
    try {
      const [older, executions] = await Promise.all([api.page(next), nextExecutions && api.page(nextExecutions)]);
      rows.putPage(older.items);
      for (const e of executions?.items ?? []) putExecution(e, false);
      [next, nextExecutions] = [older.next, executions?.next ?? null];
      return true;
    } catch (error) {
      toastError(error);
      return false;
    } finally {
      isLoading = false;
    }
  }

  /** The reader comes near the oldest row that is drawn. */
  async function showOlder() {
    const isMoved = drawn.up(rows.items());
    if (isMoved) draw();
    if (drawn.above(rows.items()) > PAGE_MESSAGES) return;
    if (!(await loadOlder()) || isGone) return;
    if (!isMoved) drawn.up(rows.items());
    draw();
    showTop();
    if (scroll.nearTop()) requestAnimationFrame(showOlder);
  }

  function showNewer() {
    if (drawn.down(rows.items())) draw();
  }

  function showLatest() {
    drawn.toEnd();
    draw();
  }

  /** Goes to one message, however old it is. */
  async function showMessage() {
    // What the search links to, it names in the query.
    const wanted =
      new URLSearchParams(location.hash.slice(1)).get('m') ?? new URLSearchParams(location.search).get('message');
    if (!wanted) return;
    while (!rows.has(wanted) && next && !isGone) if (!(await loadOlder())) await nextFrame();
    const row = rows.items().find((r) => r.message?.id === wanted);
    if (!row || isGone) return;
    drawn.show(rows.items(), row.key);
    draw();
    showTop();
    const target = views.get(row.key)?.el;
    if (!target) return;
    scroll.toRow(target);
    target.classList.add('is-found');
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  /** The id of this chat, made on the server when the first message or file needs it. */
  function ensureSession(name) {
    if (id) return Promise.resolve(id);
    // A copy that waits takes no message, and a chat without one is of no use.
    if (store.held) return Promise.reject(new api.ApiError(409, { error: 'held', message: t('chat.held') }, new Headers()));
    creating ??= (async () => {
      try {
        const made = await api.postOnce(
          '/api/local/sessions',
          { name: name || t('chat.untitled'), ...(head.pinned() && { worker_id: head.pinned() }) },
          randomKey(),
        );
        id = made.id;
        putSession(made);
        head.keep();
        kept.move();
        // Whoever went elsewhere meanwhile stays there.
        if (!isGone) {
          composer.moveDraft(draftKey());
          renamePath(`/chats/${id}`);
          renderHead();
        }
        return id;
      } finally {
        creating = null;
      }
    })();
    return creating;
  }

  async function send(text, media) {
    await post({ content: head.isToBee() && !text.startsWith('@') ? toBee(text) : text, media });
  }

  async function post({ content, media, replaces }) {
    const key = randomKey();
    const mine = { key, content, media, replaces, ts: Date.now() };
    kept.keep(mine);
    putOutgoing(mine, 'sending');
    drawn.toEnd();
    render();
    requestAnimationFrame(() => scroll.toBottom());
    await deliver(key);
  }

  function putOutgoing(mine, state) {
    const onDiscard = () => {
      kept.drop(mine.key);
      rows.dropOutgoing(mine.key);
      render();
    };
    rows.addOutgoing({ ...mine, state, onResend: () => deliver(mine.key), onDiscard });
  }

  /** What found no server goes out, one after the other, once there is one. */
  async function deliverKept() {
    if (isLoading || isMissing || isDelivering) return;
    isDelivering = true;
    for (const mine of kept.all()) {
      if (isGone || store.connection !== 'open') break;
      if (kept.isFresh(mine) && rows.outgoing(mine.key)?.state === 'failed') await deliver(mine.key);
    }
    isDelivering = false;
  }

  function edit(message) {
    if (openExecutions(id).length > 0) return toast(t('edit.busy'));
    edits.set(message.id, message.content);
    return render();
  }

  function keepEdit(message, text) {
    edits.set(message.id, text);
  }

  function endEdit(message) {
    edits.delete(message.id);
    render();
    composer.focus();
  }

  /** Says a message differently: what followed it is hidden once the server has the new one. */
  function resend(message, text) {
    endEdit(message);
    post({ content: text, media: message.media.find((m) => m.path) ?? null, replaces: message });
  }

  const toBee = (text) => `@${BEE} ${text}`.trim();

  /** Asks the bee what an agent could not answer. */
  function askBee(executionId, name) {
    const asked = rows.askedBy(executionId);
    if (!asked) return;
    const mention = `@${name}`.toLowerCase();
    const isNamed = asked.content.toLowerCase().startsWith(mention);
    const text = (isNamed ? asked.content.slice(mention.length) : asked.content).replace(/^[\s,:]+/, '');
    send(toBee(text), asked.media.find((m) => m.path) ?? null);
  }

  /** A chat that a file began has no name yet: its first message gives it one, as any other's does. */
  async function nameAfter(mine) {
    if (session()?.name !== t('chat.untitled')) return;
    putSession(await api.patch(`/api/local/sessions/${id}`, { name: nameOf(mine) }));
  }
  const nameOf = ({ content, media }) => titleOf(content.replace(/^@bee\b\s*/, '') || media?.name || content);

  async function deliver(key) {
    const mine = rows.outgoing(key);
    if (!mine) return;
    mine.state = 'sending';
    mine.why = null;
    render();
    const isFirst = !rows.hasAny();
    try {
      const chat = await ensureSession(nameOf(mine));
      const body = {
        content: mine.content,
        ...(mine.media && { media_path: mine.media.path }),
        ...(mine.replaces && { replaces: mine.replaces.id }),
      };
      const answer = await api.postOnce(`/api/local/sessions/${chat}/messages`, body, key);
      kept.drop(key);
      rows.settle(key, answer);
      if (isFirst) nameAfter(mine).catch(toastError);
      if (!store.executions.has(answer.execution_id)) {
        putExecution({
          id: answer.execution_id,
          session_id: chat,
          message_id: answer.id,
          status: 'pending',
          queue_position: null,
          created_at: mine.ts,
        });
      }
    } catch (error) {
      const isHeld = store.held || error.code === 'held';
      if (error.code === 'held') setHeld(true);
      // A refusal stands; silence, and a server that is busy, do not.
      if (error.status < 500) kept.keep({ ...mine, isRefused: true });
      rows.failOutgoing(key, isHeld ? t('chat.held') : null);
      // That nothing answers, or that this copy waits, is told by the message and what lies above it already.
      if (!isHeld && !(error instanceof api.NetworkError)) toastError(error);
    }
    render();
  }

  /** What Stop is about: the run that goes on, or the one that would be next. What waits behind it stays. */
  const activeOf = (open) => open.find((e) => e.status === 'running') ?? open[0];

  function stop() {
    const active = activeOf(openExecutions(id));
    if (active && !store.stopping.has(active.id)) stopExecution(active.id).catch(toastError);
  }

  function onEvent({ name, data, sessionId }) {
    if (sessionId !== id || id === null) return;
    if (name === 'message' || name === 'user_message') {
      const message = rows.putEvent(name, data);
      if (name === 'message') {
        const who = message.author?.worker_id ? message.author.name : t('chat.bee');
        const text = message.html ? textOf(message.html) : message.content;
        announce(t('chat.replied', { name: who, text: text.slice(0, ANNOUNCED_CHARS_MAX) }));
      }
      render();
    } else if (name === 'status' && data.status === 'running') {
      announce(t('chat.replying', { name: workerName(data.worker_id) ?? t('chat.bee') }));
    } else if (name === 'status' && isFinal(data.status)) {
      rows.noteEnded(data.execution_id);
      render();
    } else if (name === 'deleted') {
      toast(t('chat.deleted'));
      composer.saveDraft('draft.new');
      navigate('/');
    }
    // What is being written is drawn where it stands, not with all the rest.
  }

  function notFound() {
    replace(
      el,
      head.el,
      emptyState({
        title: t('chat.notFound'),
        lead: t('chat.notFoundLead'),
        action: h('a', { class: 'button primary', href: '/', data: { route: '' } }, t('nav.newChat')),
      }),
    );
  }

  function onKey(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open], .menu')) return;
    if (openExecutions(id).length === 0) return;
    event.preventDefault();
    stop();
  }

  offs.push(
    on('message', onEvent),
    on('executions', render),
    on('live', (executionId) => {
      if (takeGap(executionId)) reconnectStream();
      written.add(executionId);
      drawWritten();
    }),
    on('sessions', () => {
      renderHead();
      look();
    }),
    on('workers', () => {
      renderHead();
      render();
    }),
    on('gap', () => {
      if (id) load({ isGap: !isMissing });
    }),
    on('connection', deliverKept),
  );
  addEventListener('keydown', onKey);
  document.addEventListener('visibilitychange', look);
  for (const mine of kept.all()) putOutgoing(mine, 'failed');
  renderHead();
  render();
  if (id) load();
  deliverKept();
  if (!matchMedia('(pointer: coarse)').matches) requestAnimationFrame(composer.focus);

  return {
    el,
    title: () => session()?.name || t('chat.untitled'),
    focus: composer.focus,
    // The page that has just got its id is already the page of that id.
    update(p, q) {
      if ((p.id ?? null) !== id || id === null || q.get('worker')) return false;
      showMessage();
      return true;
    },
    destroy() {
      isGone = true;
      if (store.keptUnread === id) store.keptUnread = null;
      offs.forEach((off) => off());
      removeEventListener('keydown', onKey);
      document.removeEventListener('visibilitychange', look);
      sight.destroy();
      scroll.destroy();
      composer.destroy();
    },
  };
}
