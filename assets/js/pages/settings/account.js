/** The password, and the way out. */
import { h } from '../../dom.js';
import { t } from '../../strings.js';
import { icon } from '../../icons.js';
import { on, store } from '../../store.js';
import { passwordDialog, signOut } from '../../components/account.js';
import { actions, block } from './parts.js';

export function accountSection() {
  const password = h('button', { class: 'button', type: 'button', on: { click: passwordDialog } });
  const about = h('p', { class: 'muted block-lead' });
  const render = () => {
    const isGenerated = store.me?.password_generated === true;
    password.textContent = isGenerated ? t('password.offerAction') : t('menu.password');
    about.textContent = isGenerated
      ? t('settings.passwordGenerated')
      : t('password.user', { name: store.me?.username ?? 'admin' });
  };
  render();
  return {
    el: h(
      'div',
      { class: 'sections' },
      block(t('settings.password'), null, about, actions(password)),
      block(
        t('menu.signOut'),
        t('settings.signOutLead'),
        actions(
          h('button', { class: 'button', type: 'button', on: { click: signOut } }, icon('logout'), t('menu.signOut')),
        ),
      ),
    ),
    destroy: on('me', render),
  };
}
