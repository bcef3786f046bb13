/** Times, durations and sizes in words. Pure functions. */
import { t, locale } from './strings.js';
import { now } from './clock.js';

const clock = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const dayMonth = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const dayYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });

/** `14:05` */
export const timeOfDay = (ms) => clock.format(ms);
/** `22 Nov 2026, 14:05:11` */
export const fullTime = (ms) => (ms ? full.format(ms) : t('common.none'));

/** A key that is equal for two times on the same local day. */
export const dayKey = (ms) => new Date(ms).toDateString();

/** `Today`, `Yesterday`, a weekday, or a full date. */
export function dayName(ms) {
  const today = new Date(now());
  if (dayKey(ms) === dayKey(today.getTime())) return t('time.today');
  const yesterday = new Date(today);
  yesterday.setDate(today.getDate() - 1);
  if (dayKey(ms) === dayKey(yesterday.getTime())) return t('time.yesterday');
  return new Date(ms).getFullYear() === today.getFullYear() ? dayMonth.format(ms) : dayYear.format(ms);
}

/** `now`, `5 min`, `14:05`, `3 Nov`: short enough for a list. */
export const ago = (ms) => since(ms, 'time.minutes');

/** The same where it may be mistaken for how long something took: `5 min ago`. */
export const startedAgo = (ms) => since(ms, 'time.minutesAgo');

function since(ms, minutes) {
  const seconds = (now() - ms) / 1000;
  if (seconds < 60) return t('time.now');
  if (seconds < 3600) return t(minutes, { n: Math.floor(seconds / 60) });
  if (dayKey(ms) === dayKey(now())) return timeOfDay(ms);
  return short.format(ms);
}

/** `40 ms`, `0.4 s`, `12 s`, `3 min 4 s`, `2 h 5 min` */
export function duration(ms) {
  if (ms === null || ms === undefined || ms < 0) return t('common.none');
  const seconds = ms / 1000;
  if (seconds < 0.1) return t('time.ms', { n: Math.round(ms) });
  if (seconds < 10) return t('time.seconds', { n: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  if (whole < 60) return t('time.seconds', { n: whole });
  const [m, s] = [Math.floor(whole / 60), whole % 60];
  if (m < 60) return s ? t('time.minSec', { m, s }) : t('time.minutes', { n: m });
  const h = Math.floor(m / 60);
  return m % 60 ? t('time.hourMin', { h, m: m % 60 }) : t('time.hours', { n: h });
}

/** How long an execution ran, or has been running. */
export function executionDuration(execution) {
  if (!execution.started_at) return null;
  return Math.max(0, (execution.completed_at ?? now()) - execution.started_at);
}

/** `812 B`, `1.4 MB` */
export function bytes(n) {
  if (n === null || n === undefined) return t('common.none');
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1,204` */
export const count = (n) => new Intl.NumberFormat(locale).format(n);

/** `1.2k in, 340 out, $0.01`, or an empty string when nothing is known. */
export function usage(u) {
  if (!u) return '';
  const parts = [];
  if (u.input_tokens) parts.push(t('usage.in', { n: compact(u.input_tokens) }));
  if (u.output_tokens) parts.push(t('usage.out', { n: compact(u.output_tokens) }));
  if (u.cost_usd) parts.push(money(u.cost_usd));
  return parts.join(' · ');
}

/** `$0.0042`, `$1.20`; nothing is no price: most engines tell none. */
export const money = (usd) => (usd > 0 ? `$${usd.toFixed(usd < 0.01 ? 4 : 2)}` : t('common.none'));

const compactFormat = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
/** `18.2K`. */
export const compact = (n) => compactFormat.format(n);

/** Why a run failed, as a sentence: a stable word for programs stands before it. */
export function sentence(error) {
  const text = (error ?? '').replace(/^[a-z][a-z_]*: (?=\S)/, '');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Marks that turn the direction of what follows: in a name they make `exe.txt` of `txt.exe`.
const BIDI_MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A name as it may be shown beside others: without marks that reorder letters. */
export const plain = (name) => name?.replace(BIDI_MARKS, '') ?? name;

/** The first line of a text, cut for a title: between letters, never inside of one, and without what no name may hold. */
export function title(text, max = 60) {
  const line = plain(text).trim().split('\n', 1)[0].replace(/[\p{Cc}\p{Cs}]+/gu, ' ').trim();
  if (line.length <= max) return line;
  let cut = '';
  for (const { segment } of letters.segment(line.slice(0, 2 * max))) {
    if (cut.length + segment.length > max - 1) break;
    cut += segment;
  }
  return `${cut.trimEnd()}…`;
}

const letters = Intl.Segmenter ? new Intl.Segmenter() : { segment: (text) => [...text].map((segment) => ({ segment })) };

const soon = new Intl.RelativeTimeFormat(locale, { numeric: 'always', style: 'long' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long' });

/** When something will be: `in 5 minutes`, `today, 14:05`, `tomorrow, 09:00`, `Monday, 09:00`, `3 Nov, 09:00`. */
export function until(ms) {
  const seconds = (ms - now()) / 1000;
  if (seconds < 1) return t('time.due');
  if (seconds < 60) return soon.format(Math.ceil(seconds), 'second');
  if (seconds < 3600) return soon.format(Math.round(seconds / 60), 'minute');
  const day = new Date(now());
  const time = timeOfDay(ms);
  if (dayKey(ms) === dayKey(day.getTime())) return t('time.onDay', { day: t('time.today'), time });
  day.setDate(day.getDate() + 1);
  if (dayKey(ms) === dayKey(day.getTime())) return t('time.onDay', { day: t('time.tomorrow'), time });
  if (seconds < 6 * 86_400) return t('time.onDay', { day: weekday.format(ms), time });
  return t('time.onDay', { day: (sameYear(ms) ? short : dayYear).format(ms), time });
}

const sameYear = (ms) => new Date(ms).getFullYear() === new Date(now()).getFullYear();

/** `Mon, 23 Nov, 09:00` as clocks in that time zone show it. */
export function timeInZone(ms, timeZone) {
  const parts = { weekday: 'short', day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' };
  if (!sameYear(ms)) parts.year = 'numeric';
  try {
    return new Intl.DateTimeFormat(locale, { ...parts, timeZone }).format(ms);
  } catch {
    // A zone that the browser does not know; the server did.
    return new Intl.DateTimeFormat(locale, parts).format(ms);
  }
}

/** The value of a field for a local date and time. */
export function localInput(ms) {
  const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}
