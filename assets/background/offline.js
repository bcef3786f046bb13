/**
 * Shows a page of its own where the server does not answer, instead of the browser's error. Keeps that page and nothing
 * else: whatever the server says, it says itself, so that no answer is an old one and an update is there at once.
 */
const BASE = new URL('..', location.href).pathname;
const PAGE = 'offline/index.html';
const STYLE = 'offline/page.css';
const SCRIPT = 'offline/page.js';
const KEPT = [PAGE, STYLE, SCRIPT];
const NAME = 'skep.offline';
/** What is no page of the console: a download that fails, fails. */
const NO_PAGE = /^(?:api|v1|mcp|metrics|healthz|readyz|docs)(?:\/|$)/;
/** What a proxy says while nothing is behind it. */
const NOBODY_THERE = new Set([502, 504]);

const kept = (path) => caches.match(BASE + path, { cacheName: NAME });

const now = (path) => fetch(BASE + path, { cache: 'reload' });

async function keep() {
  const cache = await caches.open(NAME);
  const [page, script, ...styles] = await Promise.all([PAGE, SCRIPT, 'css/tokens.css', STYLE].map(now));
  // The colours come with it: of the console itself nothing can be had then.
  const style = await Promise.all(styles.map((answer) => answer.text()));
  await cache.put(BASE + PAGE, page);
  await cache.put(BASE + SCRIPT, script);
  await cache.put(BASE + STYLE, new Response(style.join('\n'), { headers: { 'Content-Type': 'text/css' } }));
}

/** Where the browser can be told so, nothing else is even asked here. */
const routes = (event) =>
  event.addRoutes?.([
    { condition: { or: [{ requestMode: 'navigate' }, { urlPattern: { pathname: '*/offline/*' } }] }, source: 'fetch-event' },
    { condition: { urlPattern: { pathname: '*' } }, source: 'network' },
  ]);

async function page(event) {
  try {
    const answer = (await event.preloadResponse) ?? (await fetch(event.request));
    if (!NOBODY_THERE.has(answer.status)) return answer;
  } catch {
    // Nobody answers: that is what the page is for.
  }
  return (await kept(PAGE)) ?? Response.error();
}

addEventListener('install', (event) => {
  skipWaiting();
  event.waitUntil(Promise.all([keep(), routes(event)]));
});
// Its own start does not hold the page up.
addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload?.enable()));
addEventListener('fetch', (event) => {
  const { url, mode, method } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== location.origin || !pathname.startsWith(BASE)) return;
  const path = pathname.slice(BASE.length).replace(/^v-[0-9a-f]+\//, '');
  if (mode === 'navigate' && !NO_PAGE.test(path)) event.respondWith(page(event));
  else if (KEPT.includes(path))
    event.respondWith(kept(path).then((file) => file ?? fetch(event.request)));
});
