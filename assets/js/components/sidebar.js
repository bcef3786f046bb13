/** The sidebar: brand, new chat, pages, the list of chats, the account. A drawer on narrow screens. */
import { within } from '../base.js';
import { h, setText, replace } from '../dom.js';
import { t } from '../strings.js';
import { icon, skepMark } from '../icons.js';
import { store, on } from '../store.js';
import { navigate } from '../router.js';
import { canNotify, isNotifying, setNotifying } from '../notices.js';
import { attachMenu } from './menu.js';
import { chatList } from './chat-list.js';
import { themeChoice, keysDialog, signOut, isMac } from './account.js';
import { togglePalette } from './palette.js';
import { toast } from './toast.js';

/**
 * @returns {{el: HTMLElement, setPath: (path: string) => void, open: () => void, close: () => void, destroy: () => void}}
 */
export function sidebar() {
  const chats = chatList();
  const nav = [
    ['/workers', 'workers', 'nav.workers'],
    ['/executions', 'executions', 'nav.executions'],
    ['/tasks', 'tasks', 'nav.tasks'],
    ['/memory', 'memory', 'nav.memory'],
    ['/usage', 'chart', 'nav.usage'],
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
  attachMenu(account, () =>
    [
    themeChoice(),
    { label: t('nav.settings'), icon: 'settings', run: () => navigate('/settings') },
    canNotify() && {
      label: t(isNotifying() ? 'notify.off' : 'notify.on'),
      icon: 'bell',
      run: toggleNotices,
    },
    { label: t('menu.keys'), icon: 'keyboard', run: keysDialog },
    { label: t('menu.docs'), icon: 'file', run: () => window.open('/docs', '_blank', 'noopener') },
    { label: t('menu.signOut'), icon: 'logout', run: signOut },
    ].filter(Boolean),
  );

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
    h('div', { class: 'side-nav' }, searchItem(), nav),
    chats.el,
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
    on('executions', renderCounts),
    on('workers', renderCounts),
    on('me', renderAccount),
  ];
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
      chats.destroy();
      narrow.removeEventListener('change', fit);
    },
  };
}

/** The palette, for those who do not know its keys or have none. */
function searchItem() {
  return h(
    'button',
    { class: 'nav-item', type: 'button', on: { click: togglePalette } },
    icon('search'),
    h('span', null, t('nav.search')),
    h('span', { class: 'nav-keys', aria: { hidden: 'true' } }, isMac ? '⌘ K' : 'Ctrl K'),
  );
}

async function toggleNotices() {
  const isWanted = !isNotifying();
  const isDone = await setNotifying(isWanted);
  if (!isDone) toast(t('notify.forbidden'), { advice: t('notify.forbiddenHelp') });
  else if (isWanted) toast(t('notify.done'), { kind: 'ok' });
}
