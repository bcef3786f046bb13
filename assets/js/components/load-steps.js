/** The recorded steps of an older run, read from the start of its own stream. */
import { request } from '../api.js';
import { readEvents } from '../sse.js';
import { applyLive } from '../live.js';
import { emit, isFinal, store } from '../store.js';
import { t } from '../strings.js';
import { toast, toastError } from './toast.js';

const STEP_EVENTS = new Set(['tool_call', 'tool_result', 'permission_request', 'permission_resolved', 'error']);
/** A stream of a finished run may stay open; once it has been quiet for this long, all has come. */
const QUIET_MS = 1500;

/** Loads the steps of an execution into the live table. @param {HTMLElement} [button] busy meanwhile */
export async function loadSteps(executionId, button) {
  button?.setAttribute('aria-busy', 'true');
  const controller = new AbortController();
  let timer = setTimeout(() => controller.abort(), QUIET_MS * 2);
  let found = 0;
  try {
    const response = await request('GET', `/api/executions/${executionId}/stream`, {
      headers: { Accept: 'text/event-stream', 'Last-Event-ID': '0' },
      signal: controller.signal,
    });
    for await (const event of readEvents(response.body)) {
      if (event.comment !== undefined) continue;
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), QUIET_MS);
      if (event.event === 'message') break;
      if (!STEP_EVENTS.has(event.event)) continue;
      applyLive(event.event, { ...JSON.parse(event.data), execution_id: executionId });
      found += 1;
    }
  } catch (error) {
    if (error.name !== 'AbortError') toastError(error);
  } finally {
    clearTimeout(timer);
    controller.abort();
    button?.removeAttribute('aria-busy');
  }
  if (isFinal(store.executions.get(executionId)?.status)) applyLive('message', { execution_id: executionId });
  if (found) emit('live', executionId);
  else if (button) toast(t('chat.noSteps'));
}
