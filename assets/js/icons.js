/** The icons, drawn as SVG elements: 24 × 24, one stroke, no markup strings. */

const NS = 'http://www.w3.org/2000/svg';

const PATHS = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h10',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  chat: 'M20 11.5a7.5 7.5 0 0 1-11 6.6L4 19.5l1.4-4.6A7.5 7.5 0 1 1 20 11.5z',
  workers:
    'M12 3l4 2.3v4.6l-4 2.3-4-2.3V5.3zM7.5 12.8l4 2.3v4.3l-4 2.3-4-2.3v-4.3zM16.5 12.8l4 2.3v4.3l-4 2.3-4-2.3v-4.3z',
  executions: 'M4 6h2M4 12h2M4 18h2M10 6h10M10 12h10M10 18h7',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  moon: 'M20 14.2A8.2 8.2 0 0 1 9.8 4a8.2 8.2 0 1 0 10.2 10.2z',
  system: 'M4 5h16v11H4zM9 20h6M12 16v4',
  send: 'M12 19V5.5M6 11l6-6 6 6',
  attach: 'M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.5a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  retry: 'M4 5v5h5M4.6 10a8 8 0 1 1-.4 4.5',
  trash: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 11v5M14 11v5',
  pencil: 'M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM14 7l3 3',
  down: 'M6 9.5l6 6 6-6',
  right: 'M9.5 6l6 6-6 6',
  left: 'M14.5 6l-6 6 6 6',
  arrowDown: 'M12 5v14M6 13l6 6 6-6',
  download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
  wrap: 'M4 6h16M4 12h13a3.3 3.3 0 0 1 0 6.5h-4M15.5 15.5l-3 3 3 3M4 18h4',
  pause: 'M8.5 5v14M15.5 5v14',
  play: 'M7.5 5l11 7-11 7z',
  tool: 'M14.5 6.5a4 4 0 0 1 5-1l-3 3 .8 2.2 2.2.8 1.5-3a4 4 0 0 1-5.5 5l-7 7a2 2 0 0 1-3-3l7-7a4 4 0 0 1 2-4z',
  terminal: 'M4 5h16v14H4zM7.5 9.5l2.5 2.5-2.5 2.5M12.5 15h4',
  file: 'M6 3.5h8l4.5 4.5v12.5H6zM14 3.5V8h4.5',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5l5 5',
  globe: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM3.5 12h17M12 3.5c5 5 5 12 0 17M12 3.5c-5 5-5 12 0 17',
  thought: 'M12 4a6 6 0 0 0-3.5 10.9V17h7v-2.1A6 6 0 0 0 12 4zM9.5 20h5',
  alert: 'M12 4l9 16H3zM12 10v4.5M12 17.2v.3',
  info: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5.5M12 7.7v.3',
  keyboard: 'M3 6.5h18v11H3zM6.5 10v.3M10 10v.3M13.5 10v.3M17 10v.3M8 14h8',
  key: 'M8 11.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12.5l8.5-8.5M16 7.5l3 3',
  logout: 'M14 4.5H5v15h9M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5',
  up: 'M6 14.5l6-6 6 6',
  toStart: 'M12 20V8M6 13l6-6 6 6M5 4h14',
  bell: 'M12 3.5a5.5 5.5 0 0 0-5.5 5.5c0 5-2 6.5-2 6.5h15s-2-1.5-2-6.5A5.5 5.5 0 0 0 12 3.5zM10 19a2.2 2.2 0 0 0 4 0',
  pin: 'M9 4h6l-.8 6.2 3.3 3.3h-11l3.3-3.3zM12 13.5V21',
  archive: 'M4 5h16v4H4zM5.5 9v10.5h13V9M10 13h4',
  tag: 'M4 4.5h7l9 9-7 7-9-9zM8 8.5v.3',
  unread: 'M4 6h16v12H4zM4 7l8 6 8-6',
  tasks: 'M5 4.5h14v16H5zM5 9h14M9 3v3M15 3v3M12 12v3l2 1.3',
  memory: 'M7 3.5h10a1.5 1.5 0 0 1 1.5 1.5v15.5L12 16.5l-6.5 4V5A1.5 1.5 0 0 1 7 3.5z',
  settings: 'M4 7h8M16 7h4M14 5a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM4 17h4M12 17h8M10 15a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  phone:
    'M8 3.5h8A1.5 1.5 0 0 1 17.5 5v14a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 19V5A1.5 1.5 0 0 1 8 3.5zM11 17.5h2',
  disk: 'M12 4c4.5 0 8 1.3 8 3v10c0 1.7-3.5 3-8 3s-8-1.3-8-3V7c0-1.7 3.5-3 8-3zM4 7c0 1.7 3.5 3 8 3s8-1.3 8-3M4 12c0 1.7 3.5 3 8 3s8-1.3 8-3',
  gauge: 'M4.5 17a8.5 8.5 0 1 1 15 0M12 14l4-5',
  chart: 'M4 20h16M7 16.5v-5M12 16.5v-10M17 16.5v-7',
  clock: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2',
  folder: 'M3.5 6h6l2 2.5h9V19h-17z',
  shield: 'M12 3.5l7.5 2.5v6c0 4.5-3.2 7.5-7.5 9-4.3-1.5-7.5-4.5-7.5-9V6z',
};

const SOLID = {
  stop: 'M8 6h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2z',
  dots: 'M5 10.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM12 10.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM19 10.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z',
};

/** The skep: five coils of straw with an arched door. Also favicon.svg. */
const SKEP =
  'M14.3 2.5h3.4a2.3 2.3 0 0 1 0 4.6h-3.4a2.3 2.3 0 0 1 0-4.6zM10 8h12a2.45 2.45 0 0 1 0 4.9H10A2.45 2.45 0 0 1 10 8zM7.45 13.8h17.1a2.45 2.45 0 0 1 0 4.9H7.45a2.45 2.45 0 0 1 0-4.9zM5.6 19.6h20.8a2.45 2.45 0 0 1 0 4.9h-6.6a3.8 3.8 0 0 0-7.6 0H5.6a2.45 2.45 0 0 1 0-4.9zM4.7 25.4h7.5v4.9H4.7a2.45 2.45 0 0 1 0-4.9zM19.8 25.4h7.5a2.45 2.45 0 0 1 0 4.9h-7.5z';

function svg(viewBox, className) {
  const el = document.createElementNS(NS, 'svg');
  el.setAttribute('viewBox', viewBox);
  el.setAttribute('class', className);
  el.setAttribute('aria-hidden', 'true');
  el.setAttribute('focusable', 'false');
  return el;
}

function path(d) {
  const el = document.createElementNS(NS, 'path');
  el.setAttribute('d', d);
  return el;
}

/**
 * A decorative icon; the control it sits in carries the name.
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const solid = SOLID[name];
  const el = svg('0 0 24 24', solid ? 'icon icon-solid' : 'icon');
  el.append(path(solid ?? PATHS[name] ?? PATHS.info));
  return el;
}

/** The mark of the product. @returns {SVGElement} */
export function skepMark() {
  const el = svg('0 0 32 32', 'skep-mark');
  el.append(path(SKEP));
  return el;
}
