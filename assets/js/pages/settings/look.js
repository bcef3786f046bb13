/** Theme, language, keyboard: how the console looks and listens, in this browser. */
import { h, uid } from '../../dom.js';
import { t, LANGUAGES } from '../../strings.js';
import { icon } from '../../icons.js';
import { getPref, setPref, setTheme, theme, THEMES } from '../../prefs.js';
import { keysDialog } from '../../components/account.js';
import { actions, block } from './parts.js';

export function lookSection() {
  const group = uid('theme');
  const themes = h(
    'fieldset',
    { class: 'choices' },
    h('legend', { class: 'visually-hidden' }, t('menu.theme')),
    h(
      'div',
      { class: 'choice-row' },
      THEMES.map((name) =>
        h(
          'label',
          { class: 'choice' },
          h('input', {
            type: 'radio',
            name: group,
            value: name,
            checked: theme() === name,
            on: { change: () => setTheme(name) },
          }),
          h('span', null, icon({ system: 'system', light: 'sun', dark: 'moon' }[name]), t(`menu.theme.${name}`)),
        ),
      ),
    ),
  );
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
