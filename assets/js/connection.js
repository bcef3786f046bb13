/**
 * One connection to `GET /api/stream`: with the token in a header, resumed from the last id it saw, with growing pauses
 * between tries. Knows neither a page nor what the events mean, so that a worker of the browser can hold it for all tabs.
 */
import { refresh, request, ApiError } from './api.js';
import { readEvents } from './sse.js';

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 10_000;
/** The server comments every 15 s; three missed ones mean the connection is dead without having closed. */
const SILENCE_MAX_MS = 45_000;

/**
 * @typedef {{onEvent: (name: string, data: object) => void, onState: (state: 'connecting'|'open'|'waiting') => void,
 *            onGap: () => void, onAlive?: () => void, onRefused: (error: ApiError) => void}} Listeners
 *   `onGap`: events may have been missed, fetch everything anew; `onRefused`: nobody is signed in, and it has ended
 */

/** Connects, and stays connected until it is stopped. @param {Listeners} listeners */
export function connect(listeners) {
  let lastId = null;
  let controller = null;
  let isWanted = true;
  let backoff = BACKOFF_MIN_MS;
  let wake = null;

  async function run() {
    let isFirst = true;
    while (isWanted) {
      listeners.onState('connecting');
      controller = new AbortController();
      try {
        await open(() => {
          backoff = BACKOFF_MIN_MS;
          listeners.onState('open');
          // Without an id to go on from, what happened while we were away is unknown.
          if (!isFirst && lastId === null) listeners.onGap();
          isFirst = false;
        });
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) {
          isWanted = false;
          listeners.onRefused(error);
        }
      }
      if (!isWanted) return;
      listeners.onState('waiting');
      await pause(backoff * (0.75 + Math.random() / 2));
      backoff = Math.min(backoff * 2, BACKOFF_MAX_MS);
    }
  }

  async function open(onOpen) {
    const mine = controller;
    const headers = { Accept: 'text/event-stream', 'Cache-Control': 'no-cache' };
    if (lastId !== null) headers['Last-Event-ID'] = lastId;
    const response = await request('GET', '/api/stream?html=true', { headers, signal: mine.signal });
    onOpen();
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => mine.abort(), SILENCE_MAX_MS);
      listeners.onAlive?.();
    };
    alive();
    try {
      for await (const event of readEvents(response.body)) {
        alive();
        if (event.comment !== undefined || (!event.data && event.event === 'message')) continue;
        if (event.id !== null) lastId = event.id;
        if (event.event === 'reset') listeners.onGap();
        else if (event.event === 'expired') {
          await refresh();
          return;
        } else listeners.onEvent(event.event, parse(event.data));
      }
    } finally {
      clearTimeout(watchdog);
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

  run();
  return {
    stop() {
      isWanted = false;
      controller?.abort();
      wake?.();
    },
    /** Connects anew at once, for instance because a gap in transient text was seen. */
    again() {
      backoff = BACKOFF_MIN_MS;
      controller?.abort();
      wake?.();
    },
    /** Ends the connection, not the wish for one: a page that is left goes on when it is come back to. */
    sleep: () => controller?.abort(),
    /** Does not wait any longer before the next try. */
    wake: () => wake?.(),
  };
}

function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}
