/** Workers: a card each, with what they are doing now. */
import { h, reconcile, replace, setText, slot } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { icon } from '../icons.js';
import { fullTime, money, startedAgo } from '../format.js';
import { store, on, loadWorkers, putExecution, isFinal } from '../store.js';
import { pageHead } from '../components/page-head.js';
import { avatar } from '../components/avatar.js';
import { executionBadge, workerBadge, emptyState } from '../components/status.js';
import { attachMenu } from '../components/menu.js';
import { toastError } from '../components/toast.js';
import { navigate } from '../router.js';
import { beeDialog } from './bee-dialog.js';
import { workerDialog, deleteWorkerDialog } from './worker-dialog.js';

/** From so many on they can be looked for. */
const FILTER_FROM = 10;
/** Workers whose last run is asked for, when the console has not met it. */
const LAST_RUNS_MAX = 50;
const TICK_MS = 30_000;

/** @returns {object} a page */
export function workersPage() {
  const views = new Map();
  const head = pageHead(t('workers.title'));
  const create = () => workerDialog(null);
  head.setActions(
    h('button', { class: 'button primary', type: 'button', on: { click: create } }, icon('plus'), t('workers.new')),
  );
  const grid = h('ul', { class: 'card-grid' });
  const filter = h('input', {
    class: 'input worker-filter',
    type: 'search',
    placeholder: t('workers.filter'),
    autocomplete: 'off',
    aria: { label: t('workers.filter') },
    on: { input: () => render() },
  });
  const nothing = h('p', { class: 'muted', role: 'status' });
  const empty = h('div', { class: 'empty-slot' });
  const bee = beeCard();
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h('div', { class: 'page-body' }, h('p', { class: 'page-lead muted' }, t('workers.lead')), filter, grid, nothing, empty, bee.el),
  );

  function render() {
    const workers = [...store.workers.values()].sort((a, b) => a.name.localeCompare(b.name));
    filter.hidden = workers.length < FILTER_FROM;
    const words = filter.hidden ? [] : filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (w) => words.every((word) => `${w.name} ${w.description ?? ''}`.toLowerCase().includes(word));
    const shown = workers.filter(fits);
    reconcile(grid, shown, (w) => w.id, workerCard, views);
    setText(nothing, workers.length > 0 && shown.length === 0 ? t('workers.nothingFits') : '');
    const isEmpty = workers.length === 0;
    if (isEmpty && !empty.firstChild) {
      replace(
        empty,
        emptyState({
          title: t('workers.empty'),
          lead: t('workers.emptyLead'),
          glyph: 'workers',
          action: h(
            'button',
            { class: 'button primary', type: 'button', on: { click: create } },
            icon('plus'),
            t('workers.new'),
          ),
        }),
      );
    } else if (!isEmpty) replace(empty);
    el.querySelector('.page-lead').hidden = isEmpty;
  }

  /** The last runs that the console has not met, each asked for once. */
  async function meetLastRuns() {
    const met = new Set([...store.executions.values()].map((e) => e.worker_id));
    const unmet = [...store.workers.keys()].filter((id) => !met.has(id)).slice(0, LAST_RUNS_MAX);
    const asked = unmet.map(async (id) => {
      const [last] = await api.get(`/api/workers/${encodeURIComponent(id)}/executions?limit=1`);
      if (last) putExecution(last);
    });
    // A card without its last run is still a card.
    await Promise.allSettled(asked);
  }

  const load = () => loadWorkers().then(meetLastRuns).catch(toastError);
  const offs = [on('workers', render), on('executions', render), on('gap', () => Promise.all([load(), bee.load()]))];
  const tick = setInterval(render, TICK_MS);
  render();
  load();
  return {
    el,
    title: () => t('workers.title'),
    destroy() {
      offs.forEach((off) => off());
      clearInterval(tick);
    },
  };
}

/** What a worker (`null` is the bee) does, or did last. */
function lastRunOf(workerId) {
  let last = null;
  for (const e of store.executions.values()) {
    if (e.worker_id !== workerId) continue;
    const isLater = !last || (isFinal(last.status) === isFinal(e.status) ? e.id > last.id : isFinal(last.status));
    if (isLater && e.status !== 'pending') last = e;
  }
  return last;
}

/** The line that says so; the run is a click away. */
function lastRun(execution) {
  if (!execution) return h('span', { class: 'muted' }, t('workers.noRun'));
  const at = execution.started_at ?? execution.created_at;
  return h(
    'a',
    { class: 'last-run', href: `/executions/${execution.id}`, data: { route: '' }, title: fullTime(at) },
    h('span', { class: 'visually-hidden' }, t('workers.lastRun')),
    executionBadge(execution),
    h('span', { class: 'small muted' }, startedAgo(at)),
  );
}

function lastRunSlot(el) {
  const fill = slot(el);
  return (workerId) => {
    const e = lastRunOf(workerId);
    const key = e && [e.id, e.status, e.error, store.stopping.has(e.id), startedAgo(e.started_at ?? e.created_at)];
    fill(JSON.stringify(key), () => lastRun(e));
  };
}

/** The bee, below the workers: always there, and not to be deleted. */
function beeCard() {
  let current = null;
  const facts = h('p', { class: 'small muted' }, t('workers.bee'));
  const edit = h(
    'button',
    {
      class: 'button small',
      type: 'button',
      aria: { label: t('workers.editBee') },
      on: { click: () => open().catch(toastError) },
    },
    icon('pencil'),
    t('common.edit'),
  );
  const show = (bee) => {
    current = bee;
    setText(facts, [t('workers.bee'), [bee.engine, bee.model].filter(Boolean).join(' · ')].filter(Boolean).join(' '));
  };
  const load = async () => show(await api.get('/api/bee'));
  async function open() {
    // What may be answered with "always" changes elsewhere.
    await load();
    beeDialog(current, show);
  }
  load().catch(toastError);
  return {
    el: h(
      'section',
      { class: 'card section-head bee-card' },
      avatar(null),
      h('div', { class: 'section-name' }, h('h2', { class: 'section-title' }, t('chat.bee')), facts),
      edit,
    ),
    load: () => load().catch(toastError),
  };
}

function workerCard(worker) {
  let current = worker;
  const face = h('div', { class: 'worker-face' });
  const name = h('h2', { class: 'worker-name' });
  const badge = h('div', { class: 'worker-state' });
  const about = h('p', { class: 'worker-about' });
  const facts = h('div', { class: 'worker-facts small muted' });
  const last = h('div', { class: 'worker-last' });
  const fillLast = lastRunSlot(last);
  const more = h('button', { class: 'icon-button', type: 'button' }, icon('dots'));
  attachMenu(more, () => [
    { label: t('common.edit'), icon: 'pencil', run: () => workerDialog(current) },
    { label: t('workers.copy'), icon: 'copy', run: () => workerDialog(null, { copyOf: current }) },
    { label: t('workers.runs'), icon: 'executions', run: () => navigate(`/executions?worker_id=${current.id}`) },
    { label: t('common.delete'), icon: 'trash', danger: true, run: () => deleteWorkerDialog(current) },
  ]);
  const chat = h(
    'a',
    { class: 'button small', data: { route: '' }, href: `/?worker=${worker.id}` },
    icon('chat'),
    t('workers.chat'),
  );
  const edit = h(
    'button',
    { class: 'button small', type: 'button', on: { click: () => workerDialog(current) } },
    icon('pencil'),
    t('common.edit'),
  );
  const el = h(
    'li',
    { class: 'card worker-card' },
    h('div', { class: 'worker-top' }, face, h('div', { class: 'worker-id' }, name, badge), more),
    about,
    last,
    facts,
    h('div', { class: 'row' }, chat, edit),
  );
  const update = (next) => {
    current = next;
    replace(face, avatar(next.name));
    setText(name, next.name);
    more.setAttribute('aria-label', t('common.actions', { name: next.name }));
    chat.setAttribute('aria-label', t('chat.greetingWorker', { name: next.name }));
    edit.setAttribute('aria-label', t('workers.editTitle', { name: next.name }));
    replace(
      badge,
      workerBadge(next, lastRunOf(next.id)?.status === 'failed'),
      next.queue_length > 0 && h('span', { class: 'small muted' }, t('workers.queue', { n: next.queue_length })),
    );
    fillLast(next.id);
    setText(about, next.description || t('workers.noDescription'));
    about.classList.toggle('muted', !next.description);
    replace(
      facts,
      [next.engine, next.model, next.cost_today > 0 && t('workers.costToday', { cost: money(next.cost_today) })]
        .filter(Boolean)
        .map((fact) => h('span', null, fact)),
      next.work_dir && h('span', { class: 'path', title: next.work_dir }, next.work_dir),
    );
  };
  update(worker);
  return { el, update };
}
