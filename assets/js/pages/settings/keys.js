/** API keys for scripts: made once, shown once, revoked at any time. */
import { h, uid } from '../../dom.js';
import { t } from '../../strings.js';
import { icon } from '../../icons.js';
import * as api from '../../api.js';
import { BASE } from '../../base.js';
import { now } from '../../clock.js';
import { fullTime, startedAgo, until } from '../../format.js';
import { randomKey } from '../../store.js';
import { confirmDialog, formDialog, openDialog } from '../../components/dialog.js';
import { field, select, showFieldErrors } from '../../components/field.js';
import { toast } from '../../components/toast.js';
import { fetched, snippet } from './parts.js';

const SCOPES = ['read', 'chat', 'admin'];
const DAY_MS = 86_400_000;
const LIFETIMES_DAYS = [30, 90, 365, 0];

export function keysSection() {
  const create = () => createDialog(() => list.reload());
  const button = () =>
    h('button', { class: 'button primary', type: 'button', on: { click: create } }, icon('plus'), t('settings.newKey'));
  const list = fetched(
    () => api.get('/api/tokens'),
    (keys) => [
      h('div', { class: 'section-intro' }, h('p', { class: 'muted' }, t('settings.keysLead')), button()),
      keys.length === 0
        ? h('p', { class: 'card block muted' }, t('settings.noKeys'))
        : h(
            'ul',
            { class: 'card key-list' },
            keys.map((key) => keyRow(key, list.reload)),
          ),
    ],
  );
  return { el: list.el };
}

function keyRow(key, reload) {
  const isOver = key.expires_at !== null && key.expires_at <= now();
  const revoke = () =>
    confirmDialog({
      title: t('settings.revokeTitle', { name: key.name }),
      text: h('p', null, t('settings.revokeText')),
      action: t('settings.revoke'),
      async run() {
        await api.del(`/api/tokens/${encodeURIComponent(key.id)}`);
        toast(t('settings.revoked', { name: key.name }), { kind: 'ok' });
        reload();
      },
    });
  return h(
    'li',
    { class: 'key-row' },
    h(
      'div',
      { class: 'key-text' },
      h('h3', { class: 'memory-key' }, key.name),
      h('p', { class: 'small' }, key.scopes.map((scope) => t(`settings.scope.${scope}`)).join(', ')),
      h(
        'p',
        { class: 'small muted', title: key.expires_at ? fullTime(key.expires_at) : null },
        [
          key.last_used_at ? t('settings.lastUsed', { when: startedAgo(key.last_used_at) }) : t('settings.neverUsed'),
          isOver
            ? t('settings.expired')
            : key.expires_at
              ? t('settings.expires', { when: until(key.expires_at) })
              : t('settings.neverExpires'),
        ].join(' · '),
      ),
    ),
    h(
      'button',
      {
        class: 'button small',
        type: 'button',
        aria: { label: t('settings.revokeTitle', { name: key.name }) },
        on: { click: revoke },
      },
      t('settings.revoke'),
    ),
  );
}

function createDialog(onMade) {
  const name = field({
    label: t('settings.keyName'),
    name: 'name',
    hint: t('settings.keyNameHint'),
    attrs: { maxlength: 100, autocomplete: 'off', data: { autofocus: '' } },
  });
  const group = uid('scope');
  const scopes = h(
    'fieldset',
    { class: 'choices' },
    h('legend', null, t('settings.keyScope')),
    SCOPES.map((scope, i) =>
      h(
        'label',
        { class: 'check' },
        h('input', { type: 'radio', name: group, value: scope, checked: i === 0 }),
        h(
          'span',
          null,
          t(`settings.scope.${scope}`),
          h('span', { class: 'field-hint' }, t(`settings.scope.${scope}Hint`)),
        ),
      ),
    ),
  );
  const lifetime = field({
    label: t('settings.keyLifetime'),
    name: 'expires_at',
    control: select(
      LIFETIMES_DAYS.map((days) => ({
        value: String(days),
        label: days ? t('settings.days', { n: days }) : t('settings.noEnd'),
      })),
      '90',
    ),
  });
  let made = null;
  const dialog = formDialog({
    title: t('settings.newKey'),
    body: [name.el, scopes, lifetime.el],
    submit: t('settings.createKey'),
    async onSubmit() {
      if (!name.input.value.trim()) {
        name.setError(t('settings.keyNameMissing'));
        name.input.focus();
        return false;
      }
      const days = Number(lifetime.input.value);
      const body = {
        name: name.input.value.trim(),
        scopes: [scopes.querySelector('input:checked').value],
        expires_at: days ? now() + days * DAY_MS : null,
      };
      try {
        made = await api.postOnce('/api/tokens', body, randomKey());
      } catch (error) {
        if (showFieldErrors(error, { name, expires_at: lifetime })) return false;
        throw error;
      }
    },
  });
  dialog.closed.then(() => {
    if (!made) return;
    onMade();
    showKey(made);
  });
}

/** The key itself, this once. */
function showKey(key) {
  const done = h(
    'button',
    { class: 'button primary', type: 'button', on: { click: () => dialog.close() } },
    t('settings.keyKept'),
  );
  const example = `curl -H "Authorization: Bearer ${key.token}" ${location.origin}${BASE}/api/workers`;
  const dialog = openDialog({
    title: t('settings.keyMade', { name: key.name }),
    wide: true,
    body: h(
      'div',
      { class: 'form' },
      h('p', { class: 'notice' }, t('settings.keyOnce')),
      snippet(key.token),
      h('p', { class: 'muted' }, t('settings.keyExample')),
      snippet(example),
    ),
    actions: [done],
  });
}
