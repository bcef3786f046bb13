/** Schedules that have words, as cron expressions and back. Pure functions; what is due when, the server works out. */
import { t, locale } from './strings.js';

/** What the helper offers, in its order; `custom` is any other expression. */
export const REPEATS = ['minutes', 'hour', 'day', 'weekdays', 'week', 'month', 'custom'];

/** The steps that divide an hour. */
export const MINUTE_STEPS = [5, 10, 15, 20, 30];

/**
 * What a schedule is made of; parts that its kind does not use are kept, so that changing the kind loses nothing.
 * @typedef {{repeat: string, step: number, hour: number, minute: number, weekday: number, day: number}} Schedule
 */

/** @type {Schedule} */
const USUAL = { repeat: 'day', step: 15, hour: 9, minute: 0, weekday: 1, day: 1 };

/** The expression of a schedule; of a custom one there is none. @param {Schedule} s @returns {string|null} */
export function cronOf({ repeat, step, hour, minute, weekday, day }) {
  return {
    minutes: `*/${step} * * * *`,
    hour: `${minute} * * * *`,
    day: `${minute} ${hour} * * *`,
    weekdays: `${minute} ${hour} * * 1-5`,
    week: `${minute} ${hour} * * ${weekday}`,
    month: `${minute} ${hour} ${day} * *`,
    custom: null,
  }[repeat];
}

const number = (text, max) => (/^\d{1,2}$/.test(text) && Number(text) <= max ? Number(text) : null);

/** What an expression says, as far as there are words for it. @param {string} cron @returns {Schedule} */
export function scheduleOf(cron, before = USUAL) {
  const fields = cron.trim().split(/\s+/);
  const custom = { ...before, repeat: 'custom' };
  if (fields.length !== 5 || fields[3] !== '*') return custom;
  const [minutes, hours, days, , weekdays] = fields;
  const step = /^\*\/(\d{1,2})$/.exec(minutes);
  const isEveryDay = days === '*' && weekdays === '*';
  if (step && MINUTE_STEPS.includes(Number(step[1])) && hours === '*' && isEveryDay)
    return { ...before, repeat: 'minutes', step: Number(step[1]) };
  const minute = number(minutes, 59);
  if (minute === null) return custom;
  if (hours === '*' && isEveryDay) return { ...before, repeat: 'hour', minute };
  const hour = number(hours, 23);
  if (hour === null) return custom;
  const at = { ...before, hour, minute };
  if (isEveryDay) return { ...at, repeat: 'day' };
  if (days === '*' && weekdays === '1-5') return { ...at, repeat: 'weekdays' };
  const weekday = number(weekdays, 7);
  if (days === '*' && weekday !== null) return { ...at, repeat: 'week', weekday: weekday % 7 };
  const day = number(days, 31);
  if (weekdays === '*' && day) return { ...at, repeat: 'month', day };
  return custom;
}

const clock = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit', timeZone: 'UTC' });
const weekdayFormat = new Intl.DateTimeFormat(locale, { weekday: 'long', timeZone: 'UTC' });

/** `Monday`; 0 is Sunday. */
export const weekdayName = (weekday) => weekdayFormat.format(Date.UTC(1970, 0, 4 + weekday));

/** `every weekday at 09:00`; an expression without words is itself. */
export function cronWords(cron) {
  const { repeat, step, hour, minute, weekday, day } = scheduleOf(cron ?? '');
  if (repeat === 'custom') return cron ?? '';
  const time = clock.format(Date.UTC(1970, 0, 1, hour, minute));
  const vars = { n: step, minute: String(minute).padStart(2, '0'), time, weekday: weekdayName(weekday), day };
  return t(`cron.${repeat}`, vars);
}

/** The time zone of this browser. */
export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

/** Every time zone that the browser knows, and those given. */
export function timeZones(...more) {
  const known = Intl.supportedValuesOf?.('timeZone') ?? [];
  return [...new Set(['UTC', ...known, ...more.filter(Boolean)])].sort();
}
