/** What uses the disk, what is kept for how long, and removing the rest. */
import { h, replace } from '../../dom.js';
import { t } from '../../strings.js';
import * as api from '../../api.js';
import { bytes, count, dayName, duration } from '../../format.js';
import { actionButton, confirmDialog } from '../../components/dialog.js';
import { toast } from '../../components/toast.js';
import { shareBar } from '../../components/chart.js';
import { actions, block, fetched, snippet } from './parts.js';

const PARTS = ['workers', 'uploads', 'logs', 'journal', 'snapshots', 'hive', 'other'];
const KINDS = ['executions', 'logs', 'uploads', 'orphans'];

export function storageSection() {
  const usage = fetched(() => api.get('/api/storage'), usageBlock);
  const rules = fetched(
    () => api.get('/api/settings'),
    ({ retention }) => [retentionBlock(retention, () => usage.reload()), purgeBlock()],
  );
  return { el: h('div', { class: 'sections' }, usage.el, rules.el) };
}

function usageBlock(storage) {
  const rows = PARTS.map((name) => ({ name, label: t(`settings.disk.${name}`), value: storage[`${name}_bytes`] }));
  const total = rows.reduce((sum, row) => sum + row.value, 0);
  const used = rows.filter((row) => row.value > 0).sort((a, b) => b.value - a.value);
  return block(
    t('settings.disk'),
    t('settings.diskLead', { total: bytes(total), free: bytes(storage.free_bytes) }),
    shareBar(used, t('settings.disk')),
    h(
      'table',
      { class: 'plain-table' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          h('th', { scope: 'col' }, t('settings.disk.what')),
          h('th', { scope: 'col', class: 'number' }, t('settings.disk.size')),
        ),
      ),
      h(
        'tbody',
        null,
        used.map((row, i) =>
          h(
            'tr',
            null,
            h(
              'th',
              { scope: 'row' },
              h('span', { class: `swatch series-${i % 6}`, aria: { hidden: 'true' } }),
              row.label,
            ),
            h('td', { class: 'number' }, bytes(row.value)),
          ),
        ),
      ),
    ),
    h(
      'p',
      { class: 'field-hint' },
      [
        storage.age_ms < 1000 ? t('settings.disk.now') : t('settings.disk.age', { age: duration(storage.age_ms) }),
        !storage.complete && t('settings.disk.partial'),
      ]
        .filter(Boolean)
        .join(' '),
    ),
  );
}

/** What the settings remove, in words. */
function ruleWords(retention) {
  const words = [];
  for (const name of ['executions', 'logs', 'uploads']) {
    const age = retention[`${name}_age`];
    const size = retention[`${name}_bytes`];
    if (age) words.push(t(`settings.keep.${name}Age`, { age: ageWords(age) }));
    if (size) words.push(t(`settings.keep.${name}Bytes`, { size: bytes(size) }));
  }
  return words;
}

const ageWords = (age) => t(`settings.age.${age.slice(-1)}`, { n: Number(age.slice(0, -1)) });

function retentionBlock(retention, onRemoved) {
  const words = ruleWords(retention);
  const found = h('div', { role: 'status' });
  const look = actionButton(
    t('settings.keep.look'),
    async () => {
      const report = await api.post('/api/retention?dry_run=true');
      replace(found, reportTable(report, onRemoved));
    },
    { kind: '' },
  );
  return block(
    t('settings.keep'),
    words.length > 0 ? t('settings.keep.lead') : t('settings.keep.none'),
    words.length > 0 &&
      h(
        'ul',
        { class: 'bullets' },
        words.map((word) => h('li', null, word)),
      ),
    words.length === 0 && snippet('[retention]\nexecutions_age = "90d"\nlogs_bytes = 5000000000\nuploads_age = "365d"'),
    words.length > 0 && actions(look),
    found,
  );
}

function reportTable(report, onRemoved) {
  const rows = KINDS.filter((kind) => report[kind].count > 0);
  if (rows.length === 0) return h('p', { class: 'muted' }, t('settings.keep.nothing'));
  const size = rows.reduce((sum, kind) => sum + report[kind].bytes, 0);
  const place = h('div', null);
  replace(
    place,
    h(
      'table',
      { class: 'plain-table' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ['what', 'count', 'size', 'span'].map((c) =>
            h(
              'th',
              { scope: 'col', class: { count: 'number', size: 'number', span: 'wide-only' }[c] },
              t(`settings.keep.col.${c}`),
            ),
          ),
        ),
      ),
      h(
        'tbody',
        null,
        rows.map((kind) => {
          const { count: n, bytes: size_, oldest, newest } = report[kind];
          return h(
            'tr',
            null,
            h('th', { scope: 'row' }, t(`settings.keep.${kind}`)),
            h('td', { class: 'number' }, count(n)),
            h('td', { class: 'number' }, bytes(size_)),
            h('td', null, spanOf(oldest, newest)),
          );
        }),
      ),
    ),
    actions(
      h(
        'button',
        {
          class: 'button danger',
          type: 'button',
          on: {
            click: () =>
              confirmDialog({
                title: t('settings.keep.removeTitle'),
                text: h('p', null, t('settings.keep.removeText', { size: bytes(size) })),
                action: t('settings.keep.remove'),
                async run() {
                  const done = await api.post('/api/retention');
                  const freed = KINDS.reduce((sum, kind) => sum + done[kind].bytes, 0);
                  replace(place, h('p', { class: 'muted' }, t('settings.keep.done', { size: bytes(freed) })));
                  toast(t('settings.keep.done', { size: bytes(freed) }), { kind: 'ok' });
                  onRemoved();
                },
              }),
          },
        },
        t('settings.keep.remove'),
      ),
    ),
  );
  return place;
}

function spanOf(oldest, newest) {
  if (!oldest) return t('common.none');
  const [from, to] = [dayName(oldest), dayName(newest)];
  return from === to ? from : t('settings.keep.span', { from, to });
}

function purgeBlock() {
  const purge = () =>
    confirmDialog({
      title: t('settings.purge'),
      text: h('p', null, t('settings.purgeText')),
      action: t('settings.purgeAction'),
      async run() {
        await api.post('/api/purge');
        toast(t('settings.purged'), { kind: 'ok' });
      },
    });
  return block(
    t('settings.purge'),
    t('settings.purgeLead'),
    actions(h('button', { class: 'button', type: 'button', on: { click: purge } }, t('settings.purgeAction'))),
  );
}
