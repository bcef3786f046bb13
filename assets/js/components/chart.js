/** Charts as SVG, drawn from numbers; each stands beside a table that says the same. */
import { h } from '../dom.js';

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 1000;

/** An SVG element. */
export function svg(tag, attrs = {}, ...children) {
  const el = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attrs)) if (value !== null) el.setAttribute(name, String(value));
  el.append(...children.filter(Boolean));
  return el;
}

/**
 * One bar, parted by shares. @param {{label: string, value: number}[]} parts the largest first
 */
export function shareBar(parts, label) {
  const total = parts.reduce((sum, { value }) => sum + value, 0);
  let x = 0;
  const rects = parts.map(({ value }, i) => {
    const width = total > 0 ? (value / total) * WIDTH : 0;
    const rect = svg('rect', { x, y: 0, width, height: 12, class: `series-${i % 6}` });
    x += width;
    return rect;
  });
  return h(
    'div',
    { class: 'share-bar', role: 'img', aria: { label } },
    svg('svg', { viewBox: `0 0 ${WIDTH} 12`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...rects),
  );
}
