/**
 * The stream of the console, shared by all tabs through a worker of the browser's, so that they see the same at the same
 * time and take one connection of the six that a browser has for a server. Where there is no such worker, each tab has its
 * own. What the events mean is the store's business.
 */
import { connect } from './connection.js';
import { adoptLive } from './live.js';
import { endIfRefused, lent, refresh } from './api.js';

/** Another name for other messages: tabs that were loaded before an upgrade keep the worker that they know. */
const NAME = 'skep.stream.1';
/** A worker that is there says so at once, and from then on whenever the server does. */
const ANSWER_MAX_MS = 4000;
const SILENCE_MAX_MS = 100_000;

let stream = null;
let early = null;

/** Begins with the worker, which takes its time, while the session is still being asked for. */
export function prepareStream() {
  if ('SharedWorker' in globalThis) early ??= makeWorker();
}

/** Null where the browser refuses it. */
function makeWorker() {
  try {
    return new SharedWorker(new URL('../background/stream.js', import.meta.url), { type: 'module', name: NAME });
  } catch {
    return null;
  }
}

/**
 * Starts the stream and keeps it going.
 * @param {Omit<import('./connection.js').Listeners, 'onRefused' | 'onAlive'>} listeners
 * @returns {Promise<void>} settles at the first connection
 */
export function startStream(listeners) {
  return new Promise((resolve) => {
    const told = {
      ...listeners,
      onState(state) {
        listeners.onState(state);
        if (state === 'open') resolve();
      },
      // The session may have been renewed elsewhere meanwhile; if not, this says that it is over.
      onRefused: () => refresh().then(reconnectStream, endIfRefused),
    };
    stream = 'SharedWorker' in globalThis ? shared(told) : connect(told);
  });
}

/** Ends the stream for good. */
export function stopStream() {
  stream?.stop();
  stream = null;
}

/** Connects anew at once. */
export const reconnectStream = () => stream?.again();

/** The same as a connection, in the worker that all tabs share. @param {import('./connection.js').Listeners} listeners */
function shared(listeners) {
  let port = null;
  let watchdog = 0;
  let own = null;
  let wasOpen = false;

  const HEARD = {
    state({ state }) {
      listeners.onState(state);
      wasOpen ||= state === 'open';
    },
    event: ({ name, data }) => listeners.onEvent(name, data),
    live: ({ id, entry }) => adoptLive(id, entry),
    gap: () => listeners.onGap(),
    refused: () => listeners.onRefused(),
  };

  function open() {
    const worker = early ?? makeWorker();
    early = null;
    if (!worker) return alone();
    worker.onerror = alone;
    port = worker.port;
    port.onmessage = ({ data }) => {
      watch(SILENCE_MAX_MS);
      HEARD[data.type]?.(data);
    };
    watch(ANSWER_MAX_MS);
    wish('open');
    return undefined;
  }

  /** Its token saves the worker the way to one of its own. */
  function wish(name) {
    port?.postMessage({ wish: name, token: lent() });
  }

  function leave() {
    clearTimeout(watchdog);
    wish('close');
    port?.close();
    port = null;
  }

  /** No worker, or one that does not answer: this tab goes on with a connection of its own. */
  function alone() {
    if (own) return;
    leave();
    own = connect(listeners);
    if (wasOpen) listeners.onGap();
  }

  /** After a silence the worker is asked once more: a tab that slept may not have heard it yet. */
  function watch(ms) {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      if (ms === ANSWER_MAX_MS) return alone();
      wish('open');
      return watch(ANSWER_MAX_MS);
    }, ms);
  }

  open();
  return {
    stop() {
      leave();
      own?.stop();
    },
    again() {
      if (own) own.again();
      else wish('open');
    },
    sleep() {
      leave();
      own?.sleep();
    },
    wake() {
      if (own) own.wake();
      else if (port) wish('wake');
      else {
        open();
        // What happened while the page was away is unknown.
        listeners.onGap();
      }
    },
  };
}

// A page that the browser keeps for the way back would keep its connection, too.
addEventListener('pagehide', () => stream?.sleep());
addEventListener('pageshow', (event) => {
  if (event.persisted) stream?.wake();
});
addEventListener('online', () => stream?.wake());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) stream?.wake();
});
