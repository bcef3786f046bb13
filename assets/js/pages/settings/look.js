/** Theme, language, keyboard: how the console looks and listens, in this browser. */
import { h } from '../../dom.js';
import { t, LANGUAGES } from '../../strings.js';
import { icon } from '../../icons.js';
import { getPref, setPref, setTheme, theme, THEMES } from '../../prefs.js';
import { keysDialog } from '../../components/account.js';
import { choices } from '../../components/choices.js';
import { actions, block } from './parts.js';

const GLYPHS = { system: 'system', light: 'sun', dark: 'moon' };

export function lookSection() {
  const themes = choices({
    label: t('menu.theme'),
    hideLabel: true,
    options: THEMES.map((name) => [name, t(`menu.theme.${name}`), icon(GLYPHS[name])]),
    chosen: theme(),
    onChoose: setTheme,
  });
  const languages = h(
    'select',
    {
      class: 'input select',
      name: 'language',
      aria: { label: t('menu.language') },
      on: {
        change: (e) => {
          setPref('language', e.target.value);
          location.reload();
        },
      },
    },
    Object.entries({ '': t('menu.language.auto'), ...LANGUAGES }).map(([value, name]) =>
      h('option', { value, lang: value || null, selected: getPref('language', '') === value }, name),
    ),
  );
  const single = h('input', {
    type: 'checkbox',
    checked: getPref('singleKeys', 'on') === 'on',
    on: { change: (e) => setPref('singleKeys', e.target.checked ? 'on' : 'off') },
  });
  return {
    el: h(
      'div',
      { class: 'sections' },
      block(t('menu.theme'), t('settings.themeLead'), themes),
      block(t('menu.language'), t('settings.languageLead'), languages),
      block(
        t('keys.title'),
        null,
        h('label', { class: 'check' }, single, h('span', null, t('keys.single'), ' (/ ? g)')),
        actions(h('button', { class: 'button', type: 'button', on: { click: keysDialog } }, t('settings.showKeys'))),
      ),
    ),
  };
}
