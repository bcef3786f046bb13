/** The bar at the top of a page: menu button on narrow screens, title, actions. */
import { h, replace, setText } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { emit } from '../store.js';

/** @returns {{el: HTMLElement, setTitle: (text: string) => void, setActions: (...nodes: Node[]) => void}} */
export function pageHead(title = '') {
  const heading = h('h1', { class: 'page-title' }, title);
  const actions = h('div', { class: 'page-actions' });
  const menu = h(
    'button',
    {
      class: 'icon-button menu-button',
      type: 'button',
      aria: { label: t('nav.open'), controls: 'sidebar' },
      on: { click: () => emit('open-menu') },
    },
    icon('menu'),
  );
  return {
    el: h('header', { class: 'page-head' }, menu, heading, actions),
    setTitle: (text) => setText(heading, text),
    setActions: (...nodes) => replace(actions, nodes),
  };
}
