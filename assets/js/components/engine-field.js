/** The choice of an engine, with what was found of each on this machine and what mends it. */
import { h, replace, uid } from '../dom.js';
import { has, t } from '../strings.js';
import * as api from '../api.js';
import { sentence } from '../format.js';
import { copyButton } from './copy.js';
import { field, select } from './field.js';

/** Whether a turn given to it has a chance. */
export const isReady = ({ found, signed_in }) => found && signed_in !== false;

/** `ready`, `signedOut` or `missing`. */
export const engineState = (engine) =>
  isReady(engine) ? 'ready' : engine.found && engine.signed_in === false ? 'signedOut' : 'missing';

/** What kind of thing an engine is, or an empty string. */
export function engineWords(engine) {
  const key = `settings.kind.${engine.name === 'local' ? 'local' : engine.kind}`;
  return has(key) ? t(key) : '';
}

/** The engines; where it takes a program to know its version, `show` has the rest of them at once. */
export async function look(show) {
  const known = await api.get('/api/engines?versions=false');
  if (!known.some(({ path, version }) => path && !version)) return known;
  show(known);
  return api.get('/api/engines');
}

/** What mends an engine: a sentence in which each command, between backticks, can be copied. */
export const fixOf = (engine) =>
  h(
    'p',
    { class: 'engine-fix' },
    sentence(engine.fix)
      .split('`')
      .map((part, i) => (i % 2 ? [h('code', null, part), copyButton(() => part)] : part)),
  );

/**
 * A field that can be used at once; what was found comes in when it is known.
 * @param {string|null} current
 * @returns {{el: HTMLElement, input: HTMLSelectElement, setError: Function, onChange: (fn: (engine: object|null) => void) => void}}
 */
export function engineField(current) {
  const chosen = current ?? 'auto';
  const auto = { value: 'auto', label: t('workers.engine.auto') };
  const own = chosen === 'auto' ? [] : [{ value: chosen, label: chosen }];
  const made = field({ label: t('workers.engine'), name: 'engine', control: select([auto, ...own], chosen) });
  const hint = h('div', { class: 'field-hint', id: uid('hint') });
  const listeners = [];
  let engines = null;
  made.el.append(hint);
  made.input.setAttribute('aria-describedby', `${made.input.getAttribute('aria-describedby')} ${hint.id}`);

  function render() {
    const engine = engines?.find(({ name }) => name === made.input.value) ?? null;
    replace(hint, engines && hintOf(made.input.value, engine, engines));
    for (const fn of listeners) fn(engine ?? engines?.find(({ auto }) => auto) ?? null);
  }

  async function load() {
    try {
      offer(await look(offer));
    } catch {
      // The form still works with what the worker has.
    }
  }

  function offer(found) {
    engines = found;
    const value = made.input.value;
    const options = engines
      .filter(({ name }) => name !== 'auto')
      .map((engine) => ({
        value: engine.name,
        label: isReady(engine) ? engine.name : t(`workers.engine.${engineState(engine)}`, engine),
      }));
    if (!options.some((option) => option.value === value)) options.push(...own);
    replace(
      made.input,
      [auto, ...options].map((o) => h('option', { value: o.value }, o.label)),
    );
    made.input.value = value;
    render();
  }

  made.input.addEventListener('input', render);
  load();
  return { ...made, onChange: (fn) => listeners.push(fn) };
}

function hintOf(name, engine, engines) {
  if (name === 'auto') {
    const ready = engines.filter(isReady).map((e) => e.name);
    const taken = engines.find(({ auto }) => auto)?.name ?? t('common.none');
    return t('workers.engineReady', { name: taken, list: ready.join(', ') || t('common.none') });
  }
  if (!engine) return null;
  if (isReady(engine)) return [engineWords(engine), engine.version].filter(Boolean).join(' ');
  return [engine.why_not, engine.fix && fixOf(engine), h('p', null, t('workers.engineLater'))];
}
