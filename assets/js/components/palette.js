/**
 * The palette (Ctrl/Cmd-K): chats by their names at once, what is in messages and executions from the server, and the
 * few things that one does everywhere. A combobox over a list: the focus stays in the field.
 */
import { within } from '../base.js';
import { h, replace, setText, uid } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import * as api from '../api.js';
import { ago, plain } from '../format.js';
import { sessionsByTime, workerName } from '../store.js';
import { navigate } from '../router.js';
import { keysDialog } from './account.js';
import { describe } from './toast.js';

/** Typing is not followed by a request for every letter. */
const PAUSE_MS = 120;
/** While the server says that it is still indexing, it is asked again. */
const INDEXING_MS = 1500;
const RECENT_MAX = 6;
const TITLES_MAX = 6;
const FOUND_MAX = 30;

/** Where one can go from anywhere: label, icon, and a path or what to do. */
const ACTIONS = [
  ['nav.newChat', 'plus', '/'],
  ['nav.workers', 'workers', '/workers'],
  ['nav.executions', 'executions', '/executions'],
  ['nav.tasks', 'tasks', '/tasks'],
  ['nav.memory', 'memory', '/memory'],
  ['nav.usage', 'chart', '/usage'],
  ['nav.settings', 'settings', '/settings'],
  ['menu.keys', 'keyboard', keysDialog],
];

let opened = null;

/** Opens the palette, or closes it. */
export function togglePalette() {
  if (opened) return opened.close();
  // It would lie below what asks for an answer.
  if (document.querySelector('dialog[open]')) return;
  opened = open();
}

function open() {
  const listId = uid('palette');
  let options = [];
  let selected = 0;
  let asked = '';
  let answer = null;
  let failure = null;
  let request = null;
  let timer = 0;

  const input = h('input', {
    class: 'palette-input',
    type: 'text',
    role: 'combobox',
    placeholder: t('palette.placeholder'),
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    enterkeyhint: 'go',
    maxlength: 200,
    aria: {
      label: t('palette.label'),
      controls: listId,
      expanded: 'true',
      autocomplete: 'list',
    },
  });
  const list = h('div', { class: 'palette-list', id: listId, role: 'listbox', aria: { label: t('palette.results') } });
  const note = h('p', { class: 'palette-note small muted', role: 'status' });
  const el = h(
    'dialog',
    { class: 'palette', aria: { label: t('palette.label') } },
    h(
      'div',
      { class: 'palette-field' },
      icon('search'),
      input,
      h(
        'button',
        { class: 'icon-button', type: 'button', aria: { label: t('common.close') }, on: { click: () => close() } },
        icon('close'),
      ),
    ),
    list,
    h(
      'div',
      { class: 'palette-foot' },
      note,
      h(
        'p',
        { class: 'palette-keys small muted', aria: { hidden: 'true' } },
        ['↑', '↓'].map((key) => h('kbd', null, key)),
        h('span', null, t('palette.choose')),
        h('kbd', null, '↵'),
        h('span', null, t('palette.open')),
      ),
    ),
  );

  const query = () => input.value.trim();

  function close() {
    el.close();
  }

  function draw({ isNew = false } = {}) {
    const q = query();
    const known = options[selected]?.key;
    const groups = q ? found(q, asked === q ? answer : null) : offered();
    options = groups.flatMap((group) => group.options);
    // Whoever has chosen a row keeps it while more arrive.
    const kept = isNew ? -1 : options.findIndex((option) => option.key === known);
    selected = Math.max(kept, 0);
    let index = 0;
    replace(
      list,
      groups
        .filter((group) => group.options.length > 0)
        .map((group) => {
          const id = uid('palette');
          return h(
            'div',
            { class: 'palette-group', role: 'group', aria: { labelledby: id } },
            h('div', { class: 'palette-title', id, role: 'presentation' }, group.label),
            group.options.map((option) => row(option, index++)),
          );
        }),
      q && options.length === 0 && asked === q && answer && h('p', { class: 'palette-empty muted' }, t('palette.nothing', { q })),
    );
    mark();
    tell(q);
  }

  function tell(q) {
    const isWaiting = q !== '' && asked !== q;
    if (failure && !isWaiting) setText(note, failure);
    else if (isWaiting) setText(note, t('palette.searching'));
    else if (q && answer?.indexing) setText(note, t('palette.indexing'));
    else setText(note, q ? t('palette.count', { n: options.length }) : '');
  }

  function row(option, index) {
    return h(
      'div',
      {
        class: 'palette-option',
        id: `${listId}-${index}`,
        role: 'option',
        aria: { selected: 'false' },
        on: {
          // A press must not take the focus from the field.
          pointerdown: (e) => e.preventDefault(),
          pointermove: () => select(index, false),
          click: () => run(index),
        },
      },
      icon(option.icon),
      h(
        'div',
        { class: 'palette-text' },
        h('div', { class: 'palette-line' }, option.text),
        option.where && h('div', { class: 'palette-where' }, option.where),
      ),
      option.when && h('span', { class: 'palette-when' }, option.when),
    );
  }

  function mark() {
    const rows = list.querySelectorAll('.palette-option');
    rows.forEach((el, i) => el.setAttribute('aria-selected', String(i === selected)));
    const current = rows[selected];
    if (current) input.setAttribute('aria-activedescendant', current.id);
    else input.removeAttribute('aria-activedescendant');
    return current;
  }

  function select(index, isSeen = true) {
    if (options.length === 0 || index === selected) return;
    selected = (index + options.length) % options.length;
    const current = mark();
    if (!isSeen) return;
    if (selected === 0) list.scrollTop = 0;
    else current?.scrollIntoView({ block: 'nearest' });
  }

  function run(index) {
    const option = options[index];
    if (!option) return;
    close();
    if (typeof option.to === 'string') navigate(option.to);
    else option.to();
  }

  async function ask() {
    const q = query();
    request?.abort();
    request = null;
    if (!q) return;
    const mine = (request = new AbortController());
    failure = null;
    try {
      const path = `/api/search?${new URLSearchParams({ q, limit: FOUND_MAX })}`;
      answer = await api.get(path, { signal: mine.signal });
    } catch (error) {
      if (mine.signal.aborted) return;
      answer = { results: [], indexing: false };
      failure = describe(error).text;
    }
    if (mine.signal.aborted) return;
    asked = q;
    draw();
    if (answer.indexing) timer = setTimeout(ask, INDEXING_MS);
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    request?.abort();
    if (query() !== asked) timer = setTimeout(ask, PAUSE_MS);
    list.scrollTop = 0;
    draw({ isNew: true });
  });
  input.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    const last = options.length - 1;
    const action = {
      ArrowDown: () => select(selected === last ? 0 : selected + 1),
      ArrowUp: () => select(selected === 0 ? last : selected - 1),
      PageDown: () => select(Math.min(selected + 5, last)),
      PageUp: () => select(Math.max(selected - 5, 0)),
      Enter: () => run(selected),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  let pressedOutside = false;
  el.addEventListener('pointerdown', (e) => {
    pressedOutside = e.target === el;
  });
  el.addEventListener('click', (e) => {
    if (pressedOutside && e.target === el && e.detail < 2) close();
  });
  el.addEventListener('close', () => {
    clearTimeout(timer);
    request?.abort();
    el.remove();
    opened = null;
  });
  document.body.append(el);
  draw();
  el.showModal();
  input.focus();
  return { close };
}

/** What is there before anything is typed. */
function offered() {
  return [
    { label: t('palette.recent'), options: sessionsByTime().slice(0, RECENT_MAX).map((s) => chat(s, [])) },
    { label: t('palette.actions'), options: ACTIONS.map(action) },
  ];
}

/** What fits: names of chats that are here already, what the server found, and things to do. */
function found(q, answer) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
  const named = sessionsByTime()
    .filter((s) => fits(s.name ?? ''))
    .slice(0, TITLES_MAX);
  const here = new Set(named.map((s) => s.id));
  const hits = answer?.results ?? [];
  const others = hits.filter((hit) => hit.kind === 'session' && !here.has(hit.session_id));
  // An execution repeats what its messages say; it is worth a row only where they are gone.
  const isKept = (hit) => hit.kind === 'message' || (hit.kind === 'execution' && !hit.session_id);
  return [
    { label: t('nav.chats'), options: [...named.map((s) => chat(s, words)), ...others.map(hitOption)] },
    { label: t('palette.actions'), options: ACTIONS.map(action).filter((option) => fits(option.text)) },
    { label: t('palette.inMessages'), options: hits.filter(isKept).map(hitOption) },
  ];
}

const action = ([label, glyph, to]) => ({ key: label, icon: glyph, text: t(label), to });

const chat = (session, words) => ({
  key: session.id,
  icon: 'chat',
  text: marked(session.name || t('chat.untitled'), words),
  when: ago(session.updated_at),
  to: `/chats/${session.id}`,
});

function hitOption(hit) {
  const who = hit.role === 'user' ? t('palette.you') : (workerName(hit.worker_id, hit.author) ?? t('chat.bee'));
  const where = hit.kind === 'session' ? [] : [who, plain(hit.session_name)];
  // An extract is read as a line of text: the marks of emphasis and code around its words say nothing there.
  const said = (text) => (hit.kind === 'message' ? plain(text).replace(/\*\*|`/g, '') : plain(text));
  return {
    key: hit.id,
    icon: { session: 'chat', message: hit.role === 'user' ? 'send' : 'chat', execution: 'executions' }[hit.kind],
    text: hit.excerpt.map((piece) => (piece.match ? h('mark', null, said(piece.text)) : said(piece.text))),
    where: where.filter(Boolean).join(' · '),
    when: ago(hit.created_at),
    to: within(hit.url),
  };
}

/** A name with the words in it marked. */
function marked(name, words) {
  const longest = [...words].sort((a, b) => b.length - a.length).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (longest.length === 0) return name;
  // The odd parts are what the group caught.
  return name.split(new RegExp(`(${longest.join('|')})`, 'i')).map((part, i) => (i % 2 ? h('mark', null, part) : part));
}
