/** The sidebar: brand, new chat, pages, the list of chats, the account. A drawer on narrow screens. */
import { within } from '../base.js';
import { h, reconcile, setText, replace } from '../dom.js';
import { t } from '../strings.js';
import { icon, skepMark } from '../icons.js';
import { ago } from '../format.js';
import { store, on, sessionsByTime, sessionState, loadMoreSessions } from '../store.js';
import { currentPath, navigate } from '../router.js';
import { attachMenu } from './menu.js';
import { chatMenu } from './chat-actions.js';
import { themeChoice, keysDialog, signOut } from './account.js';
import { toastError } from './toast.js';

/**
 * @returns {{el: HTMLElement, setPath: (path: string) => void, open: () => void, close: () => void, destroy: () => void}}
 */
export function sidebar() {
  const views = new Map();
  const list = h('ul', { class: 'chat-list' });
  const empty = h('p', { class: 'side-empty muted' }, t('nav.noChats'));
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
  const nav = [
    ['/workers', 'workers', 'nav.workers'],
    ['/executions', 'executions', 'nav.executions'],
    ['/tasks', 'tasks', 'nav.tasks'],
    ['/memory', 'memory', 'nav.memory'],
    ['/settings', 'settings', 'nav.settings'],
  ].map(([path, glyph, label]) =>
    h(
      'a',
      { class: 'nav-item', href: path, data: { route: '' } },
      icon(glyph),
      h('span', null, t(label)),
      h('span', { class: 'nav-count', hidden: true }),
    ),
  );
  const account = h('button', { class: 'account', type: 'button' });
  attachMenu(account, () => [
    themeChoice(),
    { label: t('nav.settings'), icon: 'settings', run: () => navigate('/settings/account') },
    { label: t('menu.keys'), icon: 'keyboard', run: keysDialog },
    { label: t('menu.docs'), icon: 'file', run: () => window.open('/docs', '_blank', 'noopener') },
    { label: t('menu.signOut'), icon: 'logout', run: signOut },
  ]);

  const closeButton = h(
    'button',
    { class: 'icon-button side-close', type: 'button', aria: { label: t('nav.close') }, on: { click: () => close() } },
    icon('close'),
  );
  const panel = h(
    'nav',
    { class: 'sidebar', id: 'sidebar', aria: { label: t('nav.label') } },
    h(
      'div',
      { class: 'side-head' },
      h('a', { class: 'brand', href: '/', data: { route: '' } }, skepMark(), h('span', null, t('app.name'))),
      closeButton,
    ),
    h('a', { class: 'button new-chat', href: '/', data: { route: '' } }, icon('plus'), t('nav.newChat')),
    h('div', { class: 'side-nav' }, nav),
    h('h2', { class: 'side-title', id: 'chats-title' }, t('nav.chats')),
    h('div', { class: 'side-scroll' }, list, empty, more),
    h('div', { class: 'side-foot' }, account),
  );
  const scrim = h('div', { class: 'scrim', on: { click: () => close() } });
  const el = h('div', { class: 'side' }, scrim, panel);

  const narrow = matchMedia('(max-width: 860px)');
  let opener = null;
  const isOpen = () => el.classList.contains('open');
  function open() {
    opener = document.activeElement;
    el.classList.add('open');
    panel.inert = false;
    closeButton.focus();
  }
  function close() {
    if (!isOpen()) return;
    el.classList.remove('open');
    panel.inert = narrow.matches;
    opener?.focus?.();
  }
  function fit() {
    el.classList.remove('open');
    panel.inert = narrow.matches;
  }
  narrow.addEventListener('change', fit);
  fit();
  panel.addEventListener('keydown', (e) => {
    if (e.key === 'Escape' && isOpen() && !document.querySelector('.menu')) {
      e.stopPropagation();
      close();
    }
  });

  function renderChats() {
    const sessions = sessionsByTime();
    reconcile(list, sessions, (s) => s.id, chatRow, views);
    empty.hidden = sessions.length > 0;
    more.hidden = !store.sessionsNext;
    setCurrent(currentPath());
  }

  function renderCounts() {
    const working = [...store.workers.values()].filter((w) => w.status === 'working').length;
    const open = [...store.executions.values()].filter((e) => e.status === 'running').length;
    [working, open].forEach((n, i) => {
      const badge = nav[i].querySelector('.nav-count');
      badge.hidden = n === 0;
      setText(badge, String(n));
    });
  }

  function renderAccount() {
    const name = store.me?.username ?? store.me?.name ?? 'admin';
    replace(
      account,
      h('span', { class: 'account-face', aria: { hidden: 'true' } }, [...name][0].toUpperCase()),
      h('span', { class: 'account-name' }, name),
      h('span', { class: 'visually-hidden' }, `: ${t('nav.account')}`),
      icon('dots'),
    );
  }

  function setCurrent(path) {
    for (const link of panel.querySelectorAll('a[data-route]')) {
      const target = within(link.getAttribute('href'));
      const isCurrent = target === '/' ? false : path === target || path.startsWith(`${target}/`);
      if (isCurrent) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  const offs = [
    on('sessions', renderChats),
    on('executions', () => {
      for (const view of views.values()) view.state();
      renderCounts();
    }),
    on('workers', renderCounts),
    on('me', renderAccount),
  ];
  renderChats();
  renderCounts();
  renderAccount();
  return {
    el,
    setPath(path) {
      setCurrent(path);
      if (isOpen()) close();
    },
    open,
    close,
    destroy() {
      offs.forEach((off) => off());
      narrow.removeEventListener('change', fit);
    },
  };
}

function chatRow(session) {
  let current = session;
  const dot = h('span', { class: 'dot' });
  const sr = h('span', { class: 'visually-hidden' });
  const name = h('span', { class: 'chat-name' });
  const time = h('span', { class: 'chat-time' });
  const link = h('a', { class: 'chat-link', href: `/chats/${session.id}`, data: { route: '' } }, name, sr, dot, time);
  const button = h('button', { class: 'icon-button small chat-more', type: 'button' }, icon('dots'));
  attachMenu(button, () =>
    chatMenu(current, () => {
      if (currentPath() === `/chats/${current.id}`) navigate('/');
    }),
  );
  const state = () => {
    const s = sessionState(current.id);
    // What was looked at is no news any more, also when it failed.
    const isUnread = current.unread && currentPath() !== `/chats/${current.id}`;
    const shown = s === 'running' ? s : isUnread ? (s ?? 'unread') : null;
    dot.className = `dot dot-${shown ?? 'none'}`;
    setText(sr, shown ? ` (${t(`chat.${shown}`)})` : '');
    time.hidden = shown !== null;
  };
  const update = (next) => {
    current = next;
    const label = next.name || t('chat.untitled');
    setText(name, label);
    link.title = label;
    setText(time, ago(next.updated_at));
    button.setAttribute('aria-label', t('common.actions', { name: label }));
    state();
  };
  update(session);
  return { el: h('li', { class: 'chat-row' }, link, button), update, state };
}
