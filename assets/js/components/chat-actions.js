/** What one can do to a chat from anywhere. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { store, putSession, dropSession, hideSession, markUnread, markRead } from '../store.js';
import { currentPath, navigate } from '../router.js';
import { onCall } from '../later.js';
import { formDialog } from './dialog.js';
import { field, showFieldErrors } from './field.js';
import { toast, toastError } from './toast.js';

const exportChat = onCall(async () => (await import('../export.js')).exportChat);
/** How long a chat that was deleted can be had back. */
const UNDO_MS = 8000;
const TAGS_MAX = 20;

const path = (session) => `/api/local/sessions/${session.id}`;

/** The menu of a chat. @param {() => void} left when it was put away while it is looked at */
export function chatMenu(session, left) {
  const change = (patch) => async () => {
    try {
      putSession(await api.patch(path(session), patch));
    } catch (error) {
      toastError(error);
    }
  };
  const line = () => h('div', { class: 'menu-line', role: 'separator' });
  const isUnread = session.unread > 0;
  return [
    {
      label: t(session.pinned ? 'chats.unpin' : 'chats.pin'),
      icon: 'pin',
      run: change({ pinned: !session.pinned }),
    },
    {
      label: t(isUnread ? 'chats.markRead' : 'chats.markUnread'),
      icon: isUnread ? 'check' : 'unread',
      run: () => (isUnread ? markRead(session.id) : markUnread(session.id).catch(toastError)),
    },
    { label: t('common.rename'), icon: 'pencil', run: () => renameChat(session) },
    { label: t('tags.edit'), icon: 'tag', run: () => editTags(session) },
    { label: t('chat.fresh'), icon: 'retry', run: () => startFresh(session).catch(toastError) },
    line(),
    { label: t('chats.exportMarkdown'), icon: 'download', run: () => exportChat(session, 'md').catch(toastError) },
    { label: t('chats.exportJson'), icon: 'download', run: () => exportChat(session, 'json').catch(toastError) },
    line(),
    {
      label: t(session.archived ? 'chats.unarchive' : 'chats.archive'),
      icon: 'archive',
      run: async () => {
        await change({ archived: !session.archived })();
        if (!session.archived) {
          left();
          const back = { label: t('common.undo'), run: change({ archived: false }) };
          toast(t('chats.archivedOne', { name: session.name }), { action: back });
        }
      },
    },
    { label: t('common.delete'), icon: 'trash', danger: true, run: () => deleteChat(session, left) },
  ];
}

/** Engines forget what was said; the messages stay. */
async function startFresh(session) {
  putSession(await api.post(`${path(session)}/clear`));
  toast(t('chat.freshDone'), { kind: 'ok' });
}

/** Asks for a new name. */
function renameChat(session) {
  const name = field({
    label: t('chat.name'),
    name: 'name',
    value: session.name ?? '',
    attrs: { maxlength: 200, autocomplete: 'off' },
  });
  formDialog({
    title: t('chat.renameTitle'),
    body: [name.el],
    submit: t('common.rename'),
    async onSubmit() {
      try {
        putSession(await api.patch(path(session), { name: name.input.value.trim() }));
      } catch (error) {
        if (showFieldErrors(error, { name })) return false;
        throw error;
      }
    },
  });
  name.input.select();
}

/** Asks for the tags, offering those that other chats have. */
function editTags(session) {
  const others = [...new Set([...store.sessions.values()].flatMap((s) => s.tags ?? []))];
  const tags = field({
    label: t('tags.label'),
    name: 'tags',
    value: (session.tags ?? []).join(', '),
    hint: others.length ? t('tags.known', { tags: others.join(', ') }) : t('tags.hint'),
    attrs: { autocomplete: 'off' },
  });
  formDialog({
    title: t('tags.title', { name: session.name }),
    body: [tags.el],
    submit: t('common.save'),
    async onSubmit() {
      const wanted = tags.input.value.split(',').map((tag) => tag.trim());
      const list = [...new Set(wanted.filter(Boolean))].slice(0, TAGS_MAX);
      try {
        putSession(await api.patch(path(session), { tags: list }));
      } catch (error) {
        if (showFieldErrors(error, { tags })) return false;
        throw error;
      }
    },
  });
  tags.input.setSelectionRange(tags.input.value.length, tags.input.value.length);
}

/** Deletions that can still be taken back, by chat. @type {Map<string, () => Promise<void>>} */
const leaving = new Map();

/** Takes a chat out of sight, and deletes it for good once nobody took that back. */
function deleteChat(session, left) {
  const { id } = session;
  const isOpen = currentPath() === `/chats/${id}`;
  hideSession(id, true);
  left();
  const goOn = async (options) => {
    if (!leaving.delete(id)) return;
    clearTimeout(timer);
    close();
    try {
      await api.del(path(session), options);
      dropSession(id);
    } catch (error) {
      if (error.status !== 404) toastError(error);
    }
    hideSession(id, false);
  };
  const undo = () => {
    if (!leaving.delete(id)) return;
    clearTimeout(timer);
    hideSession(id, false);
    if (isOpen) navigate(`/chats/${id}`);
  };
  const timer = setTimeout(goOn, UNDO_MS);
  leaving.set(id, goOn);
  const close = toast(t('chats.deletedOne', { name: session.name || t('chat.untitled') }), {
    action: { label: t('common.undo'), run: undo },
  });
}

/** Deletes at once what could still be had back: nobody can take it back who has left, or signed out. */
export const deleteLeaving = (options) => Promise.all([...leaving.values()].map((goOn) => goOn(options)));

addEventListener('pagehide', () => deleteLeaving({ keepalive: true }));
