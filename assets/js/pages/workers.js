/** Workers: a card each, with what they are doing now. */
import { h, reconcile, replace, setText } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { store, on, loadWorkers } from '../store.js';
import { pageHead } from '../components/page-head.js';
import { avatar } from '../components/avatar.js';
import { workerBadge, emptyState } from '../components/status.js';
import { attachMenu } from '../components/menu.js';
import { toastError } from '../components/toast.js';
import { navigate } from '../router.js';
import { workerDialog, deleteWorkerDialog } from './worker-dialog.js';

/** @returns {object} a page */
export function workersPage() {
  const views = new Map();
  const head = pageHead(t('workers.title'));
  const create = () => workerDialog(null);
  head.setActions(
    h('button', { class: 'button primary', type: 'button', on: { click: create } }, icon('plus'), t('workers.new')),
  );
  const grid = h('ul', { class: 'card-grid' });
  const empty = h('div', { class: 'empty-slot' });
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h('div', { class: 'page-body' }, h('p', { class: 'page-lead muted' }, t('workers.lead')), grid, empty),
  );

  function render() {
    const workers = [...store.workers.values()].sort((a, b) => a.name.localeCompare(b.name));
    reconcile(grid, workers, (w) => w.id, workerCard, views);
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

  const offs = [on('workers', render), on('gap', () => loadWorkers().catch(toastError))];
  render();
  loadWorkers().catch(toastError);
  return { el, title: () => t('workers.title'), destroy: () => offs.forEach((off) => off()) };
}

function workerCard(worker) {
  let current = worker;
  const face = h('div', { class: 'worker-face' });
  const name = h('h2', { class: 'worker-name' });
  const badge = h('div', { class: 'worker-state' });
  const about = h('p', { class: 'worker-about' });
  const facts = h('div', { class: 'worker-facts small muted' });
  const more = h('button', { class: 'icon-button', type: 'button' }, icon('dots'));
  attachMenu(more, () => [
    { label: t('common.edit'), icon: 'pencil', run: () => workerDialog(current) },
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
      workerBadge(next),
      next.queue_length > 0 && h('span', { class: 'small muted' }, t('workers.queue', { n: next.queue_length })),
    );
    setText(about, next.description || t('workers.noDescription'));
    about.classList.toggle('muted', !next.description);
    replace(
      facts,
      [next.engine, next.model].filter(Boolean).map((fact) => h('span', null, fact)),
      next.work_dir && h('span', { class: 'path', title: next.work_dir }, next.work_dir),
    );
  };
  update(worker);
  return { el, update };
}
