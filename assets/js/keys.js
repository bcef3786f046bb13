/** The keyboard map outside of fields. */
import { getPref } from './prefs.js';
import { navigate } from './router.js';
import { store } from './store.js';
import { keysDialog } from './components/account.js';
import { togglePalette } from './components/palette.js';

const SEQUENCE_MS = 1200;
let pendingG = -Infinity;

const isTyping = (target) => target.closest?.('input, textarea, select, [contenteditable]');

/** Listens from now on. @param {() => void} focusComposer */
export function startKeys(focusComposer) {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === 'o') {
      event.preventDefault();
      navigate('/');
      return;
    }
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      // Before somebody is signed in there is nothing to find.
      if (store.me) togglePalette();
      return;
    }
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      isTyping(event.target) ||
      document.querySelector('dialog[open], .menu')
    )
      return;
    if (getPref('singleKeys', 'on') !== 'on') return;
    const afterG = performance.now() - pendingG < SEQUENCE_MS;
    pendingG = -Infinity;
    const action = afterG
      ? { w: () => navigate('/workers'), e: () => navigate('/executions'), t: () => navigate('/tasks'), m: () => navigate('/memory'), u: () => navigate('/usage'), s: () => navigate('/settings'), c: () => navigate('/') }[event.key]
      : {
          '?': keysDialog,
          '/': focusComposer,
          g: () => {
            pendingG = performance.now();
          },
        }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
