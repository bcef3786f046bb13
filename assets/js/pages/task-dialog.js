/** Creating and editing a task. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { now } from '../clock.js';
import { localInput, title as titleOf } from '../format.js';
import { store, randomKey, sessionsByTime } from '../store.js';
import { choices } from '../components/choices.js';
import { cronField } from '../components/cron-field.js';
import { formDialog } from '../components/dialog.js';
import { field, select, showFieldErrors, textArea } from '../components/field.js';
import { toast } from '../components/toast.js';

const TYPES = ['immediate', 'countdown', 'scheduled'];
const MINUTE_MS = 60_000;
const CRON_FIRST = '0 9 * * 1-5';

/**
 * Opens the form for a new task (`null`) or an existing one.
 * @param {object|null} task
 * @param {(task: object) => void} onSaved
 */
export function taskDialog(task, onSaved) {
  let type = task?.type ?? 'scheduled';
  const instruction = field({
    label: t('tasks.instruction'),
    name: 'instruction',
    hint: t('tasks.instructionHint'),
    control: textArea({ value: task?.instruction ?? '', rows: 3, data: { autofocus: '' } }),
  });
  const workers = [...store.workers.values()].sort((a, b) => a.name.localeCompare(b.name));
  const worker = field({
    label: t('tasks.worker'),
    name: 'worker_id',
    control: select(
      [{ value: '', label: t('chat.bee') }, ...workers.map((w) => ({ value: w.id, label: w.name }))],
      task?.worker_id ?? '',
    ),
  });
  const chats = sessionsByTime().map((s) => ({ value: s.id, label: titleOf(s.name || t('chat.untitled'), 60) }));
  if (task?.session_id && !store.sessions.has(task.session_id))
    chats.push({ value: task.session_id, label: t('tasks.aChat') });
  const chat = field({
    label: t('tasks.chat'),
    name: 'session_id',
    hint: t('tasks.chatHint'),
    control: select([{ value: '', label: t('tasks.noChat') }, ...chats], task?.session_id ?? ''),
  });

  const at = field({
    label: t('tasks.at'),
    name: 'scheduled_at',
    type: 'datetime-local',
    value: localInput(task?.scheduled_at ?? nextHour()),
    attrs: { required: true },
  });
  const atBefore = at.input.value;
  const quick = h(
    'div',
    { class: 'row' },
    [
      ['tasks.in10min', () => now() + 10 * MINUTE_MS],
      ['tasks.in1h', () => now() + 60 * MINUTE_MS],
      ['tasks.tomorrow', tomorrowAtNine],
    ].map(([label, when]) =>
      h(
        'button',
        {
          class: 'button small',
          type: 'button',
          on: {
            click: () => {
              at.input.value = localInput(when());
              at.setError(null);
            },
          },
        },
        t(label),
      ),
    ),
  );
  const cron = cronField({ cron: task?.cron_expr ?? CRON_FIRST, zone: task?.timezone ?? null });
  const panels = {
    immediate: h('p', { class: 'muted' }, t('tasks.type.immediateLead')),
    countdown: h('div', { class: 'form' }, at.el, quick),
    scheduled: cron.el,
  };
  const choice = choices({
    label: t('tasks.type'),
    options: TYPES.map((name) => [name, t(`tasks.type.${name}`)]),
    chosen: type,
    onChoose(name) {
      type = name;
      showPanel();
    },
  });
  function showPanel() {
    for (const [name, panel] of Object.entries(panels)) panel.hidden = name !== type;
  }
  showPanel();

  const fields = { instruction, worker_id: worker, session_id: chat, scheduled_at: at, ...cron.fields };
  const dialog = formDialog({
    title: task ? t('tasks.editTitle') : t('tasks.createTitle'),
    wide: true,
    body: [instruction.el, h('div', { class: 'form-pair' }, worker.el, chat.el), choice, Object.values(panels)],
    submit: task ? t('common.save') : t('tasks.create'),
    async onSubmit() {
      const text = instruction.input.value;
      if (!text.trim()) {
        instruction.setError(t('tasks.instructionMissing'));
        instruction.input.focus();
        return false;
      }
      const when = timing();
      if (!when) {
        at.setError(t('tasks.atMissing'));
        at.input.focus();
        return false;
      }
      const body = {
        instruction: text,
        worker_id: worker.input.value || null,
        session_id: chat.input.value || null,
        ...when,
      };
      try {
        const saved = task
          ? await api.patch(`/api/tasks/${encodeURIComponent(task.id)}`, changed(body))
          : await api.postOnce('/api/tasks', body, randomKey());
        onSaved(saved);
        toast(t(task ? 'tasks.saved' : type === 'immediate' ? 'tasks.started' : 'tasks.created'), { kind: 'ok' });
      } catch (error) {
        if (showFieldErrors(error, fields)) return false;
        throw error;
      }
    },
  });
  dialog.closed.then(cron.destroy);

  /** When it is due, as the form says; null where a time is missing. */
  function timing() {
    if (type === 'immediate') return { type };
    if (type === 'scheduled') return { type, ...cron.value() };
    const ms = new Date(at.input.value).getTime();
    return Number.isNaN(ms) ? null : { type, scheduled_at: ms };
  }

  /** A patch: a time that was not touched stays, also one that is over. */
  function changed(body) {
    const isSameTime =
      type === task.type &&
      (type === 'scheduled'
        ? body.cron_expr === task.cron_expr && body.timezone === task.timezone
        : type === 'immediate' || at.input.value === atBefore);
    if (isSameTime) for (const name of ['type', 'scheduled_at', 'cron_expr', 'timezone']) delete body[name];
    return body;
  }
}

function nextHour() {
  const date = new Date(now() + 60 * MINUTE_MS);
  date.setMinutes(0, 0, 0);
  return date.getTime();
}

function tomorrowAtNine() {
  const date = new Date();
  date.setDate(date.getDate() + 1);
  date.setHours(9, 0, 0, 0);
  return date.getTime();
}
