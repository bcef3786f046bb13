/** The recorded steps of an older run, read from the start of its own stream. */
import { ApiError, request } from '../api.js';
import { readEvents } from '../sse.js';
import { applyLive } from '../live.js';
import { emit, isFinal, store } from '../store.js';
import { toastError } from './toast.js';

const STEP_EVENTS = new Set(['tool_call', 'tool_result', 'permission_request', 'permission_resolved', 'error']);
/** A stream of a finished run may stay open; once it has been quiet for this long, all has come. */
const QUIET_MS = 1500;

/** Loads the steps of an execution into the live table. */
export async function loadSteps(executionId) {
  const controller = new AbortController();
  addEventListener('pagehide', () => controller.abort(), { signal: controller.signal });
  let timer = setTimeout(() => controller.abort(), QUIET_MS * 2);
  let found = 0;
  try {
    const response = await request('GET', `/api/executions/${executionId}/stream`, {
      headers: { Accept: 'text/event-stream', 'Last-Event-ID': '0' },
      signal: controller.signal,
    });
    for await (const event of readEvents(response.body)) {
      // Only what is recorded has an id; the text of a run that goes on comes by the console's own stream.
      if (event.comment !== undefined || event.id === null) continue;
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), QUIET_MS);
      if (event.event === 'message') break;
      if (!STEP_EVENTS.has(event.event)) continue;
      applyLive(event.event, { ...JSON.parse(event.data), execution_id: executionId });
      found += 1;
      // Somebody waits for what goes on: a request to allow something is answered no sooner than it is seen.
      if (!isFinal(store.executions.get(executionId)?.status)) emit('live', executionId);
    }
  } catch (error) {
    // Steps are an extra: a connection that broke is told by the pill.
    if (error instanceof ApiError) toastError(error);
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
  if (isFinal(store.executions.get(executionId)?.status)) applyLive('message', { execution_id: executionId });
  if (found) emit('live', executionId);
}
