/** Usage: what executions came to, by day, by worker, by model; each chart beside the table that it is drawn from. */
import { h, replace, slot } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { now } from '../clock.js';
import { compact, count, duration, money } from '../format.js';
import { isFinal, on, workerName } from '../store.js';
import { columnChart, rowBar } from '../components/chart.js';
import { choices } from '../components/choices.js';
import { pageHead } from '../components/page-head.js';
import { emptyState, loadFailed } from '../components/status.js';
import { toastError } from '../components/toast.js';
import { avatar } from '../components/avatar.js';

const DAY_MS = 86_400_000;
const PERIODS_DAYS = [7, 30, 90];
const REFRESH_AFTER_MS = 1000;

const MEASURES = {
  executions: { of: (row) => row.executions, words: count },
  tokens: { of: (row) => row.input_tokens + row.output_tokens, words: count },
  cost: { of: (row) => row.cost_usd, words: money },
  time: { of: (row) => row.run_ms, words: duration },
};

const dayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const dayWords = (day) => dayFormat.format(Date.parse(`${day}T00:00:00Z`));
const dayOf = (ms) => new Date(ms).toISOString().slice(0, 10);

/** @returns {object} a page */
export function usagePage() {
  let period = 30;
  let measure = 'executions';
  let loaded = null;
  const head = pageHead(t('usage.title'));
  const body = h('div', { class: 'page-body' });
  const el = h('main', { class: 'page', id: 'main', tabindex: -1 }, head.el, body);
  const sums = h('div', { class: 'sum-grid' });
  const charts = h('div', { class: 'sections' });
  const controls = h(
    'div',
    { class: 'usage-controls' },
    choices({
      label: t('usage.period'),
      hideLabel: true,
      options: PERIODS_DAYS.map((days) => [days, t('usage.days', { n: days })]),
      chosen: period,
      onChoose(days) {
        period = days;
        load();
      },
    }),
    choices({
      label: t('usage.measure'),
      hideLabel: true,
      options: Object.keys(MEASURES).map((name) => [name, t(`usage.${name}`)]),
      chosen: measure,
      onChoose(name) {
        measure = name;
        render();
      },
    }),
  );
  replace(body, h('p', { class: 'muted', role: 'status' }, t('common.loading')));

  async function load() {
    const since = now() - (period - 1) * DAY_MS;
    try {
      const [overview, days, workers, models] = await Promise.all([
        api.get('/api/stats/overview'),
        api.get(`/api/usage?by=day&since=${since}`),
        api.get(`/api/usage?by=worker&since=${since}`),
        api.get('/api/usage?by=model'),
      ]);
      loaded = { overview, days, workers, models, period };
      render();
    } catch (error) {
      if (loaded) toastError(error);
      else replace(body, loadFailed(error, load));
    }
  }

  const fillBody = slot(body);
  const fillCharts = slot(charts);
  const fillSums = slot(sums);
  function render() {
    const { overview, days, workers, models } = loaded;
    const isEmpty = overview.usage.all.executions === 0;
    fillBody(String(isEmpty), () => (isEmpty ? emptyUsage() : [sums, controls, charts]));
    fillSums(JSON.stringify(overview.usage), () =>
      ['today', 'last_7_days', 'last_30_days', 'all'].map((name) => sumCard(t(`usage.${name}`), overview.usage[name])),
    );
    fillCharts(JSON.stringify([loaded, measure]), () => [
      dayBlock(days, loaded.period, measure),
      rowsBlock(t('usage.byWorker'), workers, measure, workerCell, t('usage.who')),
      rowsBlock(t('usage.byModel'), models, measure, modelCell, t('usage.engine'), t('usage.allTime')),
    ]);
  }

  let timer = 0;
  const refresh = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      load();
    }, REFRESH_AFTER_MS);
  };
  const offs = [
    on('gap', load),
    on('message', ({ name, data }) => {
      if (name === 'status' && isFinal(data.status)) refresh();
    }),
  ];
  load();
  return {
    el,
    title: () => t('usage.title'),
    destroy() {
      clearTimeout(timer);
      offs.forEach((off) => off());
    },
  };
}

const emptyUsage = () =>
  emptyState({
    title: t('usage.empty'),
    lead: t('usage.emptyLead'),
    glyph: 'chart',
    action: h('a', { class: 'button primary', href: '/', data: { route: '' } }, t('nav.newChat')),
  });

/** What would not fit into a card is rounded; the tables have it whole. */
const short = (n) => (n < 100_000 ? count(n) : compact(n));

/** Tokens and cost, as far as an engine says them. */
const spent = (sum) =>
  [
    sum.input_tokens + sum.output_tokens > 0 && t('usage.tokensOf', { n: short(sum.input_tokens + sum.output_tokens) }),
    sum.cost_usd > 0 && money(sum.cost_usd),
  ]
    .filter(Boolean)
    .join(' · ');

function sumCard(title, sum) {
  return h(
    'section',
    { class: 'card sum-card' },
    h('h2', null, title),
    h('p', { class: 'sum-number' }, count(sum.executions)),
    h('p', { class: 'small muted' }, t('usage.runs', { n: sum.executions, failed: sum.failed })),
    h('p', { class: 'small muted' }, spent(sum) || t('usage.noTokens')),
  );
}

const NUMBERS = ['executions', 'failed', 'tokens', 'cost', 'time'];
const numberCells = (row) =>
  [
    count(row.executions),
    count(row.failed),
    count(row.input_tokens + row.output_tokens),
    money(row.cost_usd),
    duration(row.run_ms),
  ].map((words, i) => h('td', { class: i === 1 || i === 4 ? 'number wide-only' : 'number' }, words));

const numberHeads = () =>
  NUMBERS.map((name, i) =>
    h('th', { scope: 'col', class: i === 1 || i === 4 ? 'number wide-only' : 'number' }, i === 0 ? runsHead() : t(`usage.${name}`)),
  );

/** The longest of the headings has the narrowest numbers. */
const runsHead = () => [
  h('span', { class: 'wide-word' }, t('usage.executions')),
  h('span', { class: 'narrow-word' }, t('usage.executionsShort')),
];

function dayBlock(rows, period, measure) {
  const { of, words } = MEASURES[measure];
  const byDay = new Map(rows.map((row) => [row.day, row]));
  const today = now();
  const columns = Array.from({ length: period }, (_, i) => {
    const day = dayOf(today - (period - 1 - i) * DAY_MS);
    const value = byDay.has(day) ? of(byDay.get(day)) : 0;
    return { label: dayWords(day), value, title: `${dayWords(day)}: ${words(value)}` };
  });
  const most = columns.reduce((a, b) => (b.value > a.value ? b : a));
  return h(
    'section',
    { class: 'card block' },
    h('h2', { class: 'section-title' }, t('usage.byDay')),
    h(
      'div',
      { class: 'chart-and-table' },
      columnChart(columns, {
        label: t('usage.chart', { what: t(`usage.${measure}`), n: period, most: most.title }),
        top: words(most.value),
      }),
      rows.length === 0
        ? h('p', { class: 'muted' }, t('usage.noneThen'))
        : h(
            'div',
            { class: 'usage-scroll usage-tall', tabindex: 0, role: 'region', aria: { label: t('usage.byDay') } },
            table(
              t('usage.day'),
              rows.map((row) => h('tr', null, h('th', { scope: 'row' }, dayWords(row.day)), numberCells(row))),
            ),
          ),
    ),
    h('p', { class: 'field-hint' }, t('usage.utc')),
  );
}

function table(first, rows, isWithBars = false) {
  return h(
    'table',
    { class: 'plain-table usage-table' },
    h(
      'thead',
      null,
      h('tr', null, h('th', { scope: 'col' }, first), isWithBars && h('td', { class: 'bar-cell' }), numberHeads()),
    ),
    h('tbody', null, rows),
  );
}

function rowsBlock(title, rows, measure, nameCell, first, lead = null) {
  const { of } = MEASURES[measure];
  const most = Math.max(...rows.map(of), 0);
  const sorted = [...rows].sort((a, b) => of(b) - of(a));
  return h(
    'section',
    { class: 'card block' },
    h('h2', { class: 'section-title' }, title),
    lead && h('p', { class: 'muted block-lead' }, lead),
    rows.length === 0
      ? h('p', { class: 'muted' }, t('usage.noneThen'))
      : h(
          'div',
          { class: 'usage-scroll', tabindex: 0, role: 'region', aria: { label: title } },
          table(
            first,
            sorted.map((row) =>
              h(
                'tr',
                null,
                h('th', { scope: 'row' }, nameCell(row)),
                h('td', { class: 'bar-cell' }, rowBar(most > 0 ? of(row) / most : 0)),
                numberCells(row),
              ),
            ),
            true,
          ),
        ),
  );
}

function workerCell(row) {
  const name = row.worker_id ? workerName(row.worker_id, row.worker_name) : null;
  return h('span', { class: 'usage-who' }, avatar(name, 'small'), h('span', { title: name }, name ?? t('chat.bee')));
}

const modelCell = (row) =>
  h(
    'span',
    { class: 'usage-model' },
    h('span', null, row.engine ?? t('usage.others')),
    row.model && h('span', { class: 'small muted', title: row.model }, row.model),
  );
