/** What concerns the person: theme, password, keys, signing out. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import * as api from '../api.js';
import { store, loadMe, emit } from '../store.js';
import { getPref, setPref, setTheme, theme, THEMES } from '../prefs.js';
import { deleteLeaving } from './chat-actions.js';
import { openDialog, formDialog } from './dialog.js';
import { field, showFieldErrors } from './field.js';
import { toast } from './toast.js';

const PASSWORD_CHARS_MIN = 8;

/** Opens the dialog that sets or changes the password. */
export function passwordDialog() {
  const isGenerated = store.me?.password_generated === true;
  const name = store.me?.username ?? 'admin';
  const user = h('input', {
    type: 'text',
    class: 'visually-hidden',
    value: name,
    autocomplete: 'username',
    tabindex: -1,
    aria: { hidden: 'true' },
    readonly: true,
  });
  const old = isGenerated
    ? null
    : field({
        label: t('password.old'),
        name: 'old_password',
        type: 'password',
        attrs: { autocomplete: 'current-password', data: { autofocus: '' } },
      });
  const fresh = field({
    label: t('password.new'),
    name: 'new_password',
    type: 'password',
    hint: t('password.hint'),
    attrs: { autocomplete: 'new-password', ...(isGenerated && { data: { autofocus: '' } }) },
  });
  const show = h('input', {
    type: 'checkbox',
    on: {
      change: () => {
        for (const f of [old, fresh]) if (f) f.input.type = show.checked ? 'text' : 'password';
      },
    },
  });
  formDialog({
    title: isGenerated ? t('password.title') : t('password.changeTitle'),
    body: [
      h('p', { class: 'muted' }, isGenerated && `${t('password.lead')} `, t('password.user', { name })),
      user,
      old?.el,
      fresh.el,
      h('label', { class: 'check' }, show, h('span', null, t('password.show'))),
    ],
    submit: t('common.save'),
    async onSubmit() {
      const newPassword = fresh.input.value;
      if ([...newPassword].length < PASSWORD_CHARS_MIN) {
        fresh.setError(t('password.short'));
        fresh.input.focus();
        return false;
      }
      try {
        const tokens = await api.post('/api/me/password', {
          new_password: newPassword,
          ...(old && { old_password: old.input.value }),
        });
        // Every sign-in made before is over, this one too; the answer is a new one.
        api.adopt(tokens);
      } catch (error) {
        if (error.code === 'invalid_credentials' && old) {
          old.setError(t('password.wrong'));
          old.input.focus();
          return false;
        }
        if (showFieldErrors(error, { new_password: fresh, ...(old && { old_password: old }) })) return false;
        throw error;
      }
      await loadMe().catch(() => {});
      toast(t('password.done'), { kind: 'ok' });
    },
  });
}

/** The three themes as a group of buttons for the account menu. */
export function themeChoice() {
  const buttons = THEMES.map((name) =>
    h(
      'button',
      {
        type: 'button',
        role: 'menuitemradio',
        tabindex: -1,
        class: 'theme-option',
        title: t(`menu.theme.${name}`),
        aria: { checked: theme() === name, label: `${t('menu.theme')}: ${t(`menu.theme.${name}`)}` },
        on: {
          click: () => {
            setTheme(name);
            buttons.forEach((b, i) => b.setAttribute('aria-checked', String(THEMES[i] === name)));
          },
        },
      },
      icon({ system: 'system', light: 'sun', dark: 'moon' }[name]),
    ),
  );
  return h(
    'div',
    { class: 'theme-choice', role: 'group', aria: { label: t('menu.theme') } },
    h('span', null, t('menu.theme')),
    h('div', { class: 'segmented' }, buttons),
  );
}

/** Signs out, here and on the server. */
export async function signOut() {
  await deleteLeaving();
  await api.logOut().catch(() => {});
  emit('signed-out');
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.platform ?? '');

/** The keyboard shortcuts. */
export const KEY_LIST = [
  ['keys.send', ['Enter']],
  ['keys.newline', ['Shift', 'Enter']],
  ['keys.stop', ['Esc']],
  ['keys.editLast', ['↑']],
  ['keys.mention', ['@']],
  ['keys.palette', [isMac ? '⌘' : 'Ctrl', 'K']],
  ['keys.newChat', [isMac ? '⌘' : 'Ctrl', 'Shift', 'O']],
  ['keys.composer', ['/']],
  ['keys.workers', ['g', 'w'], true],
  ['keys.executions', ['g', 'e'], true],
  ['keys.tasks', ['g', 't'], true],
  ['keys.memory', ['g', 'm'], true],
  ['keys.usage', ['g', 'u'], true],
  ['keys.settings', ['g', 's'], true],
  ['keys.answer', ['1–3']],
  ['keys.help', ['?']],
];

/** Opens the list of keys. */
export function keysDialog() {
  const single = h('input', {
    type: 'checkbox',
    checked: getPref('singleKeys', 'on') === 'on',
    on: { change: (e) => setPref('singleKeys', e.target.checked ? 'on' : 'off') },
  });
  openDialog({
    title: t('keys.title'),
    body: [
      h(
        'dl',
        // Not the switch at its end: a list that is longer than the page is read from its beginning.
        { class: 'keys', tabindex: -1, data: { autofocus: '' } },
        KEY_LIST.map(([label, keys, isSequence]) =>
          h(
            'div',
            null,
            h('dt', null, t(label)),
            h(
              'dd',
              null,
              keys.flatMap((key, i) => [
                i > 0 && h('span', { class: 'key-join' }, isSequence ? t('keys.then') : '+'),
                h('kbd', null, key),
              ]),
            ),
          ),
        ),
      ),
      h('label', { class: 'check' }, single, h('span', null, t('keys.single'), ' (/ ? g 1–3)')),
    ],
  });
}
