/** The frame around the pages: sidebar, banners, the place where pages go, the stream behind it all. */
import { h } from './dom.js';
import { t } from './strings.js';
import { takeSilence } from './api.js';
import { emit, on, store, applyEvent, clearStore, loadAll, unreadSessions } from './store.js';
import { startStream, stopStream } from './stream.js';
import { startRouter, stopRouter } from './router.js';
import { startNotices } from './notices.js';
import { later } from './later.js';
import { sidebar } from './components/sidebar.js';
import { banners, connectionPill } from './components/banners.js';
import { emptyState } from './components/status.js';
import { pageHead } from './components/page-head.js';
import { toastError } from './components/toast.js';
import { chatPage } from './pages/chat.js';

const workersPage = later(async () => (await import('./pages/workers.js')).workersPage);
const executionsPage = later(async () => (await import('./pages/executions.js')).executionsPage);
const executionPage = later(async () => (await import('./pages/execution.js')).executionPage);
const tasksPage = later(async () => (await import('./pages/tasks.js')).tasksPage);
const memoryPage = later(async () => (await import('./pages/memory.js')).memoryPage);
const usagePage = later(async () => (await import('./pages/usage.js')).usagePage);
const settingsPage = later(async () => (await import('./pages/settings.js')).settingsPage);

/** Loading does not wait longer than this for the stream; a later first connection counts as a gap. */
const STREAM_WAIT_MS = 1500;

const ROUTES = [
  { pattern: '/', page: chatPage },
  { pattern: '/chats/:id', page: chatPage },
  { pattern: '/workers', page: workersPage },
  { pattern: '/executions', page: executionsPage },
  { pattern: '/executions/:id', page: executionPage },
  { pattern: '/tasks', page: tasksPage },
  { pattern: '/memory', page: memoryPage },
  { pattern: '/usage', page: usagePage },
  { pattern: '/settings', page: settingsPage },
  { pattern: '/settings/:section', page: settingsPage },
  { pattern: '*', page: notFoundPage },
];

/**
 * Shows the console of a signed-in user.
 * @param {HTMLElement} root
 * @returns {Promise<{destroy: () => void, focusComposer: () => void}>}
 */
export async function startShell(root) {
  await loadBehindStream();
  const side = sidebar();
  const notices = banners();
  const pill = connectionPill();
  const outlet = h('div', { class: 'outlet' });
  let page = null;
  root.replaceChildren(
    h(
      'div',
      { class: 'shell' },
      h(
        'a',
        {
          class: 'skip-link',
          href: '#main',
          on: {
            click: (e) => {
              e.preventDefault();
              document.getElementById('main')?.focus();
            },
          },
        },
        t('app.skip'),
      ),
      side.el,
      h('div', { class: 'content' }, notices.el, pill.el, outlet),
    ),
  );
  const setTitle = () => {
    const unread = unreadSessions();
    document.title = [(unread ? `(${unread}) ` : '') + (page?.title?.() ?? ''), t('app.name')]
      .filter(Boolean)
      .join(' · ');
    navigator.setAppBadge?.(unread).catch(() => {});
  };
  let isFirst = true;
  startRouter(ROUTES, outlet, (path, shown) => {
    const isOther = page !== shown;
    if (isOther) emit('page-left');
    page = shown;
    side.setPath(path);
    setTitle();
    // A new page takes the focus, as a loaded document would; the first one leaves it to the browser.
    if (isOther && !isFirst && !shown.focus) document.getElementById('main')?.focus({ preventScroll: true });
    isFirst = false;
  });
  const offs = [on('sessions', setTitle), on('page', setTitle), on('open-menu', side.open), startNotices()];
  return {
    focusComposer: () => page?.focus?.(),
    destroy() {
      stopStream();
      stopRouter();
      offs.forEach((off) => off());
      for (const part of [side, notices, pill]) part.destroy();
      clearStore();
      navigator.clearAppBadge?.().catch(() => {});
    },
  };
}

/** Opens the stream first and loads after, so that nothing falls between the two. */
async function loadBehindStream() {
  let isLate = false;
  takeSilence();
  const opened = startStream({ onEvent: applyEvent, onGap: reload, onState: showConnection });
  opened.then(() => {
    if (isLate) reload();
  });
  await Promise.race([
    opened,
    new Promise((resolve) =>
      setTimeout(() => {
        isLate = true;
        resolve();
      }, STREAM_WAIT_MS),
    ),
  ]);
  await loadAll();
}

async function reload() {
  try {
    await loadAll();
    emit('gap');
  } catch (error) {
    toastError(error);
  }
}

function showConnection(state) {
  store.connection = state === 'open' ? 'open' : navigator.onLine === false ? 'offline' : 'waiting';
  emit('connection');
  // What a page could not load while nothing answered, it loads now.
  if (state === 'open' && takeSilence()) reload();
}

function notFoundPage() {
  const head = pageHead(t('page.notFound'));
  return {
    el: h(
      'main',
      { class: 'page', id: 'main', tabindex: -1 },
      head.el,
      emptyState({
        title: t('page.notFoundLead'),
        lead: '',
        action: h('a', { class: 'button primary', href: '/', data: { route: '' } }, t('page.home')),
      }),
    ),
    title: () => t('page.notFound'),
  };
}
