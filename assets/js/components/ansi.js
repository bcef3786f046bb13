/** Colours of a terminal: SGR sequences become spans with classes, everything else of the kind is left out. */
import { h } from '../dom.js';

// CSI, OSC, and the short ones.
const SEQUENCE = /\x1b(?:\[([0-9;:?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;
const LEVELS = [0, 95, 135, 175, 215, 255];

/** Of what was overwritten after a carriage return only the last stays. */
const afterReturn = (text) => text.replace(/\r+$/, '').replace(/^[^]*\r/, '');

/** The nodes of a line. @param {string} text @returns {(string | HTMLElement)[]} */
export function ansiNodes(text) {
  const line = afterReturn(text);
  if (!line.includes('\x1b')) return [line];
  const nodes = [];
  const style = { fg: null, bg: null, marks: new Set() };
  let from = 0;
  const add = (part) => {
    if (!part) return;
    const classes = classesOf(style);
    nodes.push(classes ? h('span', { class: classes }, part) : part);
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === 'm') apply(style, match[1]);
  }
  add(line.slice(from));
  return nodes;
}

const MARKS = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'strike' };
const UNMARKS = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['strike'] };

function apply(style, params) {
  const codes = (params || '0').split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) Object.assign(style, { fg: null, bg: null, marks: new Set() });
    else if (MARKS[code]) style.marks.add(MARKS[code]);
    else if (UNMARKS[code]) UNMARKS[code].forEach((mark) => style.marks.delete(mark));
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code >= 90 && code <= 97) style.fg = code - 82;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code >= 100 && code <= 107) style.bg = code - 92;
    else if (code === 39) style.fg = null;
    else if (code === 49) style.bg = null;
    else if (code === 38 || code === 48) {
      const isIndexed = codes[i + 1] === 5;
      const colour = isIndexed ? ofIndex(codes[i + 2]) : nearest(codes[i + 2], codes[i + 3], codes[i + 4]);
      style[code === 38 ? 'fg' : 'bg'] = colour;
      i += isIndexed ? 2 : 4;
    }
  }
}

/** Sixteen colours are enough to tell things apart, and each of them is readable in both themes. */
function ofIndex(index) {
  if (!(index >= 0 && index <= 255)) return null;
  if (index < 16) return index;
  if (index >= 232) return index < 238 ? 0 : index < 246 ? 8 : 7;
  const n = index - 16;
  return nearest(LEVELS[Math.floor(n / 36)], LEVELS[Math.floor(n / 6) % 6], LEVELS[n % 6]);
}

function nearest(r = 0, g = 0, b = 0) {
  const most = Math.max(r, g, b);
  const least = Math.min(r, g, b);
  if (most - least < 40) return most < 80 ? 0 : most < 180 ? 8 : 7;
  const middle = (most + least) / 2;
  return (r > middle ? 1 : 0) + (g > middle ? 2 : 0) + (b > middle ? 4 : 0) + (most > 200 ? 8 : 0);
}

function classesOf({ fg, bg, marks }) {
  const classes = [...marks].map((mark) => `ansi-${mark}`);
  if (fg !== null) classes.push(`ansi-fg-${fg % 8}`);
  if (bg !== null) classes.push(`ansi-bg-${bg % 8}`);
  return classes.join(' ');
}
