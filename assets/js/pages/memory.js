/** Memory: what everybody, each worker, and whoever answers in a chat keeps in mind. */
import { h, reconcile, replace, setText, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon, skepMark } from '../icons.js';
import { title as titleOf } from '../format.js';
import { entryCount, loadMemory, scopesWithEntries, watchMemory } from '../memory.js';
import { on, sessionsByTime, store } from '../store.js';
import { avatar } from '../components/avatar.js';
import { memoryDialog, memoryList } from '../components/memory-list.js';
import { pageHead } from '../components/page-head.js';
import { emptyState, loadFailed } from '../components/status.js';
import { toastError } from '../components/toast.js';

/** From so many entries on there is a field to find one. */
const FILTER_FROM = 6;

/** @returns {object} a page */
export function memoryPage() {
  let isLoaded = false;
  let wanted = '';
  const views = new Map();
  const head = pageHead(t('memory.title'));
  const add = () =>
    memoryDialog(
      { scope: 'global' },
      scopes().map(({ scope, name }) => ({ value: scope, label: name })),
    );
  const addButton = () =>
    h('button', { class: 'button primary', type: 'button', on: { click: add } }, icon('plus'), t('memory.new'));
  head.setActions(addButton());
  const filter = h('input', {
    class: 'input',
    type: 'search',
    placeholder: t('memory.find'),
    aria: { label: t('memory.find') },
    on: {
      input: () => {
        wanted = filter.value.trim().toLowerCase();
        render();
      },
    },
  });
  const sections = h('div', { class: 'sections' });
  const none = h('p', { class: 'muted', role: 'status' });
  const empty = h('div', { class: 'empty-slot' });
  const fillEmpty = slot(empty);
  const lead = h('p', { class: 'page-lead muted' }, t('memory.lead'));
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h('div', { class: 'page-body page-read' }, lead, filter, sections, none, empty),
  );

  const matches = ({ key, value }) => !wanted || `${key}\n${value}`.toLowerCase().includes(wanted);

  function scopes() {
    const workers = [...store.workers.values()].sort((a, b) => a.name.localeCompare(b.name));
    return [
      { scope: 'global', name: t('memory.everyone'), who: null, reads: t('memory.everyoneReads') },
      ...workers.map((w) => ({
        scope: `worker:${w.id}`,
        name: w.name,
        who: w.name,
        reads: t('memory.workerReads', { name: w.name }),
      })),
      ...sessionsByTime().map((s) => {
        const name = titleOf(s.name || t('chat.untitled'), 60);
        return {
          scope: `session:${s.id}`,
          name: t('memory.chat', { name }),
          who: null,
          isChat: true,
          reads: t('memory.chatReads'),
        };
      }),
    ];
  }

  function render() {
    const filled = scopesWithEntries();
    // A chat beyond the list's first page is there, too, when it has something in mind.
    const known = scopes();
    const strays = [...filled].filter((scope) => !known.some((s) => s.scope === scope));
    const shown = [
      ...known,
      ...strays.map((scope) => ({
        scope,
        name: t('memory.otherChat'),
        who: null,
        isChat: true,
        reads: t('memory.chatReads'),
      })),
    ].filter(({ scope, isChat }) => filled.has(scope) || (!isChat && !wanted));
    const isEmpty = filled.size === 0;
    reconcile(
      sections,
      isEmpty ? [] : shown,
      (s) => s.scope,
      (s) => scopeSection(s, matches, () => wanted !== ''),
      views,
    );
    filter.hidden = entryCount() < FILTER_FROM && !wanted;
    lead.hidden = isEmpty;
    const isNothing = Boolean(wanted) && [...views.values()].every((view) => view.isEmpty());
    setText(none, isNothing ? t('memory.notFound') : '');
    fillEmpty(`${isLoaded} ${isEmpty}`, () => {
      if (!isLoaded) return h('p', { class: 'muted', role: 'status' }, t('common.loading'));
      return (
        isEmpty &&
        emptyState({ title: t('memory.empty'), lead: t('memory.emptyLead'), glyph: 'memory', action: addButton() })
      );
    });
  }

  async function load() {
    try {
      await loadMemory();
      isLoaded = true;
      render();
    } catch (error) {
      if (isLoaded) toastError(error);
      else replace(empty, loadFailed(error, load));
    }
  }

  const again = () => isLoaded || load();
  const offs = [on('memory', render), on('workers', render), on('sessions', render), on('gap', again), watchMemory(null, toastError)];
  render();
  load();
  return { el, title: () => t('memory.title'), destroy: () => offs.forEach((off) => off()) };
}

function scopeSection(place, matches, isFiltered) {
  const list = memoryList(place.scope, { matches });
  const name = h('h2', { class: 'section-title' });
  const reads = h('p', { class: 'small muted' });
  const face = h('div', { class: 'section-face' });
  const fillFace = slot(face);
  const add = h(
    'button',
    { class: 'button small', type: 'button', on: { click: () => memoryDialog({ scope: place.scope }) } },
    icon('plus'),
    t('memory.add'),
  );
  const el = h(
    'section',
    { class: 'card section' },
    h('header', { class: 'section-head' }, face, h('div', { class: 'section-name' }, name, reads), add),
    list.el,
  );
  const update = (next) => {
    setText(name, next.name);
    setText(reads, next.reads);
    add.setAttribute('aria-label', t('memory.addTo', { name: next.name }));
    fillFace(String(next.who), () => (next.who ? avatar(next.who) : next.isChat ? icon('chat') : skepMark()));
    list.render();
    el.hidden = list.shown() === 0 && isFiltered();
  };
  update(place);
  return { el, update, isEmpty: () => list.shown() === 0 };
}
