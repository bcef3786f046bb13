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
import { dropDraft, dropUnsent, isFresh, isPassing, keepAsDraft, keepUnsent, rescueUnsent, unsentOf } from '../unsent.js';
import { now } from '../clock.js';
import { dayName, title as titleOf } from '../format.js';
import { navigate, renamePath } from '../router.js';
import { composer as makeComposer } from '../components/composer.js';
import { scroller as makeScroller } from '../components/scroller.js';
import { userMessage, reply } from '../components/message.js';
import { loadSteps } from '../components/load-steps.js';
import { stepsOnSight } from '../components/steps-on-sight.js';
import { BEE, chatHead } from '../components/chat-head.js';
import { emptyState } from '../components/status.js';
import { pageHead } from '../components/page-head.js';
import { toast, toastError } from '../components/toast.js';
import { greeting } from './greeting.js';
import { onCall } from '../later.js';

const workerDialog = onCall(async () => (await import('./worker-dialog.js')).workerDialog);
/** A screen is filled at once; what is above comes as one nears it. */
const FIRST_MESSAGES = 24;
const PAGE_MESSAGES = 60;
const PAGE_EXECUTIONS = 50;
/** A server that is there and takes nothing is asked again after at most this. */
const RETRY_MAX_S = 60;
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const ANNOUNCED_CHARS_MAX = 600;

/** The text without the name that it begins with, of a worker or the bee. */
function withoutMention(text) {
  const names = [BEE, ...[...store.workers.values()].map((worker) => worker.name)];
  const named = names.filter((name) => text.toLowerCase().startsWith(`@${name}`.toLowerCase()));
  const longest = Math.max(0, ...named.map((name) => name.length + 1));
  return text.slice(longest).replace(/^[\s,:]+/, '');
}

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
  let nextDelivery = 0;
  /** How this chat is made: twice asked for, it is made once. @type {{key: string, body: object}|null} */
  let creation = null;
  const offs = [];
  const views = new Map();
  const rows = transcript(() => id);
  const drawn = rowWindow();
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
      deliverWaiting();
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
        const pinned = head.pinned() ?? undefined;
        if (creation?.body.worker_id !== pinned) creation = null;
        creation ??= { key: randomKey(), body: { name: name || t('chat.untitled'), worker_id: pinned } };
        const made = await api.postOnce('/api/local/sessions', creation.body, creation.key);
        id = made.id;
        putSession(made);
        head.keep();
        // Whoever went elsewhere meanwhile stays there.
        if (!isGone) {
          composer.moveDraft(draftKey());
          renamePath(`/chats/${id}`);
          renderHead();
        }
        return id;
      } catch (error) {
        if (!isPassing(error)) creation = null;
        throw error;
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
    putOutgoing({ key, content, media, replaces, ts: now() }, 'sending');
    drawn.toEnd();
    render();
    requestAnimationFrame(() => scroll.toBottom());
    await deliver(key);
  }

  function putOutgoing(mine, state) {
    const onDiscard = () => {
      dropUnsent(id, mine.key);
      dropDraft(mine.content);
      rows.dropOutgoing(mine.key);
      render();
    };
    rows.addOutgoing({ ...mine, tries: 0, state, onResend: () => deliver(mine.key), onDiscard });
  }

  /** What found no server goes out, one after the other, once there is one. */
  async function deliverWaiting() {
    if (isLoading || isMissing || isDelivering) return;
    isDelivering = true;
    clearTimeout(nextDelivery);
    for (const mine of rows.waiting()) {
      if (isGone || store.held || store.connection !== 'open' || !(await deliver(mine.key))) break;
    }
    isDelivering = false;
  }

  /** The server is there and says "not now". */
  function deliverLater({ tries }, error) {
    const seconds = error.retryAfter ?? Math.min(2 ** tries, RETRY_MAX_S);
    clearTimeout(nextDelivery);
    nextDelivery = setTimeout(deliverWaiting, seconds * 1000);
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
  const nameOf = ({ content, media }) => titleOf(withoutMention(content) || media?.name || content);

  /** @returns {Promise<boolean>} whether the server has it */

  async function deliver(key) {
    const mine = rows.outgoing(key);
    if (!mine || (mine.state === 'sending' && mine.tries > 0)) return false;
    mine.tries += 1;
    mine.state = 'sending';
    mine.why = null;
    render();
    const isFirst = !rows.hasAny();
    try {
      const chat = await ensureSession(nameOf(mine));
      keepUnsent(chat, mine);
      const body = {
        content: mine.content,
        ...(mine.media && { media_path: mine.media.path }),
        ...(mine.replaces && { replaces: mine.replaces.id }),
      };
      const answer = await api.postOnce(`/api/local/sessions/${chat}/messages`, body, key);
      dropUnsent(chat, key);
      dropDraft(mine.content);
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
      return true;
    } catch (error) {
      const isHeld = store.held || error.code === 'held';
      if (error.code === 'held') setHeld(true);
      const waits = isPassing(error) && isFresh(mine);
      if (id && !isPassing(error)) keepUnsent(id, { ...mine, isRefused: true });
      // A chat that is not there, or not any more, cannot be told it later.
      if (!id || error.status === 404) {
        if (id) dropUnsent(id, key);
        keepAsDraft(mine.content);
      }
      Object.assign(mine, { state: waits ? 'waiting' : 'failed', why: isHeld ? t('chat.held') : null });
      if (waits && !isHeld && !isGone) deliverLater(mine, error);
      if (!waits) toastError(error);
      return false;
    } finally {
      render();
    }
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
      composer.saveDraft();
      navigate('/');
    }
    // What is being written is drawn where it stands, not with all the rest.
  }

  function notFound() {
    rescueUnsent(id);
    replace(
      el,
      // Nobody answers in what is not there.
      pageHead(t('nav.chats')).el,
      emptyState({
        title: t('chat.notFound'),
        lead: t('chat.notFoundLead'),
        action: h('a', { class: 'button primary', href: '/', data: { route: '' } }, t('nav.newChat')),
      }),
    );
  }

  /** Unless it is at the way back from what was just done. */
  function takeFocus() {
    if (!document.activeElement?.closest('.toast')) composer.focus();
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
    on('connection', deliverWaiting),
    on('held', deliverWaiting),
  );
  addEventListener('keydown', onKey);
  document.addEventListener('visibilitychange', look);
  for (const mine of unsentOf(id)) putOutgoing(mine, isFresh(mine) ? 'waiting' : 'failed');
  renderHead();
  render();
  if (id) load();
  if (!matchMedia('(pointer: coarse)').matches) requestAnimationFrame(takeFocus);

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
      clearTimeout(nextDelivery);
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
