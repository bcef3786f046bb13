/** When something is due again and again: common choices in words, the expression they stand for, the next five times. */
import { h, replace } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { cronOf, localZone, MINUTE_STEPS, REPEATS, scheduleOf, timeZones, weekdayName } from '../cron.js';
import { timeInZone } from '../format.js';
import { field, select } from './field.js';
import { describe } from './toast.js';

const PREVIEW_AFTER_MS = 200;
const DAYS = Array.from({ length: 31 }, (_, i) => i + 1);
/** As calendars show them: Monday first. */
const WEEKDAYS = [1, 2, 3, 4, 5, 6, 0];

/**
 * @param {{cron: string, zone: string|null}} options
 * @returns {{el: HTMLElement, fields: object, value: () => {cron_expr: string, timezone: string}, destroy: () => void}}
 */
export function cronField({ cron, zone }) {
  let schedule = scheduleOf(cron);
  const choices = (values, label, value) =>
    select(
      values.map((v) => ({ value: String(v), label: label(v) })),
      String(value),
    );
  const repeat = field({
    label: t('tasks.repeat'),
    name: 'repeat',
    control: choices(REPEATS, (name) => t(`tasks.repeat.${name}`), schedule.repeat),
  });
  const parts = {
    step: field({
      label: t('tasks.step'),
      name: 'step',
      control: choices(MINUTE_STEPS, (n) => t('tasks.stepMinutes', { n }), schedule.step),
    }),
    minute: field({
      label: t('tasks.minute'),
      name: 'minute',
      type: 'number',
      value: String(schedule.minute),
      attrs: { min: 0, max: 59, inputmode: 'numeric' },
    }),
    weekday: field({
      label: t('tasks.weekday'),
      name: 'weekday',
      control: choices(WEEKDAYS, weekdayName, schedule.weekday),
    }),
    day: field({ label: t('tasks.day'), name: 'day', control: choices(DAYS, String, schedule.day) }),
    time: field({
      label: t('tasks.time'),
      name: 'time',
      type: 'time',
      value: clockOf(schedule),
      attrs: { required: true },
    }),
  };
  const expression = field({
    label: t('tasks.cron'),
    name: 'cron_expr',
    value: cron,
    hint: t('tasks.cronHint'),
    attrs: { class: 'input mono', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' },
  });
  const zoneField = field({
    label: t('tasks.zone'),
    name: 'timezone',
    control: select(
      timeZones(zone, localZone()).map((name) => ({ value: name, label: name.replaceAll('_', ' ') })),
      zone ?? localZone(),
    ),
  });
  const times = h('ol', { class: 'next-times' });
  const note = h('p', { class: 'field-hint', hidden: true });
  const preview = h('div', { class: 'preview' }, h('h3', null, t('tasks.nextFive')), times, note);

  const SHOWN = {
    minutes: ['step'],
    hour: ['minute'],
    day: ['time'],
    weekdays: ['time'],
    week: ['weekday', 'time'],
    month: ['day', 'time'],
    custom: [],
  };
  function showParts() {
    for (const [name, part] of Object.entries(parts)) part.el.hidden = !SHOWN[schedule.repeat].includes(name);
  }

  /** A choice in words writes the expression. */
  function choose() {
    const [hour, minute] = parts.time.input.value.split(':').map(Number);
    const kind = repeat.input.value;
    const typed = Number(parts.minute.input.value);
    schedule = {
      repeat: kind,
      step: Number(parts.step.input.value),
      weekday: Number(parts.weekday.input.value),
      day: Number(parts.day.input.value),
      hour: Number.isInteger(hour) ? hour : schedule.hour,
      minute:
        kind === 'hour'
          ? Number.isInteger(typed) && typed >= 0 && typed < 60
            ? typed
            : 0
          : Number.isInteger(minute)
            ? minute
            : schedule.minute,
    };
    showParts();
    const written = cronOf(schedule);
    if (written !== null) expression.input.value = written;
    else expression.input.focus();
    expression.setError(null);
    look();
  }

  /** An expression that was typed chooses the words, where there are any. */
  function typed() {
    schedule = scheduleOf(expression.input.value, schedule);
    repeat.input.value = schedule.repeat;
    parts.step.input.value = String(schedule.step);
    parts.weekday.input.value = String(schedule.weekday);
    parts.day.input.value = String(schedule.day);
    if (schedule.repeat === 'hour') parts.minute.input.value = String(schedule.minute);
    else parts.time.input.value = clockOf(schedule);
    showParts();
    look();
  }

  let timer = 0;
  let asked = null;
  function look() {
    clearTimeout(timer);
    timer = setTimeout(ask, PREVIEW_AFTER_MS);
  }

  async function ask() {
    asked?.abort();
    const mine = (asked = new AbortController());
    const body = value();
    try {
      const { next_runs: runs } = await api.post('/api/tasks/preview', body, { signal: mine.signal });
      if (mine !== asked) return;
      expression.setError(null);
      zoneField.setError(null);
      const isElsewhere = body.timezone !== localZone();
      replace(
        times,
        runs.map((at) =>
          h(
            'li',
            null,
            h('time', { datetime: new Date(at).toISOString() }, timeInZone(at, body.timezone)),
            isElsewhere &&
              h('span', { class: 'muted small' }, t('tasks.yourTime', { time: timeInZone(at, localZone()) })),
          ),
        ),
      );
      note.hidden = runs.length > 0;
      note.textContent = t('tasks.never');
    } catch (error) {
      if (error.name === 'AbortError' || mine !== asked) return;
      replace(times);
      note.hidden = false;
      note.textContent = t('tasks.noPreview');
      const wrong = error.details?.errors ?? [];
      for (const { field: name, message } of wrong) (name === 'timezone' ? zoneField : expression).setError(message);
      if (wrong.length === 0) note.textContent = describe(error).text;
    }
  }

  const value = () => ({ cron_expr: expression.input.value.trim(), timezone: zoneField.input.value });

  for (const part of [repeat, ...Object.values(parts)]) part.input.addEventListener('input', choose);
  expression.input.addEventListener('input', typed);
  zoneField.input.addEventListener('input', look);
  showParts();
  ask();
  return {
    el: h(
      'div',
      { class: 'form' },
      h(
        'div',
        { class: 'form-pair' },
        repeat.el,
        parts.step.el,
        parts.minute.el,
        parts.weekday.el,
        parts.day.el,
        parts.time.el,
      ),
      h('div', { class: 'form-pair' }, expression.el, zoneField.el),
      preview,
    ),
    fields: { cron_expr: expression, timezone: zoneField },
    value,
    destroy() {
      clearTimeout(timer);
      asked?.abort();
      asked = null;
    },
  };
}

const clockOf = ({ hour, minute }) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
