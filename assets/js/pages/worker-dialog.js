/** Creating, editing and deleting a worker. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { dropWorker, putWorker, randomKey, store } from '../store.js';
import { confirmDialog, formDialog } from '../components/dialog.js';
import { engineField } from '../components/engine-field.js';
import { field, showFieldErrors, textArea } from '../components/field.js';
import { memorySection } from '../components/memory-list.js';
import { allowedList, confinementWords, permissionField } from '../components/permission-field.js';
import { toast, toastError } from '../components/toast.js';
import { tryAgent } from './try-agent.js';

/** What the server can read as a time at all; what it allows, it says itself. */
const isTimeout = (n) => Number.isInteger(n) && n > 0 && n < 2 ** 32;

/** Opens the form for a new worker (`null`, which may begin as a copy of another) or an existing one. */
export function workerDialog(worker, { copyOf = null } = {}) {
  const shown = worker ?? (copyOf && { ...copyOf, name: copyName(copyOf.name), work_dir: '' });
  const name = field({
    label: t('workers.name'),
    name: 'name',
    value: shown?.name ?? '',
    hint: t('workers.nameHint'),
    attrs: { maxlength: 100, autocomplete: 'off', required: true },
  });
  const description = field({
    label: t('workers.description'),
    name: 'description',
    optional: true,
    hint: t('workers.descriptionHint'),
    control: textArea({ value: shown?.description ?? '', rows: 2 }),
  });
  const memory = field({
    label: t('workers.memory'),
    name: 'memory',
    optional: true,
    hint: t('workers.memoryHint'),
    control: textArea({ value: shown?.memory ?? '', rows: 4 }),
  });
  const engine = engineField(shown?.engine);
  const permissions = permissionField(shown?.permissions);
  const confined = h('p', { class: 'field-hint' });
  engine.onChange((found) => {
    confined.textContent = confinementWords(found);
  });
  const model = field({
    label: t('workers.model'),
    name: 'model',
    optional: true,
    value: shown?.model ?? '',
    hint: t('workers.modelHint'),
    attrs: { autocomplete: 'off', spellcheck: 'false' },
  });
  const workDir = field({
    label: t('workers.workDir'),
    name: 'work_dir',
    optional: true,
    value: shown?.work_dir ?? '',
    hint: t('workers.workDirHint'),
    attrs: { autocomplete: 'off', spellcheck: 'false', class: 'input mono' },
  });
  const timeout = field({
    label: t('workers.timeout'),
    name: 'timeout_s',
    optional: true,
    value: shown?.timeout_s ?? '',
    attrs: { inputmode: 'numeric', autocomplete: 'off' },
  });
  const cost = field({
    label: t('workers.costMax'),
    name: 'daily_cost_max',
    optional: true,
    value: shown?.daily_cost_max ?? '',
    hint: t('workers.costMaxHint'),
    attrs: { inputmode: 'decimal', autocomplete: 'off' },
  });
  const fields = {
    name,
    description,
    memory,
    engine,
    model,
    permissions,
    work_dir: workDir,
    timeout_s: timeout,
    daily_cost_max: cost,
  };
  const advanced = h(
    'details',
    { class: 'more-fields', open: Boolean(shown) },
    h('summary', null, t('workers.advanced')),
    h(
      'div',
      { class: 'form' },
      h('div', { class: 'form-pair' }, engine.el, model.el),
      h('div', null, permissions.el, confined),
      worker && allowedList(`/api/workers/${worker.id}`, worker.always_allowed ?? []),
      workDir.el,
      h('div', { class: 'form-pair' }, timeout.el, cost.el),
    ),
  );
  const source = worker ?? copyOf;
  const isItself = Boolean(worker);
  let options = null;
  const optionsBox = h(
    'details',
    { class: 'more-fields', on: { toggle: () => optionsBox.open && loadOptions() } },
    h('summary', null, t('options.title')),
  );
  const loadOptions = once(async () => {
    const { engineOptions } = await import('./engine-options.js');
    options = await engineOptions(source?.id ?? null, isItself);
    optionsBox.append(options.el);
  });
  // A copy is one of these, too, also where nobody looks at them.
  if (copyOf && !worker) loadOptions();

  formDialog({
    title: worker ? t('workers.editTitle', { name: worker.name }) : t('workers.createTitle'),
    wide: true,
    body: [name.el, description.el, memory.el, worker && memorySection(`worker:${worker.id}`), advanced, optionsBox],
    submit: worker ? t('common.save') : t('workers.create'),
    also: t(worker ? 'workers.saveAndTry' : 'workers.createAndTry'),
    async onSubmit(_form, isToBeTried) {
      let saved;
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
      if (Number.isNaN(body.daily_cost_max)) {
        cost.setError(t('workers.costMaxBad'));
        openAround(advanced);
        cost.input.focus();
        return false;
      }
      if (options && !options.check()) {
        optionsBox.open = true;
        return false;
      }
      try {
        saved = await save(worker, body, !isToBeTried);
        // What follows may fail: then the next try changes it.
        worker = saved;
        if (options && !(await options.save(saved.id))) {
          optionsBox.open = true;
          return false;
        }
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
      if (isToBeTried) await tryAgent(saved.id, saved.name).catch(toastError);
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
    body.permissions = all.permissions.input.value;
    // Nothing said is the usual mode, and automatic.
    if (body.permissions === permissions.usual && !worker?.permissions) body.permissions = '';
    if (body.engine === 'auto' && !worker?.engine) body.engine = '';
    // 0 takes the cap away.
    const dollars = all.daily_cost_max.input.value.trim().replace(',', '.');
    const capBefore = worker?.daily_cost_max ?? 0;
    if (Number(dollars) !== capBefore) body.daily_cost_max = Number(dollars);
    // A patch: what was not touched is not sent, and a new worker leaves to the server what was left empty.
    for (const [key, value] of Object.entries(body)) {
      if (key === 'name' && !worker) continue;
      const before = worker ? (worker[key] ?? (key === 'timeout_s' ? null : '')) : key === 'timeout_s' ? null : '';
      if (key !== 'name' && value === before) delete body[key];
    }
    return body;
  }
}

/** Runs it once; one that failed says so, and is run again. */
function once(run) {
  let running = null;
  return () => {
    running ??= run().catch((error) => {
      running = null;
      toastError(error);
    });
  };
}

async function save(worker, body, isTold) {
  const saved = worker
    ? await api.put(`/api/workers/${worker.id}`, body)
    : await api.postOnce('/api/workers', body, randomKey());
  putWorker(saved);
  if (isTold) toast(t(worker ? 'workers.saved' : 'workers.created', { name: saved.name }), { kind: 'ok' });
  return saved;
}

/** A name that no worker has. */
function copyName(name) {
  const taken = new Set([...store.workers.values()].map((w) => w.name.toLowerCase()));
  for (let n = 1; ; n += 1) {
    const copy = n === 1 ? t('workers.copyName', { name }) : t('workers.copyNameN', { name, n });
    if (!taken.has(copy.toLowerCase())) return copy;
  }
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
