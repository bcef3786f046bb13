/** Start: redeem a sign-in link or renew the session, then show the console or the sign-in page. */
import { h, announce } from './dom.js';
import { t, language } from './strings.js';
import * as api from './api.js';
import { on } from './store.js';
import { below } from './base.js';
import { syncThemeColor } from './prefs.js';
import { prepareStream } from './stream.js';
import { startKeys } from './keys.js';
import { startShell } from './shell.js';
import { signInPage } from './pages/sign-in.js';
import { emptyState } from './components/status.js';
import { describe } from './components/toast.js';

const OFFLINE_RETRY_MS = 2000;
const root = document.getElementById('app');
let shell = null;

/** Takes the code out of the address, so that it is not in the history. */
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code !== null) history.replaceState(null, '', location.pathname + location.search);
  return code;
}

async function boot() {
  const code = takeCode();
  if (code) {
    try {
      await api.redeem(code);
      return await show();
    } catch (error) {
      if (error instanceof api.NetworkError) return offline();
      // The link may be an old one in a browser that is still signed in.
      if (!(await hasSession())) return signIn(refusal(error));
      return show();
    }
  }
  try {
    await api.refresh();
  } catch (error) {
    if (error instanceof api.NetworkError) return offline();
    return signIn(error.status === 401 || error.status === 400 ? null : describe(error).text);
  }
  return show();
}

const hasSession = () =>
  api.refresh().then(
    () => true,
    () => false,
  );

function refusal(error) {
  if (error.status === 429) return t('signin.throttled', { n: error.retryAfter ?? 60 });
  return `${t('signin.codeUsed')} ${t('signin.codeHelp')}`;
}

function signIn(notice) {
  shell?.destroy();
  shell = null;
  // What was said last is not for whoever comes next.
  announce('');
  document.title = t('signin.title');
  const page = signInPage({ notice, onSignedIn: show });
  root.replaceChildren(page.el);
  page.focus();
}

async function show() {
  try {
    shell = await startShell(root);
  } catch (error) {
    if (error instanceof api.NetworkError) return offline();
    if (!(error instanceof api.ApiError)) console.error(error);
    if (error.status !== 401)
      root.replaceChildren(
        h(
          'main',
          { class: 'boot', id: 'main' },
          emptyState({
            title: t('error.unknown'),
            lead: describe(error).text,
            action: h(
              'button',
              { class: 'button primary', type: 'button', on: { click: () => location.reload() } },
              t('common.again'),
            ),
          }),
        ),
      );
  }
}

function offline() {
  root.replaceChildren(
    h('main', { class: 'boot', id: 'main' }, emptyState({ title: t('boot.offline'), lead: t('boot.offlineHelp') })),
  );
  setTimeout(boot, OFFLINE_RETRY_MS);
}

prepareStream();
document.documentElement.lang = language;
syncThemeColor();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', syncThemeColor);
startKeys(() => shell?.focusComposer());
// A tab that waits for its sign-in has it with the first one that does.
api.onSignedInElsewhere(() => {
  if (!shell && root.querySelector('.signin')) boot();
});
api.onSignedOut(() => signIn(t('signin.ended')));
on('signed-out', () => signIn(null));
// A link pasted into a tab that is open already changes only the hash.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#code=')) location.reload();
});
boot();
// Once all is there: what is shown when the server is not. Where the browser has no such thing, it shows its own page.
addEventListener('load', () => {
  navigator.serviceWorker?.register(below('/background/offline.js'), { scope: below('/') }).catch(() => {});
});
