/** A menu that drops from a button, on the popover API; arrows move, Escape closes and gives the focus back. */
import { h } from '../dom.js';
import { icon } from '../icons.js';

const GAP_PX = 6;

/**
 * @param {HTMLElement} anchor the button
 * @param {() => (Node|{label: string, icon?: string, danger?: boolean, run: () => void})[]} itemsOf built when it opens
 */
export function attachMenu(anchor, itemsOf) {
  anchor.setAttribute('aria-haspopup', 'menu');
  anchor.setAttribute('aria-expanded', 'false');
  let menu = null;
  anchor.addEventListener('click', (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (menu) {
      menu.hidePopover();
      return;
    }
    menu = h(
      'div',
      {
        class: 'menu',
        role: 'menu',
        popover: 'auto',
        aria: { label: anchor.getAttribute('aria-label') ?? anchor.textContent },
      },
      itemsOf().map((item) =>
        item instanceof Node
          ? item
          : menuItem(item, () => {
              menu?.hidePopover();
              anchor.focus();
            }),
      ),
    );
    // Beside its button, so that it is in the same landmark and the same dialog; the top layer lifts it out.
    anchor.after(menu);
    menu.addEventListener('toggle', (e) => {
      if (e.newState !== 'closed') return;
      const hadFocus = menu.contains(document.activeElement) || document.activeElement === document.body;
      menu.remove();
      menu = null;
      anchor.setAttribute('aria-expanded', 'false');
      if (hadFocus) anchor.focus();
    });
    menu.addEventListener('keydown', (e) => moveFocus(menu, e));
    menu.showPopover();
    place(menu, anchor);
    anchor.setAttribute('aria-expanded', 'true');
    menu.querySelector('[role^=menuitem]')?.focus();
  });
}

function menuItem({ label, icon: name, danger, run }, close) {
  return h(
    'button',
    {
      class: danger ? 'menu-item danger' : 'menu-item',
      role: 'menuitem',
      type: 'button',
      tabindex: -1,
      on: {
        click: () => {
          close();
          run();
        },
      },
    },
    name && icon(name),
    h('span', null, label),
  );
}

function place(menu, anchor) {
  const a = anchor.getBoundingClientRect();
  const m = menu.getBoundingClientRect();
  const fitsBelow = a.bottom + GAP_PX + m.height <= innerHeight - 8;
  const top = fitsBelow ? a.bottom + GAP_PX : Math.max(8, a.top - GAP_PX - m.height);
  const left = a.left + m.width <= innerWidth - 8 ? a.left : a.right - m.width;
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - m.width - 8))}px`;
}

function moveFocus(menu, event) {
  const items = [...menu.querySelectorAll('[role^=menuitem]')];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === 'Tab') {
    menu.hidePopover();
    return;
  }
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length]?.focus();
}
