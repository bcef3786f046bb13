/** A first message to a worker or the bee, in a chat of its own. */
import { t } from '../strings.js';
import { now } from '../clock.js';
import * as api from '../api.js';
import { navigate } from '../router.js';
import { putExecution, putSession, randomKey } from '../store.js';

/** Asks and goes there. @param {string|null} workerId null is the bee @param {string} name */
export async function tryAgent(workerId, name) {
  const chat = await api.postOnce(
    '/api/local/sessions',
    { name: t('workers.tryName', { name }), ...(workerId && { worker_id: workerId }) },
    randomKey(),
  );
  putSession(chat);
  const content = `${workerId ? '' : '@bee '}${t('workers.tryMessage')}`;
  const queued = await api.postOnce(`/api/local/sessions/${chat.id}/messages`, { content }, randomKey());
  putExecution({
    id: queued.execution_id,
    session_id: chat.id,
    message_id: queued.id,
    status: 'pending',
    created_at: now(),
  });
  navigate(`/chats/${chat.id}`);
}
