/** The list of chats: pinned ones first, marks of what goes on in them, by tag, and apart from them what is archived. */
import { h, reconcile, replace, setText, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { ago } from '../format.js';
import { store, on, sessionsByTime, sessionStates, loadMoreSessions } from '../store.js';
import { currentPath, navigate } from '../router.js';
import { attachMenu } from './menu.js';
import { chatMenu } from './chat-actions.js';
import { toastError } from './toast.js';

/** @returns {{el: HTMLElement, destroy: () => void}} */
export function chatList() {
  const views = new Map();
  let isArchive = false;
  /** @type {string|null} */
  let tag = null;
  const title = h('h2', { class: 'side-title', id: 'chats-title' });
  const tags = h('div', { class: 'tag-filter', role: 'group', aria: { label: t('tags.filter') }, hidden: true });
  const fillTags = slot(tags);
  const list = h('ul', { class: 'chat-list', aria: { labelledby: 'chats-title' } });
  const empty = h('p', { class: 'side-empty muted' });
  const more = h(
    'button',
    {
      class: 'button quiet small',
      type: 'button',
      hidden: true,
      on: { click: () => loadMoreSessions().catch(toastError) },
    },
    t('common.more'),
  );
  const archive = h('button', {
    class: 'button quiet small side-archive',
    type: 'button',
    on: {
      click: () => {
        isArchive = !isArchive;
        tag = null;
        render();
      },
    },
  });
  const fillArchive = slot(archive);
  let states = new Map();

  function render() {
    const all = sessionsByTime();
    const archived = all.filter((s) => s.archived).length;
    if (isArchive && archived === 0) isArchive = false;
    const here = all.filter((s) => Boolean(s.archived) === isArchive);
    const known = [...new Set(here.flatMap((s) => s.tags ?? []))].sort((a, b) => a.localeCompare(b));
    if (!known.includes(tag)) tag = null;
    const shown = tag === null ? here : here.filter((s) => s.tags.includes(tag));
    setText(title, t(isArchive ? 'chats.archived' : 'nav.chats'));
    tags.hidden = known.length === 0;
    fillTags(JSON.stringify([known, tag]), () => known.map(tagButton));
    states = sessionStates();
    reconcile(list, shown, (s) => s.id, (s) => chatRow(s, states), views);
    for (const view of views.values()) view.state(states);
    empty.hidden = shown.length > 0;
    setText(empty, t('nav.noChats'));
    more.hidden = !store.sessionsNext;
    archive.hidden = archived === 0;
    fillArchive(`${isArchive} ${archived}`, () => [
      icon(isArchive ? 'left' : 'archive'),
      t(isArchive ? 'chats.back' : 'chats.showArchived', { n: archived }),
    ]);
  }

  function tagButton(name) {
    const isOn = name === tag;
    const click = () => {
      tag = isOn ? null : name;
      render();
      tags.querySelectorAll('button')[[...tags.children].findIndex((el) => el.textContent === name)]?.focus();
    };
    return h('button', { class: 'tag', type: 'button', aria: { pressed: isOn }, on: { click } }, name);
  }

  const offs = [
    on('sessions', render),
    on('executions', () => {
      states = sessionStates();
      for (const view of views.values()) view.state(states);
    }),
  ];
  render();
  return {
    el: h('div', { class: 'side-chats' }, title, tags, h('div', { class: 'side-scroll' }, list, empty, more), archive),
    destroy: () => offs.forEach((off) => off()),
  };
}

function chatRow(session, states) {
  let current = session;
  const dot = h('span', { class: 'dot' });
  const sr = h('span', { class: 'visually-hidden' });
  const pin = h('span', { class: 'chat-pin', hidden: true }, icon('pin'));
  const name = h('span', { class: 'chat-name' });
  const time = h('span', { class: 'chat-time' });
  const asks = h('span', { class: 'chat-asks', hidden: true }, t('chat.waiting'));
  const link = h(
    'a',
    { class: 'chat-link', href: `/chats/${session.id}`, data: { route: '' } },
    pin,
    name,
    sr,
    dot,
    asks,
    time,
  );
  const button = h('button', { class: 'icon-button small chat-more', type: 'button' }, icon('dots'));
  attachMenu(button, () =>
    chatMenu(current, () => {
      if (currentPath() === `/chats/${current.id}`) navigate('/');
    }),
  );
  const el = h('li', { class: 'chat-row' }, link, button);
  const state = (known) => {
    const s = known.get(current.id);
    const isOpen = currentPath() === `/chats/${current.id}`;
    // What was looked at is no news any more, also when it failed.
    const isUnread = Boolean(current.unread) && (!isOpen || store.keptUnread === current.id);
    asks.hidden = s !== 'waiting';
    const shown = s === 'waiting' ? null : s && s !== 'failed' ? s : isUnread ? (s ?? 'unread') : null;
    dot.className = `dot dot-${shown ?? 'none'}`;
    el.classList.toggle('is-unread', isUnread);
    const words = [current.pinned && t('chats.pinned'), shown && t(shown === 'queued' ? 'chat.queued.short' : `chat.${shown}`)].filter(Boolean);
    setText(sr, words.length ? ` (${words.join(', ')})` : '');
    time.hidden = shown !== null || s === 'waiting';
    if (isOpen) link.setAttribute('aria-current', 'page');
  };
  const update = (next) => {
    current = next;
    const label = next.name || t('chat.untitled');
    setText(name, label);
    link.title = [label, ...(next.tags ?? [])].join(' · ');
    setText(time, ago(next.updated_at));
    pin.hidden = !next.pinned;
    button.setAttribute('aria-label', t('common.actions', { name: label }));
  };
  update(session);
  state(states);
  return { el, update, state };
}

/** The tags of a chat, to be shown beside its name. */
export function tagList(el, tags) {
  replace(el, (tags ?? []).map((name) => h('span', { class: 'tag' }, name)));
}
