/**
 * The one connection of all tabs of a browser. Tabs wish over ports for `open`, `wake` and `close`; it answers `state`,
 * `event`, `gap`, `live` (a reply that was being written when the tab came), `alive` and `refused`.
 */
import { connect } from '../js/connection.js';
import { borrow } from '../js/api.js';
import { applyLive, clearLive, dropLive, liveEntries, takeGap } from '../js/live.js';

const FINAL = new Set(['completed', 'failed', 'cancelled']);

const ports = new Set();
let connection = null;
let state = 'connecting';

const tell = (message) => {
  for (const port of ports) port.postMessage(message);
};

function begin() {
  connection = connect({
    onEvent(name, data) {
      const id = data.execution_id;
      if (applyLive(name, data) && takeGap(id)) connection.again();
      // What has ended is in the history, where a tab that comes looks.
      if (name === 'message' || (name === 'status' && FINAL.has(data.status))) dropLive(id);
      tell({ type: 'event', name, data });
    },
    onState(next) {
      state = next;
      tell({ type: 'state', state });
    },
    onGap: () => tell({ type: 'gap' }),
    onAlive: () => tell({ type: 'alive' }),
    onRefused() {
      connection = null;
      clearLive();
      tell({ type: 'refused' });
    },
  });
}

function end(port) {
  ports.delete(port);
  if (ports.size > 0) return;
  connection?.stop();
  connection = null;
  clearLive();
}

const WISHES = {
  open(port) {
    ports.add(port);
    if (!connection) begin();
    // In this order: what comes next is what happened after this.
    for (const [id, entry] of liveEntries()) port.postMessage({ type: 'live', id, entry });
    port.postMessage({ type: 'state', state });
  },
  wake: () => connection?.wake(),
  close: end,
};

addEventListener('connect', (event) => {
  const [port] = event.ports;
  port.onmessage = ({ data }) => {
    borrow(data.token);
    WISHES[data.wish]?.(port);
  };
  port.addEventListener('close', () => end(port));
});
