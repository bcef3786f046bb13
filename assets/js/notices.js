/** Tells of runs that end, or that wait for the user, while nobody looks: by the browser's notifications, if they are wanted. */
import { t } from './strings.js';
import { textOf } from './dom.js';
import { on, store, isFinal, workerName } from './store.js';
import { getPref, setPref } from './prefs.js';
import { navigate } from './router.js';

const BODY_CHARS_MAX = 140;
/** Held by every tab that is looked at: what is seen in one of them is no news. */
const LOOKED_AT = 'skep.looked-at';
const KEY = 'notify';

/** Whether this browser can, on this address. */
export const canNotify = () => 'Notification' in globalThis && isSecureContext;

/** Whether the user wants to be told, and the browser lets us. */
export const isNotifying = () => canNotify() && getPref(KEY) === 'on' && Notification.permission === 'granted';

/** Asks for them, or does without from now on. @returns {Promise<boolean>} false where the browser forbids it */
export async function setNotifying(isWanted) {
  setPref(KEY, null);
  if (!isWanted) return true;
  if ((await Notification.requestPermission()) !== 'granted') return false;
  setPref(KEY, 'on');
  return true;
}

/** Watches from now on. @returns {() => void} ends it */
export function startNotices() {
  let letGo = null;
  const look = () => {
    letGo?.();
    letGo = null;
    if (document.hidden) return;
    const over = new Promise((resolve) => {
      letGo = resolve;
    });
    navigator.locks?.request(LOOKED_AT, { mode: 'shared' }, () => over);
  };
  document.addEventListener('visibilitychange', look);
  look();
  const off = on('message', (event) => {
    const news = isNotifying() && document.hidden && newsOf(event);
    if (news) tell(news);
  });
  return () => {
    off();
    letGo?.();
    document.removeEventListener('visibilitychange', look);
  };
}

/** What an event is to somebody who is elsewhere. */
function newsOf({ name, data, sessionId }) {
  const chat = store.sessions.get(sessionId);
  const path = chat ? `/chats/${chat.id}` : `/executions/${data.execution_id}`;
  const title = chat?.name || t('app.name');
  const who = workerName(data.author?.worker_id ?? store.executions.get(data.execution_id)?.worker_id) ?? t('chat.bee');
  const tag = data.execution_id;
  if (name === 'permission_request') return { title, body: t('notify.waits', { name: who }), path, tag };
  if (name === 'message') {
    const text = (data.html ? textOf(data.html) : data.content ?? '').slice(0, BODY_CHARS_MAX);
    const isWell = data.status === 'completed';
    return { title, body: isWell ? `${who}: ${text}` : t(`notify.${data.status}`, { name: who }), path, tag };
  }
  // A run without a chat has no reply that would say so.
  if (name === 'status' && !sessionId && isFinal(data.status)) {
    return { title, body: t(`notify.${data.status}`, { name: who }), path, tag };
  }
  return null;
}

async function tell({ title, body, path, tag }) {
  const { held } = (await navigator.locks?.query()) ?? { held: [] };
  if (held.some((lock) => lock.name === LOOKED_AT)) return;
  try {
    // Several tabs say the same under one tag, and it is shown once.
    const notice = new Notification(title, { body, tag, icon: new URL('../favicon.svg', import.meta.url).href });
    notice.onclick = () => {
      focus();
      navigate(path);
      notice.close();
    };
  } catch {
    // Some phones take them from service workers only.
  }
}
