/** Scrolling of a transcript: follows only at the bottom, keeps its place when older messages come in above. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';

const BOTTOM_PX = 60;
const TOP_PX = 500;

/**
 * @param {HTMLElement} content
 * @param {{onTop: () => void}} options `onTop` when the reader nears the oldest message
 */
export function scroller(content, { onTop }) {
  const jump = h(
    'button',
    {
      class: 'jump',
      type: 'button',
      hidden: true,
      title: t('chat.latest'),
      aria: { label: t('chat.latest') },
      on: { click: () => toBottom(true) },
    },
    icon('arrowDown'),
  );
  const view = h('div', { class: 'chat-scroll', tabindex: -1 }, content);
  let isFollowing = true;
  let lastHeight = 0;

  const distance = () => view.scrollHeight - view.scrollTop - view.clientHeight;

  function toBottom(isSmooth = false) {
    isFollowing = true;
    jump.hidden = true;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    view.scrollTo({ top: view.scrollHeight, behavior: isSmooth && !calm && distance() < 4000 ? 'smooth' : 'instant' });
  }

  view.addEventListener(
    'scroll',
    () => {
      const gap = distance();
      // Only the reader's own scrolling ends following; growth of the content does not.
      if (view.scrollHeight === lastHeight || gap <= BOTTOM_PX) isFollowing = gap <= BOTTOM_PX;
      lastHeight = view.scrollHeight;
      jump.hidden = isFollowing || gap < view.clientHeight / 3;
      if (view.scrollTop < TOP_PX) onTop();
    },
    { passive: true },
  );

  const grown = new ResizeObserver(() => {
    if (isFollowing) view.scrollTop = view.scrollHeight;
    lastHeight = view.scrollHeight;
  });
  grown.observe(content);
  grown.observe(view);

  return {
    el: h('div', { class: 'chat-view' }, view, jump),
    view,
    toBottom,
    /** Runs `change`, which puts content above, without moving what is being read. */
    keepPlace(change) {
      const before = view.scrollHeight - view.scrollTop;
      change();
      view.scrollTop = view.scrollHeight - before;
    },
    /** Runs `change`, which makes `el` taller, without moving what is read below its top. */
    keepPlaceOf(el, change) {
      const isAbove = !isFollowing && el.getBoundingClientRect().top < view.getBoundingClientRect().top;
      const before = el.offsetHeight;
      change();
      if (isAbove) view.scrollTop += el.offsetHeight - before;
    },
    /** Whether more should be loaded to fill the view. */
    nearTop: () => view.scrollTop < TOP_PX,
    destroy: () => grown.disconnect(),
  };
}
