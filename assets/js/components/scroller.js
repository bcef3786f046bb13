/** Scrolling of a transcript: follows only at the bottom, keeps its place when rows come and go above. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';

const BOTTOM_PX = 60;
const EDGE_PX = 700;

/**
 * @param {HTMLElement} content
 * @param {{rows: HTMLElement, isAtEnd: () => boolean, onTop: () => void, onBottom: () => void, onJump: () => void}} options
 *   `rows` holds what is drawn; `isAtEnd` says whether that is the end of all there is; `onTop` and `onBottom` when the
 *   reader nears an edge of it; `onJump` before jumping to the latest
 */
export function scroller(content, { rows, isAtEnd, onTop, onBottom, onJump }) {
  const jump = h(
    'button',
    {
      class: 'jump',
      type: 'button',
      hidden: true,
      title: t('chat.latest'),
      aria: { label: t('chat.latest') },
      on: {
        click: () => {
          onJump();
          toBottom(true);
        },
      },
    },
    icon('arrowDown'),
  );
  const view = h('div', { class: 'chat-scroll', tabindex: -1 }, content);
  let isFollowing = true;
  let lastHeight = 0;
  let lastTop = 0;

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
      if (gap <= BOTTOM_PX) isFollowing = isAtEnd();
      else if (view.scrollTop < lastTop || view.scrollHeight === lastHeight) isFollowing = false;
      lastHeight = view.scrollHeight;
      lastTop = view.scrollTop;
      jump.hidden = isFollowing || (isAtEnd() && gap < view.clientHeight / 3);
      if (view.scrollTop < EDGE_PX) onTop();
      else if (gap < EDGE_PX && !isAtEnd()) onBottom();
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
    /** Puts a row in the middle of the view. */
    toRow(el) {
      isFollowing = false;
      el.scrollIntoView({ block: 'center', behavior: 'instant' });
    },
    /** Runs `change`, which draws rows and takes others away, without moving what is being read. */
    keepPlace(change) {
      if (isFollowing) return change();
      const edge = view.getBoundingClientRect().top;
      // A day's line stands above the first message of the day, whichever that is.
      const isAnchor = (el) => !el.classList.contains('day') && el.getBoundingClientRect().bottom > edge;
      const anchor = [...rows.children].find(isAnchor);
      const before = anchor?.getBoundingClientRect().top;
      change();
      if (anchor?.isConnected) view.scrollTop += anchor.getBoundingClientRect().top - before;
    },
    /** Runs `change`, which makes `el` taller, without moving what is read below its top. */
    keepPlaceOf(el, change) {
      const isAbove = !isFollowing && el.getBoundingClientRect().top < view.getBoundingClientRect().top;
      const before = el.offsetHeight;
      change();
      if (isAbove) view.scrollTop += el.offsetHeight - before;
    },
    /** Whether more should be loaded to fill the view. */
    nearTop: () => view.scrollTop < EDGE_PX,
    destroy: () => grown.disconnect(),
  };
}
