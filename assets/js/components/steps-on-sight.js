/** Fetches the recorded steps of older replies shortly before they come into sight, one at a time. */
import { liveOf } from '../live.js';
import { loadSteps } from './load-steps.js';

const AHEAD_PX = 1200;

/**
 * @param {{view: HTMLElement, keepPlaceOf: (el: HTMLElement, change: () => void) => void}} scroll
 * @param {(executionId: string) => void} redraw
 */
export function stepsOnSight(scroll, redraw) {
  const executionOf = new WeakMap();
  const waiting = [];
  let isBusy = false;
  let isDestroyed = false;

  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        waiting.push(target);
      }
      work();
    },
    { root: scroll.view, rootMargin: `${AHEAD_PX}px 0px` },
  );

  async function work() {
    if (isBusy) return;
    isBusy = true;
    while (waiting.length && !isDestroyed) {
      // The newest first: a reader begins at the end.
      const el = waiting.pop();
      const executionId = executionOf.get(el);
      if (!el.isConnected || liveOf(executionId)) continue;
      await loadSteps(executionId);
      scroll.keepPlaceOf(el, () => redraw(executionId));
    }
    isBusy = false;
  }

  return {
    watch(el, executionId) {
      executionOf.set(el, executionId);
      observer.observe(el);
    },
    destroy() {
      isDestroyed = true;
      observer.disconnect();
    },
  };
}
