/** Creating, editing and deleting a worker. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { dropWorker, putWorker, randomKey } from '../store.js';
import { confirmDialog, formDialog } from '../components/dialog.js';
import { field, select, showFieldErrors, textArea } from '../components/field.js';
import { memorySection } from '../components/memory-list.js';
import { toast } from '../components/toast.js';

/** Offered while the server does not say which engines there are. */
const KNOWN_ENGINES = ['builtin', 'claude', 'codex', 'opencode'];

async function engineOptions(current) {
  let engines = [];
  try {
    engines = await api.get('/api/engines');
  } catch (error) {
    if (error.status !== 404) throw error;
    engines = KNOWN_ENGINES.map((name) => ({ name, found: true }));
  }
  const options = [{ value: 'auto', label: t('workers.engine.auto') }];
  for (const { name, found } of engines) {
    if (name !== 'auto')
      options.push({ value: name, label: found === false ? t('workers.engine.missing', { name }) : name });
  }
  if (current && !options.some((o) => o.value === current)) options.push({ value: current, label: current });
  return options;
}

/** What the server can read as a time at all; what it allows, it says itself. */
const isTimeout = (n) => Number.isInteger(n) && n > 0 && n < 2 ** 32;

/** Opens the form for a new worker (`null`) or an existing one. */
export async function workerDialog(worker) {
  let options = [{ value: worker?.engine ?? 'auto', label: worker?.engine ?? t('workers.engine.auto') }];
  try {
    options = await engineOptions(worker?.engine);
  } catch {
    /* the form still works with what the worker has */
  }
  const name = field({
    label: t('workers.name'),
    name: 'name',
    value: worker?.name ?? '',
    hint: t('workers.nameHint'),
    attrs: { maxlength: 100, autocomplete: 'off', required: true },
  });
  const description = field({
    label: t('workers.description'),
    name: 'description',
    optional: true,
    hint: t('workers.descriptionHint'),
    control: textArea({ value: worker?.description ?? '', rows: 2 }),
  });
  const memory = field({
    label: t('workers.memory'),
    name: 'memory',
    optional: true,
    hint: t('workers.memoryHint'),
    control: textArea({ value: worker?.memory ?? '', rows: 4 }),
  });
  const engine = field({
    label: t('workers.engine'),
    name: 'engine',
    control: select(options, worker?.engine ?? 'auto'),
  });
  const model = field({
    label: t('workers.model'),
    name: 'model',
    optional: true,
    value: worker?.model ?? '',
    hint: t('workers.modelHint'),
    attrs: { autocomplete: 'off', spellcheck: 'false' },
  });
  const workDir = field({
    label: t('workers.workDir'),
    name: 'work_dir',
    optional: true,
    value: worker?.work_dir ?? '',
    hint: t('workers.workDirHint'),
    attrs: { autocomplete: 'off', spellcheck: 'false', class: 'input mono' },
  });
  const timeout = field({
    label: t('workers.timeout'),
    name: 'timeout_s',
    optional: true,
    value: worker?.timeout_s ?? '',
    attrs: { inputmode: 'numeric', autocomplete: 'off' },
  });
  const fields = { name, description, memory, engine, model, work_dir: workDir, timeout_s: timeout };
  const advanced = h(
    'details',
    { class: 'more-fields', open: Boolean(worker) },
    h('summary', null, t('workers.advanced')),
    h('div', { class: 'form' }, h('div', { class: 'form-pair' }, engine.el, model.el), workDir.el, timeout.el),
  );

  formDialog({
    title: worker ? t('workers.editTitle', { name: worker.name }) : t('workers.createTitle'),
    wide: true,
    body: [name.el, description.el, memory.el, worker && memorySection(`worker:${worker.id}`), advanced],
    submit: worker ? t('common.save') : t('workers.create'),
    async onSubmit() {
      const body = readFields(fields);
      if (!body.name) {
        name.setError(t('workers.nameMissing'));
        name.input.focus();
        return false;
      }
      const typed = timeout.input.value.trim();
      if (typed !== '' && !isTimeout(Number(typed))) {
        timeout.setError(t(Number(typed) < 1 ? 'workers.timeoutZero' : 'workers.timeoutBad'));
        openAround(advanced);
        timeout.input.focus();
        return false;
      }
      try {
        await save(worker, body);
      } catch (error) {
        if (showFieldErrors(error, fields)) {
          openAround(advanced);
          return false;
        }
        if (error.status === 409 && error.code === 'conflict') {
          // Two things conflict here: a name that is taken, and a directory that is in use.
          const target = /director|work_dir/i.test(error.message) ? workDir : name;
          target.setError(error.message);
          openAround(advanced);
          target.input.focus();
          return false;
        }
        throw error;
      }
    },
  });

  function openAround(details) {
    if (details.querySelector('[aria-invalid]')) details.open = true;
  }

  function readFields(all) {
    const seconds = all.timeout_s.input.value.trim();
    const body = { name: all.name.input.value.trim(), timeout_s: seconds === '' ? null : Number(seconds) };
    // An absent field stays as it is; 0 takes the limit away.
    if (body.timeout_s === null && worker?.timeout_s) body.timeout_s = 0;
    for (const key of ['description', 'memory', 'engine', 'model', 'work_dir']) body[key] = all[key].input.value.trim();
    // A patch: what was not touched is not sent, and a new worker leaves to the server what was left empty.
    for (const [key, value] of Object.entries(body)) {
      if (key === 'name' && !worker) continue;
      const before = worker ? (worker[key] ?? (key === 'timeout_s' ? null : '')) : key === 'timeout_s' ? null : '';
      if (key !== 'name' && value === before) delete body[key];
    }
    return body;
  }
}

async function save(worker, body) {
  const saved = worker
    ? await api.put(`/api/workers/${worker.id}`, body)
    : await api.postOnce('/api/workers', body, randomKey());
  putWorker(saved);
  toast(t(worker ? 'workers.saved' : 'workers.created', { name: saved.name }), { kind: 'ok' });
}

/** Asks, and says what happens to the directory. */
export function deleteWorkerDialog(worker) {
  const box = h('input', { type: 'checkbox' });
  confirmDialog({
    title: t('workers.deleteTitle', { name: worker.name }),
    text: h(
      'div',
      null,
      h(
        'p',
        null,
        [
          worker.status === 'working' && t('workers.deleteStops'),
          worker.queue_length > 0 && t('workers.deleteCancels'),
          t('workers.deleteText'),
        ]
          .filter(Boolean)
          .join(' '),
      ),
      worker.work_dir &&
        h(
          'p',
          { class: 'small' },
          t('workers.deleteKeeps'),
          h('br'),
          h('code', { class: 'path-full' }, worker.work_dir),
        ),
      h(
        'label',
        { class: 'check' },
        box,
        h('span', null, t('workers.deleteDir'), h('span', { class: 'field-hint' }, t('workers.deleteDirHint'))),
      ),
    ),
    action: t('workers.deleteAction'),
    async run() {
      try {
        await api.del(`/api/workers/${worker.id}${box.checked ? '?delete_work_dir=true' : ''}`);
      } catch (error) {
        if (error.code === 'work_dir_not_owned') error.message = t('workers.dirNotOwned');
        throw error;
      }
      dropWorker(worker.id);
      toast(t('workers.deleted', { name: worker.name }), { kind: 'ok' });
    },
  });
}
