/** Tasks: what starts by itself, what is due next, and what came of it. */
import { h, reconcile, replace, setText, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import * as api from '../api.js';
import { cronWords, localZone } from '../cron.js';
import { fullTime, startedAgo, timeInZone, title as titleOf, until } from '../format.js';
import { store, on, loadExecution, randomKey, workerName } from '../store.js';
import { confirmDialog } from '../components/dialog.js';
import { attachMenu } from '../components/menu.js';
import { pageHead } from '../components/page-head.js';
import { emptyState, executionBadge, loadFailed, stateBadge } from '../components/status.js';
import { toast, toastError } from '../components/toast.js';
import { taskDialog } from './task-dialog.js';

const PAGE_ROWS = 200;
const TICK_MS = 1000;
const REFRESH_AFTER_MS = 50;
/** Last runs that are asked for, when the console has not met them. */
const LAST_RUNS_MAX = 50;
const COLUMNS = ['task', 'when', 'next', 'last', 'status', 'actions'];

/** @returns {object} a page */
export function tasksPage() {
  /** @type {Map<string, object>} */
  const tasks = new Map();
  const views = new Map();
  let next = null;
  let isLoaded = false;
  const create = () => taskDialog(null, put);
  const head = pageHead(t('tasks.title'));
  head.setActions(newButton(create));
  const body = h('tbody');
  const table = h(
    'table',
    { class: 'table tasks-table' },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        COLUMNS.map((c) =>
          h(
            'th',
            { scope: 'col', class: `col-${c}` },
            c === 'actions' ? h('span', { class: 'visually-hidden' }, t('tasks.col.actions')) : t(`tasks.col.${c}`),
          ),
        ),
      ),
    ),
    body,
  );
  const lead = h('p', { class: 'page-lead muted' }, t('tasks.lead'));
  const empty = h('div', { class: 'empty-slot' });
  const fillEmpty = slot(empty);
  const more = h(
    'button',
    { class: 'button', type: 'button', hidden: true, on: { click: () => load(next) } },
    t('common.more'),
  );
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h('div', { class: 'page-body' }, lead, table, empty, h('div', { class: 'more-row' }, more)),
  );

  function put(task) {
    tasks.set(task.id, task);
    render();
  }

  function drop(id) {
    if (tasks.delete(id)) render();
  }

  function render() {
    const rows = [...tasks.values()].sort(byUrgency);
    reconcile(
      body,
      rows,
      (task) => task.id,
      (task) => taskRow(task, { put, drop }),
      views,
    );
    table.hidden = rows.length === 0;
    lead.hidden = rows.length === 0;
    more.hidden = next === null;
    fillEmpty(`${isLoaded} ${rows.length === 0}`, () => {
      if (!isLoaded) return h('p', { class: 'muted', role: 'status' }, t('common.loading'));
      return (
        rows.length === 0 &&
        emptyState({ title: t('tasks.empty'), lead: t('tasks.emptyLead'), glyph: 'tasks', action: newButton(create) })
      );
    });
  }

  async function load(path = null) {
    try {
      const page = await api.page(path ?? `/api/tasks?limit=${PAGE_ROWS}`);
      if (!path) tasks.clear();
      for (const task of page.items) tasks.set(task.id, task);
      next = page.next;
      isLoaded = true;
      render();
      meetLastRuns(page.items);
    } catch (error) {
      if (!isLoaded) fillEmpty('failed', () => loadFailed(error, () => load()));
      else toastError(error);
    }
  }

  /** Tasks changed; a burst of events is one question. */
  const wanted = new Set();
  let timer = 0;
  function onEvent({ name, data }) {
    if (name !== 'task') return;
    wanted.add(data.task_id);
    timer ||= setTimeout(refresh, REFRESH_AFTER_MS);
  }

  async function refresh() {
    timer = 0;
    const changed = [...wanted];
    wanted.clear();
    try {
      const page = await api.page(`/api/tasks?limit=${PAGE_ROWS}`);
      for (const task of page.items) tasks.set(task.id, task);
      const listed = new Set(page.items.map((task) => task.id));
      for (const id of changed) {
        if (listed.has(id)) continue;
        if (page.next) await refreshOne(id);
        else tasks.delete(id);
      }
      render();
      meetLastRuns(page.items);
    } catch (error) {
      toastError(error);
    }
  }

  /** One that is beyond the first page, or gone. */
  async function refreshOne(id) {
    try {
      tasks.set(id, await api.get(`/api/tasks/${encodeURIComponent(id)}`));
    } catch (error) {
      if (error.status !== 404) throw error;
      tasks.delete(id);
    }
  }

  const offs = [
    on('message', onEvent),
    on('executions', render),
    on('workers', render),
    on('sessions', render),
    on('gap', () => load()),
  ];
  const tick = setInterval(() => {
    if (!document.hidden) render();
  }, TICK_MS);
  render();
  load();
  return {
    el,
    title: () => t('tasks.title'),
    destroy() {
      offs.forEach((off) => off());
      clearInterval(tick);
      clearTimeout(timer);
    },
  };
}

const newButton = (create) =>
  h('button', { class: 'button primary', type: 'button', on: { click: create } }, icon('plus'), t('tasks.new'));

/** What runs, what is due soonest, what is paused, what is over. */
function byUrgency(a, b) {
  const rank = (task) => (task.status === 'running' ? 0 : task.next_run_at ? 1 : task.status === 'paused' ? 2 : 3);
  return rank(a) - rank(b) || (a.next_run_at ?? 0) - (b.next_run_at ?? 0) || (a.id < b.id ? 1 : -1);
}

function meetLastRuns(tasks) {
  const unknown = tasks.filter((task) => task.last_execution_id && !store.executions.has(task.last_execution_id));
  // One that retention removed is no news.
  for (const task of unknown.slice(0, LAST_RUNS_MAX)) loadExecution(task.last_execution_id).catch(() => {});
}

/** When a task is due, in words. */
function whenWords(task) {
  if (task.type === 'scheduled') return cronWords(task.cron_expr);
  return task.type === 'countdown' ? t('tasks.once') : t('tasks.atOnce');
}

const isOver = ({ status }) => ['completed', 'failed', 'cancelled'].includes(status);

function taskRow(task, list) {
  let current = task;
  const cells = Object.fromEntries(COLUMNS.map((c) => [c, h('td', { class: `col-${c}` })]));
  const fill = Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, slot(cell)]));
  const edit = () => taskDialog(current, list.put);
  const open = h('button', { class: 'row-button', type: 'button', on: { click: edit } });
  const place = h('div', { class: 'small muted task-place' });
  const fillPlace = slot(place);
  cells.task.append(open, place);
  const run = h(
    'button',
    { class: 'icon-button small', type: 'button', title: t('tasks.run'), on: { click: () => act('run') } },
    icon('play'),
  );
  const more = h('button', { class: 'icon-button small', type: 'button' }, icon('dots'));
  cells.actions.append(h('div', { class: 'row-actions' }, run, more));
  attachMenu(more, () =>
    [
      { label: t('common.edit'), icon: 'pencil', run: edit },
      canRun() && { label: t('tasks.run'), icon: 'play', run: () => act('run') },
      current.status === 'paused' && { label: t('tasks.resume'), icon: 'play', run: () => act('resume') },
      current.status !== 'paused' &&
        current.next_run_at && { label: t('tasks.pause'), icon: 'pause', run: () => act('pause') },
      !isOver(current) && { label: t('common.cancel'), icon: 'stop', run: () => act('cancel') },
      { label: t('common.delete'), icon: 'trash', danger: true, run: remove },
    ].filter(Boolean),
  );
  const canRun = () => !['running', 'cancelled'].includes(current.status);

  async function act(what) {
    try {
      const path = `/api/tasks/${encodeURIComponent(current.id)}/${what}`;
      list.put(what === 'run' ? await api.postOnce(path, undefined, randomKey()) : await api.post(path));
      toast(t(`tasks.done.${what}`), { kind: 'ok' });
    } catch (error) {
      toastError(error);
    }
  }

  function remove() {
    confirmDialog({
      title: t('tasks.deleteTitle'),
      text: h(
        'p',
        null,
        [current.status === 'running' && t('tasks.deleteStops'), t('tasks.deleteText')].filter(Boolean).join(' '),
      ),
      action: t('tasks.deleteAction'),
      async run() {
        await api.del(`/api/tasks/${encodeURIComponent(current.id)}`);
        list.drop(current.id);
        toast(t('tasks.deleted'), { kind: 'ok' });
      },
    });
  }

  function lastRun() {
    const id = current.last_execution_id;
    if (!id) return t('common.none');
    const execution = store.executions.get(id);
    return h(
      'a',
      {
        class: 'last-run',
        href: `/executions/${id}`,
        data: { route: '' },
        title: execution ? fullTime(execution.started_at ?? execution.created_at) : null,
      },
      execution ? executionBadge(execution) : h('span', null, t('tasks.lastRun')),
      execution?.created_at &&
        h('span', { class: 'small muted' }, startedAgo(execution.started_at ?? execution.created_at)),
    );
  }

  const update = (task_) => {
    current = task_;
    const name = titleOf(current.instruction, 120);
    setText(open, name);
    open.setAttribute('aria-label', t('tasks.editName', { name }));
    more.setAttribute('aria-label', t('common.actions', { name }));
    run.setAttribute('aria-label', t('tasks.runName', { name }));
    run.hidden = !canRun();
    const who = current.worker_id ? (workerName(current.worker_id) ?? t('tasks.gone')) : t('chat.bee');
    const chat = current.session_id && store.sessions.get(current.session_id);
    fillPlace(`${who}\n${current.session_id}\n${chat?.name}`, () => [
      who,
      current.session_id && [
        ' · ',
        h('a', { href: `/chats/${current.session_id}`, data: { route: '' } }, chat?.name || t('tasks.aChat')),
      ],
    ]);
    fill.when(`${current.type} ${current.cron_expr} ${current.timezone}`, () => [
      h('span', { title: current.cron_expr }, whenWords(current)),
      current.timezone &&
        current.timezone !== localZone() &&
        h('div', { class: 'small muted' }, current.timezone.replaceAll('_', ' ')),
    ]);
    const due = current.next_run_at;
    setText(cells.next, due ? until(due) : t('common.none'));
    // A badge says why there is none.
    cells.next.classList.toggle('is-none', !due);
    cells.next.title = due
      ? [
          fullTime(due),
          current.timezone &&
            current.timezone !== localZone() &&
            `${timeInZone(due, current.timezone)} (${current.timezone})`,
        ]
          .filter(Boolean)
          .join('\n')
      : '';
    cells.last.classList.toggle('is-none', !current.last_execution_id);
    const last = current.last_execution_id && store.executions.get(current.last_execution_id);
    fill.last(
      JSON.stringify([
        current.last_execution_id,
        last && [last.status, last.error, store.stopping.has(last.id), startedAgo(last.started_at ?? last.created_at)],
      ]),
      lastRun,
    );
    fill.status(current.status, () => stateBadge(current.status, t(`tasks.status.${current.status}`)));
  };
  update(task);
  return { el: h('tr', null, Object.values(cells)), update };
}
