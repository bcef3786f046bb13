/** One execution: what was asked, what came of it, its facts and its log. */
import { h, reconcile, replace, slot, perFrame } from '../dom.js';
import { t, has } from '../strings.js';
import * as api from '../api.js';
import { icon } from '../icons.js';
import { bytes, duration, executionDuration, fullTime, sentence, usage, title as titleOf } from '../format.js';
import { store, on, loadExecution, isFinal, stopExecution, retryExecution, shownStatus, workerName } from '../store.js';
import { pageHead } from '../components/page-head.js';
import { avatar } from '../components/avatar.js';
import { actionButton } from '../components/dialog.js';
import { executionBadge, emptyState } from '../components/status.js';
import { rendered } from '../components/rendered.js';
import { toast, toastError } from '../components/toast.js';
import { loadPermissions, permissionCard } from '../components/permission.js';
import { liveOf } from '../live.js';
import { logViewer } from '../components/log-viewer.js';
import { navigate } from '../router.js';

const TICK_MS = 1000;
/** A reply is looked for among this many of its chat's newest messages; an older one is shown as its text. */
const MESSAGES_LOOKED_AT = 100;
/** From here on a text may be longer than its box. */
const LONG_CHARS = 600;
const LONG_LINES = 10;

/** @param {{id: string}} params */
export function executionPage({ id }) {
  const head = pageHead(t('exec.one'));
  const summary = h('div', { class: 'exec-summary' });
  const facts = h('dl', { class: 'facts-grid' });
  const texts = h('div', { class: 'exec-texts' });
  const asks = h('div', { class: 'permissions exec-asks' });
  const askViews = new Map();
  const fillSummary = slot(summary);
  const fillFacts = slot(facts);
  const fillTexts = slot(texts);
  const body = h(
    'div',
    { class: 'page-body exec-body' },
    h('a', { class: 'back-link', href: '/executions', data: { route: '' } }, icon('left'), t('exec.back')),
    summary,
    asks,
    texts,
    h('section', { class: 'card', aria: { label: t('exec.facts') } }, facts),
  );
  const el = h('main', { class: 'page', id: 'main', tabindex: -1 }, head.el, body);
  let log = null;
  let html = null;
  let result = null;
  let isHtmlWanted = true;

  const render = perFrame(() => {
    const known = store.executions.get(id);
    if (!known || known.trigger_input === undefined) return;
    result = known.result ?? result;
    const e = { ...known, result };
    const isOpen = !isFinal(e.status);
    const isStopping = store.stopping.has(id);
    head.setTitle(titleOf(e.trigger_input ?? '', 80) || t('exec.one'));
    reconcile(asks, [...(liveOf(id)?.permissions.values() ?? [])], (p) => p.request_id, (p) => permissionCard(p, id), askViews);
    fillSummary(JSON.stringify([e.status, e.waiting, e.error, isStopping, e.worker_name]), () => summaryOf(e, isOpen, isStopping));
    fillTexts(JSON.stringify([e.trigger_input, e.result, e.error, html]), () => textsOf(e, html));
    if (!isOpen && isHtmlWanted) loadHtml(e);
    const list = factsOf(e);
    fillFacts(JSON.stringify(list.map(([k, v]) => [k, v instanceof Node ? v.textContent : v])), () =>
      list.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
    );
    if (!log) {
      log = logViewer(e);
      body.append(log.el);
    } else if (!isOpen) log.finished(e);
  });

  /** The result as its chat shows it, where there is one. */
  async function loadHtml(e) {
    isHtmlWanted = false;
    if (!e.session_id || !e.result) return;
    try {
      const newest = `/api/local/sessions/${e.session_id}/messages?html=true&limit=${MESSAGES_LOOKED_AT}`;
      const reply = (await api.get(newest)).find((m) => m.role !== 'user' && m.execution_id === id);
      html = reply?.html ?? null;
      render();
    } catch {
      // The chat may be gone; the text is there.
    }
  }

  async function load() {
    try {
      await loadPermissions(id);
      render();
    } catch (error) {
      if (error.status !== 404) {
        toastError(error);
        return;
      }
      replace(
        body,
        emptyState({
          title: t('exec.notFound'),
          lead: '',
          glyph: 'executions',
          action: h('a', { class: 'button primary', href: '/executions', data: { route: '' } }, t('exec.back')),
        }),
      );
    }
  }

  const offs = [
    on('executions', (changed) => {
      if (!changed || changed === id) render();
    }),
    on('live', (changed) => {
      if (changed === id) render();
    }),
    on('gap', load),
    on('sessions', render),
  ];
  const tick = setInterval(() => {
    if (!document.hidden && store.executions.get(id)?.status === 'running') render();
  }, TICK_MS);
  load();
  return {
    el,
    title: () => t('exec.one'),
    destroy() {
      offs.forEach((off) => off());
      for (const view of askViews.values()) view.destroy();
      clearInterval(tick);
      log?.destroy();
    },
  };
}

function summaryOf(e, isOpen, isStopping) {
  const who = workerName(e.worker_id, e.worker_name);
  const stop = h(
    'button',
    {
      class: 'button',
      type: 'button',
      disabled: isStopping,
      on: { click: () => stopExecution(e.id).catch(toastError) },
    },
    icon('stop'),
    isStopping ? t('exec.cancelling') : t('exec.cancel'),
  );
  const retry = actionButton(
    t('common.retry'),
    async () => {
      const made = await retryExecution(e.id);
      toast(t('exec.retried'), { kind: 'ok' });
      navigate(`/executions/${made.id}`);
    },
    { kind: '' },
  );
  retry.prepend(icon('retry'));
  const chat =
    e.session_id &&
    h('a', { class: 'button', href: `/chats/${e.session_id}`, data: { route: '' } }, icon('chat'), t('exec.openChat'));
  return [
    h('div', { class: 'exec-who' }, avatar(who, 'small'), h('span', null, who ?? t('chat.bee'))),
    executionBadge(e),
    h('div', { class: 'row exec-actions' }, chat, isOpen ? stop : e.status !== 'completed' && retry),
  ];
}

function textsOf(e, html) {
  const isLong = (text) => text.length > LONG_CHARS || text.split('\n').length > LONG_LINES;
  const block = (label, text, kind) =>
    text &&
    h(
      'section',
      { class: `card exec-text ${kind}` },
      h('h2', null, label),
      h('div', { class: isLong(text) ? 'plain-text is-long' : 'plain-text', tabindex: 0 }, text),
    );
  const error = shownStatus(e) === 'interrupted' ? t('chat.why.interrupted') : sentence(e.error);
  return [
    block(t('exec.input'), e.trigger_input, ''),
    block(t('exec.error'), e.status === 'failed' && error, 'is-error'),
    html ? renderedBlock(t('exec.result'), html) : block(t('exec.result'), e.result, ''),
  ];
}

function renderedBlock(label, html) {
  const text = rendered();
  text.showFinal({ html });
  text.el.tabIndex = 0;
  return h('section', { class: 'card exec-text' }, h('h2', null, label), text.el);
}

function factsOf(e) {
  const chat = e.session_id && store.sessions.get(e.session_id);
  return [
    [t('exec.engine'), e.engine],
    [t('exec.model'), e.model],
    [t('exec.usage'), usage(e.usage)],
    [t('exec.duration'), duration(executionDuration(e))],
    [t('exec.created'), fullTime(e.created_at)],
    [t('exec.started'), fullTime(e.started_at)],
    [t('exec.completed'), fullTime(e.completed_at)],
    [
      t('exec.chat'),
      chat && h('a', { href: `/chats/${chat.id}`, data: { route: '' } }, chat.name || t('chat.untitled')),
    ],
    [t('exec.routing'), has(`exec.routing.${e.routing}`)
        ? t(`exec.routing.${e.routing}`, { name: workerName(e.worker_id, e.worker_name) ?? t('chat.aBee') })
        : e.routing],
    [t('exec.pid'), e.pid !== null && e.pid !== undefined && String(e.pid)],
    [t('exec.session'), e.engine_session_id && h('code', null, e.engine_session_id)],
    [t('exec.logSize'), e.log_bytes !== null && e.log_bytes !== undefined && bytes(e.log_bytes)],
    [t('exec.logPath'), e.log_path && h('code', null, e.log_path)],
  ].filter(([, value]) => value && value !== t('common.none'));
}
