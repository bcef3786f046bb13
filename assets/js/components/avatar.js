/** Faces: a hexagon with a letter for a worker, the skep for the bee. */
import { h } from '../dom.js';
import { skepMark } from '../icons.js';

const HUES = 8;

function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193) >>> 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}

/**
 * @param {string|null} name null is the bee
 * @param {'small'|'normal'|'large'} [size]
 */
export function avatar(name, size = 'normal') {
  if (!name) return h('span', { class: `avatar avatar-bee avatar-${size}`, aria: { hidden: 'true' } }, skepMark());
  return h(
    'span',
    { class: `avatar avatar-${size} hue-${hueOf(name)}`, aria: { hidden: 'true' } },
    h('span', { class: 'avatar-letter' }, [...name.trim()][0]?.toUpperCase() ?? '?'),
  );
}
