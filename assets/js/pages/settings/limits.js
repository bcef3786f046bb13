/** What this installation keeps to: its tier, and the limits of the settings. */
import { h } from '../../dom.js';
import { t } from '../../strings.js';
import * as api from '../../api.js';
import { bytes, count, duration } from '../../format.js';
import { block, facts, fetched, snippet } from './parts.js';

export function limitsSection() {
  const list = fetched(
    () => api.get('/api/settings'),
    (settings) => [tierBlock(settings.tier), runsBlock(settings)],
  );
  return { el: list.el };
}

function tierBlock({ name, resources, features }) {
  return block(
    t('settings.tier', { name }),
    t('settings.tierLead'),
    h(
      'table',
      { class: 'plain-table' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ['what', 'current', 'limit'].map((c) =>
            h('th', { scope: 'col', class: c === 'what' ? null : 'number' }, t(`settings.tier.${c}`)),
          ),
        ),
      ),
      h(
        'tbody',
        null,
        resources.map(({ name: resource, current, limit }) =>
          h(
            'tr',
            null,
            h('th', { scope: 'row' }, t(`settings.tier.${resource}`)),
            h('td', { class: 'number' }, count(current)),
            h(
              'td',
              { class: limit !== null && current >= limit ? 'number danger-text' : 'number' },
              limit === null ? t('settings.tier.any') : count(limit),
            ),
          ),
        ),
      ),
    ),
    features &&
      h('p', { class: 'muted' }, t('settings.tier.features', { list: features.join(', ') || t('common.none') })),
  );
}

function runsBlock(settings) {
  return block(
    t('settings.runs'),
    t('settings.runsLead'),
    facts([
      [t('settings.runs.atOnce'), count(settings.max_concurrent_executions)],
      [t('settings.runs.timeout'), duration(settings.execution_timeout_s * 1000)],
      [t('settings.runs.log'), bytes(settings.log_bytes_max)],
      [t('settings.runs.upload'), bytes(settings.upload_bytes_max)],
      [t('settings.runs.engine'), settings.default_engine],
      [t('settings.runs.rate'), t(settings.rate_limited ? 'settings.on' : 'settings.off')],
    ]),
    snippet(`${settings.data_dir}/skep.toml`),
  );
}
