/** Settings: one section at a time, each with an address of its own. */
import { h, replace } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { pageHead } from '../components/page-head.js';
import { enginesSection } from './settings/engines.js';
import { lookSection } from './settings/look.js';
import { accountSection } from './settings/account.js';
import { keysSection } from './settings/keys.js';
import { devicesSection } from './settings/devices.js';
import { storageSection } from './settings/storage.js';
import { backupSection } from './settings/backup.js';
import { limitsSection } from './settings/limits.js';
import { aboutSection } from './settings/about.js';

const SECTIONS = {
  engines: { glyph: 'terminal', make: enginesSection },
  look: { glyph: 'moon', make: lookSection },
  account: { glyph: 'key', make: accountSection },
  devices: { glyph: 'phone', make: devicesSection },
  keys: { glyph: 'tool', make: keysSection },
  storage: { glyph: 'disk', make: storageSection },
  backup: { glyph: 'download', make: backupSection },
  limits: { glyph: 'gauge', make: limitsSection },
  about: { glyph: 'info', make: aboutSection },
};

/** @param {{section?: string}} params */
export function settingsPage(params) {
  let name = null;
  let shown = null;
  const head = pageHead(t('settings.title'));
  const links = Object.entries(SECTIONS).map(([id, { glyph }]) =>
    h(
      'a',
      { class: 'nav-item settings-link', href: `/settings/${id}`, data: { route: '', section: id } },
      icon(glyph),
      h('span', null, t(`settings.${id}`)),
    ),
  );
  const place = h('div', { class: 'settings-place' });
  const el = h(
    'main',
    { class: 'page', id: 'main', tabindex: -1 },
    head.el,
    h(
      'div',
      { class: 'page-body settings' },
      h('nav', { class: 'settings-nav', aria: { label: t('settings.sections') } }, links),
      place,
    ),
  );

  function show(wanted) {
    const next = wanted in SECTIONS ? wanted : 'engines';
    if (next === name) return;
    name = next;
    shown?.destroy?.();
    shown = SECTIONS[name].make();
    replace(place, shown.el);
    for (const link of links) {
      if (link.dataset.section === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    const current = links.find((link) => link.dataset.section === name);
    requestAnimationFrame(() => current.scrollIntoView({ block: 'nearest', inline: 'center' }));
  }
  show(params.section);
  return {
    el,
    title: () => `${t(`settings.${name}`)} · ${t('settings.title')}`,
    update(p) {
      show(p.section);
      el.scrollTop = 0;
      return true;
    },
    destroy: () => shown?.destroy?.(),
  };
}
