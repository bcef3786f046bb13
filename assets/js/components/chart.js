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

const HEIGHT = 160;
/** The part of a column's place that it fills. */
const FILLED = 0.72;

/**
 * Columns over time, the same width each. What each is, its title says; the axis is words below.
 * @param {{label: string, value: number, title: string}[]} columns the first first
 * @param {{label: string, top: string}} options `top`: the largest value, in words
 */
export function columnChart(columns, { label, top }) {
  const most = Math.max(...columns.map(({ value }) => value), 0);
  const place = WIDTH / Math.max(columns.length, 1);
  const bars = columns.map(({ value, title }, i) => {
    const height = most > 0 ? (value / most) * HEIGHT : 0;
    // What is there at all can be seen.
    const shown = value > 0 ? Math.max(height, 2) : 0;
    const x = i * place + (place * (1 - FILLED)) / 2;
    const name = svg('title');
    name.textContent = title;
    return svg(
      'g',
      {},
      svg('rect', { x: i * place, y: 0, width: place, height: HEIGHT, class: 'column-place' }, name),
      svg('rect', { x, y: HEIGHT - shown, width: place * FILLED, height: shown, class: 'series-0 column' }),
    );
  });
  const shownLabels = columns.length < 3 ? columns : [columns[0], columns[columns.length >> 1], columns.at(-1)];
  return h(
    'figure',
    { class: 'column-chart' },
    h('div', { class: 'chart-top small muted', aria: { hidden: 'true' } }, most > 0 ? top : ''),
    h(
      'div',
      { role: 'img', aria: { label } },
      svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...bars),
    ),
    h(
      'div',
      { class: 'chart-labels small muted', aria: { hidden: 'true' } },
      shownLabels.map((column) => h('span', null, column.label)),
    ),
  );
}

/** A bar beside the number that it shows. @param {number} share 0 to 1 */
export function rowBar(share) {
  return svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: 'none', 'aria-hidden': 'true', class: 'row-bar' },
    svg('rect', { x: 0, y: 0, width: WIDTH, height: 10, class: 'column-place' }),
    svg('rect', { x: 0, y: 0, width: share > 0 ? Math.max(share * WIDTH, 6) : 0, height: 10, class: 'series-0' }),
  );
}
