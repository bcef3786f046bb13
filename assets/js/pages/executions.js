/** Executions: every run, newest first, by status, live. */
import { h, reconcile, setText, perFrame, slot } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { duration, executionDuration, fullTime, startedAgo, title as titleOf } from '../format.js';
import { store, on, putExecution, workerName } from '../store.js';
import { pageHead } from '../components/page-head.js';
import { avatar } from '../components/avatar.js';
import { executionBadge, emptyState } from '../components/status.js';
import { toastError } from '../components/toast.js';
import { navigate } from '../router.js';

const PAGE_ROWS = 50;
const TICK_MS = 1000;
const STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled'];

/** @param {object} _params @param {URLSearchParams} query `status`, `worker_id` */
export function executionsPage(_params, query) {
  let status = STATUSES.includes(query.get('status')) ? query.get('status') : null;
  let workerId = query.get('worker_id');
  let ids = new Set();
  let next = null;
  let isLoaded = false;
  const views = new Map();
  const head = pageHead(t('exec.title'));
  const filter = h('div', { class: 'filter', role: 'group', aria: { label: t('exec.filter') } });
  const body = h('tbody');
  const columns = ['status', 'task', 'worker', 'chat', 'duration', 'started'];
  const table = h(
    'table',
    { class: 'table executions-table' },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        columns.map((c) => h('th', { scope: 'col', class: `col-${c}` }, t(`exec.col.${c}`))),
      ),
    ),
    body,
  );
  const empty = h('div', { class: 'empty-slot' });
  const fillEmpty = slot(empty);
  const more = h(
    'button',
    { class: 'button', type: 'button', hidden: true, on: { click: () => loadMore() } },
    t('common.more'),
  );
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h('div', { class: 'page-body' }, filter, table, empty, h('div', { class: 'more-row' }, more)),
  );

  const address = () => {
    const q = new URLSearchParams();
    if (status) q.set('status', status);
    if (workerId) q.set('worker_id', workerId);
    return q.size ? `?${q}` : '';
  };

  const go = () => navigate(`/executions${address()}`);
  // Made once: whoever pressed one by the keyboard is still on it.
  const choices = [null, ...STATUSES].map((s) => {
    const click = () => {
      status = s;
      go();
    };
    return h('button', { class: 'filter-item', type: 'button', on: { click } }, s ? t(`exec.status.${s}`) : t('exec.all'));
  });
  const whose = h('select', {
    class: 'select quiet-select filter-worker',
    aria: { label: t('exec.whose') },
    on: {
      change: () => {
        workerId = whose.value || null;
        go();
      },
    },
  });
  const fillWhose = slot(whose);
  filter.append(...choices);
  head.setActions(whose);

  function renderFilter() {
    choices.forEach((choice, i) => choice.setAttribute('aria-pressed', String((STATUSES[i - 1] ?? null) === status)));
    const names = [...store.workers.values()].map((w) => [w.id, w.name]).sort((a, b) => a[1].localeCompare(b[1]));
    // One that is gone has executions still.
    if (workerId && !store.workers.has(workerId)) names.push([workerId, '…']);
    fillWhose(JSON.stringify(names), () =>
      [['', t('exec.everyone')], ...names].map(([id, name]) => h('option', { value: id }, name)),
    );
    whose.value = workerId ?? '';
    whose.hidden = names.length === 0;
  }

  const render = perFrame(() => {
    const rows = [...ids]
      .map((id) => store.executions.get(id))
      .filter((e) => e && (!status || e.status === status) && (!workerId || e.worker_id === workerId))
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    reconcile(body, rows, (e) => e.id, executionRow, views);
    table.hidden = rows.length === 0;
    more.hidden = !next;
    const isEmpty = isLoaded && rows.length === 0;
    fillEmpty(isEmpty ? `empty ${status}` : '', () => (isEmpty ? emptyOf(status || workerId) : null));
  });

  async function load() {
    renderFilter();
    const asked = address();
    try {
      const q = address();
      const first = await api.page(`/api/executions${q ? `${q}&` : '?'}limit=${PAGE_ROWS}`);
      if (asked !== address()) return;
      ids = new Set(first.items.map((e) => e.id));
      next = first.next;
      isLoaded = true;
      for (const e of first.items) putExecution(e, false);
      render();
    } catch (error) {
      toastError(error);
    }
  }

  async function loadMore() {
    if (!next) return;
    try {
      const page = await api.page(next);
      next = page.next;
      for (const e of page.items) {
        putExecution(e, false);
        ids.add(e.id);
      }
      render();
    } catch (error) {
      toastError(error);
    }
  }

  const onExecution = (id) => {
    if (id) ids.add(id);
    render();
  };
  const offs = [
    on('executions', onExecution),
    on('gap', load),
    on('workers', () => {
      renderFilter();
      render();
    }),
    on('sessions', render),
  ];
  const tick = setInterval(() => {
    if (!document.hidden && [...ids].some((id) => store.executions.get(id)?.status === 'running')) render();
  }, TICK_MS);
  load();
  return {
    el,
    title: () => t('exec.title'),
    update(_p, q) {
      status = STATUSES.includes(q.get('status')) ? q.get('status') : null;
      workerId = q.get('worker_id');
      load();
      return true;
    },
    destroy() {
      offs.forEach((off) => off());
      clearInterval(tick);
    },
  };
}

function emptyOf(isFiltered) {
  return isFiltered
    ? emptyState({
        title: t('exec.emptyFilter'),
        lead: t('exec.emptyFilterLead'),
        glyph: 'executions',
        action: h('a', { class: 'button', href: '/executions', data: { route: '' } }, t('exec.showAll')),
      })
    : emptyState({
        title: t('exec.empty'),
        lead: t('exec.emptyLead'),
        glyph: 'executions',
        action: h('a', { class: 'button primary', href: '/', data: { route: '' } }, t('nav.newChat')),
      });
}

function executionRow(execution) {
  const cells = Object.fromEntries(
    ['status', 'task', 'worker', 'chat', 'duration', 'started'].map((c) => [c, h('td', { class: `col-${c}` })]),
  );
  const fill = Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, slot(cell)]));
  const el = h(
    'tr',
    {
      on: {
        click: (e) => {
          if (!e.target.closest('a')) navigate(`/executions/${execution.id}`);
        },
      },
    },
    Object.values(cells),
  );
  const update = (e) => {
    const who = workerName(e.worker_id, e.worker_name);
    const chat = e.session_id && store.sessions.get(e.session_id);
    fill.status(`${e.status} ${e.waiting} ${e.error} ${store.stopping.has(e.id)}`, () => executionBadge(e));
    fill.task(e.trigger_input ?? '', () =>
      h(
        'a',
        { class: 'row-link', href: `/executions/${e.id}`, data: { route: '' } },
        titleOf(e.trigger_input ?? '', 120) || t('exec.noInput'),
      ),
    );
    fill.worker(who ?? '', () => [avatar(who, 'small'), h('span', null, who ?? t('chat.bee'))]);
    fill.chat(chat?.name ?? '', () =>
      chat
        ? h('a', { href: `/chats/${chat.id}`, data: { route: '' } }, chat.name || t('chat.untitled'))
        : t('common.none'),
    );
    setText(cells.duration, duration(executionDuration(e)));
    const at = e.started_at ?? e.created_at;
    setText(cells.started, at ? startedAgo(at) : t('common.none'));
    cells.started.title = fullTime(at);
  };
  update(execution);
  return { el, update };
}
