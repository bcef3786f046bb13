/** What one can do to a chat from anywhere: rename, delete. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { putSession, dropSession } from '../store.js';
import { confirmDialog, formDialog } from './dialog.js';
import { field, showFieldErrors } from './field.js';
import { toast, toastError } from './toast.js';

/** The menu of a chat. @param {() => void} left when it was put away while it is looked at */
export function chatMenu(session, left) {
  return [
    { label: t('common.rename'), icon: 'pencil', run: () => renameChat(session) },
    { label: t('chat.fresh'), icon: 'retry', run: () => startFresh(session).catch(toastError) },
    { label: t('common.delete'), icon: 'trash', danger: true, run: () => deleteChat(session, left) },
  ];
}

/** Engines forget what was said; the messages stay. */
async function startFresh(session) {
  putSession(await api.post(`/api/local/sessions/${session.id}/clear`));
  toast(t('chat.freshDone'), { kind: 'ok' });
}

/** Asks for a new name. */
export function renameChat(session) {
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
        putSession(await api.patch(`/api/local/sessions/${session.id}`, { name: name.input.value.trim() }));
      } catch (error) {
        if (showFieldErrors(error, { name })) return false;
        throw error;
      }
    },
  });
  name.input.select();
}

/** Deletes a chat after asking. */
export function deleteChat(session, onDeleted) {
  confirmDialog({
    title: t('chat.deleteTitle'),
    text: h('p', null, t('chat.deleteText', { name: session.name || t('chat.untitled') })),
    action: t('chat.deleteAction'),
    async run() {
      await api.del(`/api/local/sessions/${session.id}`);
      onDeleted?.();
      dropSession(session.id);
      toast(t('chat.deleted'));
    },
  });
}
