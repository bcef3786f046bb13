/**
 * The one stream of the console, `GET /api/stream`: connects with the token in a header, resumes from the last id
 * it saw, backs off between tries, and says how it is doing. What the events mean is the store's business.
 */
import { refresh, request, endIfRefused, ApiError } from './api.js';
import { readEvents } from './sse.js';

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 10_000;
/** The server comments every 15 s; three missed ones mean the connection is dead without having closed. */
const SILENCE_MAX_MS = 45_000;

let lastId = null;
let abort = null;
let wanted = false;
let backoff = BACKOFF_MIN_MS;
let wake = null;
let handlers = null;

/**
 * Starts the stream and keeps it going.
 * @param {{onEvent: (name: string, data: object) => void, onState: (state: 'connecting'|'open'|'waiting') => void,
 *          onGap: () => void}} listeners `onGap` means: events may have been missed, fetch everything anew
 * @returns {Promise<void>} settles at the first connection
 */
export function startStream(listeners) {
  handlers = listeners;
  wanted = true;
  lastId = null;
  return new Promise((resolve) => {
    run(resolve);
  });
}

/** Ends the stream for good. */
export function stopStream() {
  wanted = false;
  abort?.abort();
  wake?.();
}

/** Connects anew at once, for instance because a gap in transient text was seen. */
export function reconnectStream() {
  backoff = BACKOFF_MIN_MS;
  abort?.abort();
  wake?.();
}

async function run(onFirstOpen) {
  let opened = false;
  while (wanted) {
    handlers.onState('connecting');
    abort = new AbortController();
    try {
      await connect(abort, () => {
        backoff = BACKOFF_MIN_MS;
        handlers.onState('open');
        // Without an id to go on from, what happened while we were away is unknown.
        if (opened && lastId === null) handlers.onGap();
        if (!opened) {
          opened = true;
          onFirstOpen();
        }
      });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        endIfRefused(error);
        return;
      }
    }
    if (!wanted) return;
    handlers.onState('waiting');
    await pause(backoff * (0.75 + Math.random() / 2));
    backoff = Math.min(backoff * 2, BACKOFF_MAX_MS);
  }
}

async function connect(controller, onOpen) {
  const headers = { Accept: 'text/event-stream', 'Cache-Control': 'no-cache' };
  if (lastId !== null) headers['Last-Event-ID'] = lastId;
  const response = await request('GET', '/api/stream?html=true', { headers, signal: controller.signal });
  onOpen();
  let watchdog = 0;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => controller.abort(), SILENCE_MAX_MS);
  };
  alive();
  try {
    for await (const event of readEvents(response.body)) {
      alive();
      if (event.comment !== undefined || (!event.data && event.event === 'message')) continue;
      if (event.id !== null) lastId = event.id;
      if (event.event === 'reset') handlers.onGap();
      else if (event.event === 'expired') {
        await refresh();
        return;
      } else handlers.onEvent(event.event, parse(event.data));
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}

function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

// A page that the browser keeps for the way back would keep its connection, too, and there are six for a server.
addEventListener('pagehide', () => abort?.abort());
addEventListener('pageshow', (event) => {
  if (wanted && event.persisted) wake?.();
});
addEventListener('online', () => {
  if (wanted) wake?.();
});
document.addEventListener('visibilitychange', () => {
  if (wanted && !document.hidden) wake?.();
});
