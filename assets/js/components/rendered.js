/** The text of a reply: rendered by the server, and what follows its last rendering as it is. Nothing that stays is touched. */
import { h, setRendered, setText } from '../dom.js';
import { decorateCode } from './copy.js';

/** Blocks in which a text that has no rendering yet goes on in the same line. */
const FLOWING = new Set(['P', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6']);

/** @returns {{el: HTMLElement, showLive: (live: object|undefined) => void, showFinal: (message: object) => void}} */
export function rendered() {
  const el = h('div', { class: 'reply-text' });
  const tail = h('span', { class: 'reply-tail' });
  let shownHtml = null;

  /** Makes the blocks equal to `html`, beginning at the first that differs: selections above it and scrolled code stay. */
  function showHtml(html) {
    if (html === shownHtml) return;
    if (shownHtml === null) el.replaceChildren();
    shownHtml = html;
    tail.remove();
    const next = h('div');
    setRendered(next, html);
    decorateCode(next);
    const fresh = [...next.childNodes];
    let same = 0;
    while (same < fresh.length && el.childNodes[same]?.isEqualNode(fresh[same])) same += 1;
    while (el.childNodes.length > same) el.lastChild.remove();
    el.append(...fresh.slice(same));
  }

  function showTail(text) {
    if (!text) return tail.remove();
    growText(tail, text);
    if (tail.parentElement) return undefined;
    const last = el.lastElementChild;
    return (last && FLOWING.has(last.tagName) && !text.startsWith('\n') ? last : el).append(tail);
  }

  return {
    el,
    showLive(live) {
      if (typeof live?.html === 'string') {
        el.classList.remove('is-plain');
        showHtml(live.html);
        showTail(live.text.slice(live.htmlChars));
      } else {
        shownHtml = null;
        el.classList.add('is-plain');
        growText(el, live?.text ?? '');
      }
    },
    showFinal(message) {
      el.classList.toggle('is-plain', !message.html);
      if (message.html) {
        showHtml(message.html);
        showTail('');
      } else {
        shownHtml = null;
        setText(el, message.content ?? '');
      }
    },
  };
}

/** Shows a text that grows at its end without touching what is there, so that a selection in it stays. */
function growText(el, text) {
  const node = el.firstChild;
  if (el.childNodes.length === 1 && node.nodeType === Node.TEXT_NODE && text.startsWith(node.data)) {
    if (text.length > node.data.length) node.appendData(text.slice(node.data.length));
  } else setText(el, text);
}
