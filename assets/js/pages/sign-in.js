/** Sign-in: a password form, and what to do when a link no longer works. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { skepMark } from '../icons.js';
import { logIn, ApiError } from '../api.js';
import { field } from '../components/field.js';
import { actionButton } from '../components/dialog.js';
import { describe } from '../components/toast.js';

/**
 * @param {{notice?: string|null, onSignedIn: () => void}} options
 * @returns {{el: HTMLElement, focus: () => void}}
 */
export function signInPage({ notice, onSignedIn }) {
  const user = field({
    label: t('signin.user'),
    name: 'username',
    value: 'admin',
    attrs: { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' },
  });
  const password = field({
    label: t('signin.password'),
    name: 'password',
    type: 'password',
    attrs: { autocomplete: 'current-password' },
  });
  const noticeEl = h('div', { class: 'notice', role: 'alert', hidden: !notice }, notice);

  const submit = actionButton(
    t('signin.submit'),
    async () => {
      if (!user.input.value.trim()) {
        user.setError(t('signin.userMissing'));
        user.input.focus();
        return;
      }
      if (!password.input.value) {
        password.setError(t('signin.passwordMissing'));
        password.input.focus();
        return;
      }
      try {
        await logIn(user.input.value.trim(), password.input.value);
      } catch (error) {
        password.setError(signInError(error));
        password.input.select();
        password.input.focus();
        return;
      }
      onSignedIn();
    },
    { type: 'submit' },
  );
  submit.classList.add('wide');

  const form = h(
    'form',
    {
      class: 'form',
      novalidate: true,
      on: {
        submit: (e) => {
          e.preventDefault();
          submit.run();
        },
      },
    },
    user.el,
    password.el,
    submit,
  );
  const el = h(
    'main',
    { class: 'signin', id: 'main' },
    h(
      'div',
      { class: 'signin-card' },
      h('div', { class: 'signin-mark' }, skepMark()),
      h('h1', null, t('signin.title')),
      h('p', { class: 'muted' }, t('signin.lead')),
      noticeEl,
      form,
      h(
        'details',
        { class: 'signin-help', open: Boolean(notice) },
        h('summary', null, t('signin.help')),
        h(
          'ul',
          null,
          h('li', null, t('signin.help.link')),
          h('li', null, t('signin.help.passwd.before'), h('code', null, 'skep passwd'), t('signin.help.passwd.after')),
        ),
      ),
    ),
  );
  return { el, focus: () => password.input.focus() };
}

function signInError(error) {
  if (error instanceof ApiError && error.code === 'invalid_credentials') return t('signin.wrong');
  if (error instanceof ApiError && error.status === 429) return t('signin.throttled', { n: error.retryAfter ?? 60 });
  const { text, small } = describe(error);
  return [text, small].filter(Boolean).join(' · ');
}
