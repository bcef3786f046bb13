/** A chat: its messages, the replies being written, the composer. At `/` it is one that does not exist yet. */
import { h, reconcile, replace, perFrame, announce, slot, textOf } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
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
import { dayName, title as titleOf } from '../format.js';
import { navigate, renamePath } from '../router.js';
import { getPref, setPref } from '../prefs.js';
import { composer as makeComposer } from '../components/composer.js';
import { scroller as makeScroller } from '../components/scroller.js';
import { userMessage, reply } from '../components/message.js';
import { loadSteps } from '../components/load-steps.js';
import { stepsOnSight } from '../components/steps-on-sight.js';
import { attachMenu } from '../components/menu.js';
import { renameChat, deleteChat } from '../components/chat-actions.js';
import { emptyState } from '../components/status.js';
import { toast, toastError } from '../components/toast.js';
import { greeting } from './greeting.js';
import { workerDialog } from './worker-dialog.js';
import { pageHead } from '../components/page-head.js';

const PAGE_MESSAGES = 60;
const ANNOUNCED_CHARS_MAX = 600;
/** The bee among who can be chosen. A chat is set to a worker on the server; to the bee, every message is addressed. */
const BEE = 'bee';

/** @param {{id?: string}} params @param {URLSearchParams} query `worker` pins a new chat to a worker */
export function chatPage(params, query) {
  let id = params.id ?? null;
  let next = null;
  let isLoading = false;
  let pinned = query.get('worker');
  let creating = null;
  let isBeeChosen = id !== null && getPref(answersKey()) === BEE;
  const offs = [];
  const views = new Map();
  const rows = transcript(() => id);

  const column = h('div', { class: 'chat-column', role: 'log', aria: { label: t('chat.log'), live: 'off' } });
  const top = h('p', { class: 'chat-top small muted', hidden: true });
  const inner = h('div', { class: 'chat-inner' }, top, column);
  const scroll = makeScroller(inner, { onTop: loadOlder });
  const welcome = h('div', { class: 'greeting-slot' });
  const sight = stepsOnSight(scroll, (executionId) => {
    if (shown.has(executionId)) views.get(executionId)?.update(shown.get(executionId));
  });
  const head = pageHead();
  const el = h('main', { class: 'chat', id: 'main', tabindex: -1, data: { drop: t('composer.drop') } });
  const composer = makeComposer({
    draftKey: draftKey(),
    sessionId: ensureSession,
    onSend: send,
    onStop: stop,
    dropTarget: el,
  });
  el.append(head.el, scroll.el, welcome, h('div', { class: 'composer-dock' }, composer.el));

  const answers = h('select', {
    class: 'select quiet-select',
    title: t('chat.answers'),
    aria: { label: t('chat.answers') },
    on: { change: () => pin(answers.value || null) },
  });
  const more = h(
    'button',
    { class: 'icon-button', type: 'button', aria: { label: t('common.actions', { name: t('nav.chats') }) } },
    icon('dots'),
  );
  attachMenu(more, () => [
    { label: t('common.rename'), icon: 'pencil', run: () => renameChat(store.sessions.get(id)) },
    {
      label: t('common.delete'),
      icon: 'trash',
      danger: true,
      run: () => deleteChat(store.sessions.get(id), () => navigate('/')),
    },
  ]);
  head.setActions(answers, more);

  function draftKey() {
    return `draft.${id ?? 'new'}`;
  }
  function answersKey() {
    return `answers.${id}`;
  }
  const session = () => store.sessions.get(id);

  const fillAnswers = slot(answers);
  const fillWelcome = slot(welcome);
  /** @type {Map<string, object>} the rows as drawn last, by key */
  let shown = new Map();
  const written = new Set();

  function draw() {
    const items = rows.items();
    shown = new Map(items.map((row) => [row.key, row]));
    reconcile(column, items, (row) => row.key, createRow, views);
  }

  /** A reply grew: only it is drawn again. */
  const drawWritten = perFrame(() => {
    for (const key of written) if (shown.has(key)) views.get(key)?.update(shown.get(key));
    written.clear();
  });

  const render = perFrame(() => {
    draw();
    el.classList.toggle('is-new', rows.isEmpty() && !isLoading && openExecutions(id).length === 0);
    const open = openExecutions(id);
    const active = activeOf(open);
    composer.setStop(!active ? null : store.stopping.has(active.id) ? 'stopping' : 'running');
  });

  function createRow(row) {
    if (row.kind === 'day') return { el: h('h2', { class: 'day' }, h('span', null, dayName(row.ts))) };
    if (row.kind === 'user') return userMessage(row);
    const view = reply(row, { askBee, editWorker: (workerId) => workerDialog(store.workers.get(workerId)) });
    if (row.message && row.executionId && !liveOf(row.executionId)) sight.watch(view.el, row.executionId);
    return view;
  }

  function renderHead() {
    const s = session();
    head.setTitle(s?.name || t('chat.untitled'));
    more.hidden = !s;
    const value = (s ? s.worker_id : pinned) ?? (isToBee() ? BEE : null);
    const workers = [...store.workers.values()].map((w) => [w.id, w.name]);
    fillAnswers(JSON.stringify(workers), () =>
      [['', t('chat.answersAuto')], ...workers, [BEE, t('chat.bee')]].map(([value_, label]) => h('option', { value: value_ }, label)),
    );
    answers.value = value ?? '';
    answers.hidden = store.workers.size === 0;
    const name = value === BEE ? t('chat.bee') : workerName(value);
    composer.setPlaceholder(name ? t('composer.placeholderWorker', { name }) : t('composer.placeholder'));
    fillWelcome(`greeting ${name}`, () => greeting({ name, onSuggest: composer.setText }));
  }

  async function pin(chosen) {
    isBeeChosen = chosen === BEE;
    const workerId = isBeeChosen ? null : chosen;
    pinned = workerId;
    if (id) {
      keepAnswers();
      try {
        putSession(await api.patch(`/api/local/sessions/${id}`, { worker_id: workerId }));
      } catch (error) {
        toastError(error);
      }
    }
    renderHead();
  }

  function keepAnswers() {
    setPref(answersKey(), isBeeChosen ? BEE : null);
  }

  /** Loads the newest page and what is still open; after a gap in the stream, what was missed. */
  async function load({ isGap = false } = {}) {
    isLoading = true;
    try {
      const [history, executions] = await Promise.all([
        api.page(`/api/local/sessions/${id}/messages?html=true&limit=${PAGE_MESSAGES}`),
        api.get(`/api/executions?session_id=${id}&limit=100`),
        session() ? null : api.get(`/api/local/sessions/${id}`).then(putSession),
      ]);
      for (const e of executions) putExecution(e, false);
      // Pages that meet what is shown already leave it, and the reader's place in it, alone.
      const isJoined = isGap && history.items.some((m) => rows.has(m.id));
      if (!isJoined) rows.clear();
      rows.putPage(history.items);
      if (!isJoined) next = history.next;
      isLoading = false;
      top.hidden = false;
      top.textContent = next ? t('chat.older') : t('chat.start');
      renderHead();
      render();
      requestAnimationFrame(() => {
        if (!isJoined) scroll.toBottom();
        if (scroll.nearTop()) loadOlder();
      });
      // A reply that is being written was begun before we came: its earlier steps are in its own stream.
      for (const e of openExecutions(id)) if (e.status === 'running' && !liveOf(e.id)?.tools.size) loadSteps(e.id);
    } catch (error) {
      isLoading = false;
      if (error.status === 404) notFound();
      else toastError(error);
    }
    look();
  }

  /** What is on a page that is in sight counts as read. */
  function look() {
    if (id && !document.hidden) markRead(id);
  }

  async function loadOlder() {
    if (!next || isLoading) return;
    isLoading = true;
    try {
      const older = await api.page(next);
      rows.putPage(older.items);
      next = older.next;
      top.textContent = next ? t('chat.older') : t('chat.start');
      scroll.keepPlace(draw);
    } catch (error) {
      toastError(error);
    } finally {
      isLoading = false;
    }
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
          { name: name || t('chat.untitled'), ...(pinned && { worker_id: pinned }) },
          randomKey(),
        );
        id = made.id;
        putSession(made);
        composer.moveDraft(draftKey());
        keepAnswers();
        renamePath(`/chats/${id}`);
        renderHead();
        return id;
      } finally {
        creating = null;
      }
    })();
    return creating;
  }

  async function send(text, media) {
    const key = randomKey();
    const content = isToBee() && !text.startsWith('@') ? toBee(text) : text;
    rows.addOutgoing({
      key,
      content,
      media,
      state: 'sending',
      ts: Date.now(),
      onResend: () => deliver(key),
      onDiscard: () => {
        rows.dropOutgoing(key);
        render();
      },
    });
    render();
    requestAnimationFrame(() => scroll.toBottom());
    await deliver(key);
  }

  const isToBee = () => isBeeChosen && !session()?.worker_id;
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
      const body = { content: mine.content, ...(mine.media && { media_path: mine.media.path }) };
      const answer = await api.postOnce(`/api/local/sessions/${chat}/messages`, body, key);
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
    } else if (name === 'status' && data.status === 'running') {
      announce(t('chat.replying', { name: workerName(data.worker_id) ?? t('chat.bee') }));
    } else if (name === 'status' && isFinal(data.status)) {
      rows.noteEnded(data.execution_id);
    } else if (name === 'deleted') {
      toast(t('chat.deleted'));
      navigate('/');
      return;
    }
    render();
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
      if (id) load({ isGap: true });
    }),
  );
  addEventListener('keydown', onKey);
  document.addEventListener('visibilitychange', look);
  renderHead();
  render();
  if (id) load();
  if (!matchMedia('(pointer: coarse)').matches) requestAnimationFrame(composer.focus);

  return {
    el,
    title: () => session()?.name || t('chat.untitled'),
    focus: composer.focus,
    // The page that has just got its id is already the page of that id.
    update: (p, q) => (p.id ?? null) === id && id !== null && !q.get('worker'),
    destroy() {
      offs.forEach((off) => off());
      removeEventListener('keydown', onKey);
      document.removeEventListener('visibilitychange', look);
      sight.destroy();
      scroll.destroy();
      composer.destroy();
    },
  };
}
