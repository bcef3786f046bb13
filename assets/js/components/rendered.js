/** The text of a reply: rendered by the server, and what follows its last rendering as it is. Nothing that stays is touched. */
import { growText, h, setRendered, setText } from '../dom.js';
import { decorateCode } from './copy.js';

/** Blocks in which a text that has no rendering yet goes on in the same line. */
const FLOWING = new Set(['P', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6']);

/** A line that ends a block of code. */
const CLOSING_FENCE = /^ {0,3}(?:`{3,}|~{3,})[ \t]*$/m;

/** @returns {{el: HTMLElement, showLive: (live: object|undefined) => void, showFinal: (message: object) => void}} */
export function rendered() {
  const el = h('div', { class: 'reply-text' });
  const tail = h('span', { class: 'reply-tail' });
  const codeTail = h('span', { class: 'reply-tail' });
  let openCode = null;
  let shownHtml = null;
  let shownEnds = [];

  /** Makes the blocks equal to `html`, from the first that differs on: selections above it and scrolled code stay. */
  function showHtml(html, source) {
    if (html === shownHtml) return;
    tail.remove();
    codeTail.remove();
    const ends = blockEnds(html);
    let kept = 0;
    if (shownHtml === null || el.children.length !== shownEnds.length) el.replaceChildren();
    else {
      const same = commonPrefix(shownHtml, html);
      while (kept < ends.length && ends[kept] === shownEnds[kept] && ends[kept] <= same) kept += 1;
    }
    [shownHtml, shownEnds] = [html, ends];
    const next = h('div');
    setRendered(next, html.slice(kept > 0 ? ends[kept - 1] : 0));
    const isGrown = kept < el.children.length && growCode(el.children[kept], next.firstElementChild);
    if (isGrown) next.firstElementChild.remove();
    const stays = kept + (isGrown ? 1 : 0);
    const last = stays > 0 ? el.children[stays - 1] : null;
    while (el.lastChild !== last) el.lastChild.remove();
    decorateCode(next);
    el.append(...next.childNodes);
    openCode = codeThatGoesOn(el.lastElementChild, source);
  }

  /** Code goes on where it is until its fence closes, and everything else behind it. */
  function showTail(text) {
    const closing = openCode ? text.search(CLOSING_FENCE) : 0;
    const end = closing < 0 ? text.length : closing;
    grow(codeTail, text.slice(0, end), () => openCode);
    grow(tail, text.slice(end), (rest) => {
      const last = el.lastElementChild;
      return last && FLOWING.has(last.tagName) && !rest.startsWith('\n') ? last : el;
    });
  }

  function grow(span, text, parentOf) {
    if (!text) return span.remove();
    growText(span, text);
    if (!span.parentElement) parentOf(text).append(span);
    return undefined;
  }

  return {
    el,
    showLive(live) {
      if (typeof live?.html === 'string') {
        el.classList.remove('is-plain');
        showHtml(live.html, live.text.slice(0, live.htmlChars));
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
        showHtml(message.html, '');
        showTail('');
      } else {
        shownHtml = null;
        setText(el, message.content ?? '');
      }
    },
  };
}

/** Puts what `wanted` has more of code into `shown`, a block of the same language and file; what is there already stays. */
function growCode(shown, wanted) {
  const [from, to] = [codeOf(shown), wanted?.tagName === 'PRE' && wanted.querySelector('code')];
  if (!from || !to || from.className !== to.className || from.dataset.meta !== to.dataset.meta) return false;
  let node = from.firstChild;
  while (node && to.firstChild && node.isEqualNode(to.firstChild)) {
    to.firstChild.remove();
    node = node.nextSibling;
  }
  while (node) {
    const after = node.nextSibling;
    node.remove();
    node = after;
  }
  from.append(...to.childNodes);
  return true;
}

const codeOf = (block) => (block?.classList.contains('code-block') ? block.querySelector('code') : null);

/** The code of the last block where `source`, of which it is the end, has not closed it: ready for the next character. */
function codeThatGoesOn(block, source) {
  const code = codeOf(block);
  const written = source.trimEnd();
  const isClosed = code && CLOSING_FENCE.test(written.slice(written.lastIndexOf('\n') + 1)) && code.textContent !== '';
  if (!code || isClosed || source === '') return null;
  const last = code.lastChild?.lastChild ?? code.lastChild;
  // The last line is given an end before it has one.
  if (last?.data.endsWith('\n') && !source.endsWith('\n')) last.deleteData(last.data.length - 1, 1);
  return code;
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
