/** The text of a reply: rendered by the server, and what follows its last rendering as it is. Nothing that stays is touched. */
import { growText, h, setRendered, setText } from '../dom.js';
import { decorateCode } from './copy.js';

/** Blocks in which a text that has no rendering yet goes on in the same line. */
const FLOWING = new Set(['P', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6']);

/** @returns {{el: HTMLElement, showLive: (live: object|undefined) => void, showFinal: (message: object) => void}} */
export function rendered() {
  const el = h('div', { class: 'reply-text' });
  const tail = h('span', { class: 'reply-tail' });
  let shownHtml = null;
  let shownEnds = [];

  /** Makes the blocks equal to `html`, from the first that differs on: selections above it and scrolled code stay. */
  function showHtml(html) {
    if (html === shownHtml) return;
    tail.remove();
    const ends = blockEnds(html);
    let kept = 0;
    if (shownHtml === null || el.children.length !== shownEnds.length) el.replaceChildren();
    else {
      const same = commonPrefix(shownHtml, html);
      while (kept < ends.length && ends[kept] === shownEnds[kept] && ends[kept] <= same) kept += 1;
      const last = kept > 0 ? el.children[kept - 1] : null;
      while (el.lastChild !== last) el.lastChild.remove();
    }
    [shownHtml, shownEnds] = [html, ends];
    const next = h('div');
    setRendered(next, html.slice(kept > 0 ? ends[kept - 1] : 0));
    decorateCode(next);
    el.append(...next.childNodes);
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

const VOID = new Set(['area', 'br', 'col', 'hr', 'img', 'input', 'wbr']);

/** Where each block of what the server rendered ends: it is well formed, so counting tags is enough. */
function blockEnds(html) {
  const ends = [];
  let depth = 0;
  for (const tag of html.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:"[^"]*"|[^">])*>/g)) {
    if (tag[1]) depth -= 1;
    else if (!VOID.has(tag[2])) depth += 1;
    if (depth === 0) ends.push(tag.index + tag[0].length);
  }
  return ends;
}

function commonPrefix(a, b) {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a.charCodeAt(n) === b.charCodeAt(n)) n += 1;
  return n;
}
