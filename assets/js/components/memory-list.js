/** The memory entries of one scope: read, added, changed, deleted with a way back. */
import { h, reconcile, setText } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { fullTime, startedAgo } from '../format.js';
import { deleteEntry, entriesOf, loadMemory, saveEntry, watchMemory } from '../memory.js';
import { on } from '../store.js';
import { formDialog } from './dialog.js';
import { field, select, showFieldErrors, textArea } from './field.js';
import { toast, toastError } from './toast.js';

const KEY_CHARS_MAX = 100;

/**
 * @param {string} scope
 * @param {{matches?: (entry: object) => boolean}} [options]
 * @returns {{el: HTMLElement, render: () => void, shown: () => number}}
 */
export function memoryList(scope, { matches = () => true } = {}) {
  const views = new Map();
  const el = h('ul', { class: 'memory-list' });
  return {
    el,
    render() {
      reconcile(el, entriesOf(scope).filter(matches), (entry) => entry.key, memoryEntry, views);
      el.hidden = views.size === 0;
    },
    shown: () => views.size,
  };
}

/** The entries of a scope inside a form, with the way to add one; watched while it is in the page. */
export function memorySection(scope) {
  const list = memoryList(scope);
  const none = h('p', { class: 'field-hint' });
  const render = () => {
    list.render();
    setText(none, list.shown() === 0 ? t('memory.workerNone') : '');
  };
  const el = h(
    'section',
    { class: 'memory-section', aria: { label: t('memory.entries') } },
    h(
      'div',
      { class: 'memory-section-head' },
      h('h3', null, t('memory.entries')),
      h(
        'button',
        { class: 'button small', type: 'button', on: { click: () => memoryDialog({ scope }) } },
        icon('plus'),
        t('memory.add'),
      ),
    ),
    list.el,
    none,
  );
  const ends = [
    on('memory', () => {
      if (el.isConnected) render();
      else ends.forEach((end) => end());
    }),
    watchMemory(scope, toastError),
  ];
  loadMemory(scope).then(render, toastError);
  return el;
}

function memoryEntry(entry) {
  let current = entry;
  const key = h('h3', { class: 'memory-key' });
  const value = h('p', { class: 'memory-value' });
  const time = h('span', { class: 'small muted' });
  const button = (glyph, run) =>
    h('button', { class: 'icon-button small', type: 'button', on: { click: run } }, icon(glyph));
  const edit = button('pencil', () => memoryDialog(current));
  const remove = button('trash', () => forget(current));
  const update = (next) => {
    current = next;
    setText(key, next.key);
    setText(value, next.value);
    setText(time, startedAgo(next.updated_at));
    time.title = fullTime(next.updated_at);
    edit.setAttribute('aria-label', t('memory.editName', { key: next.key }));
    remove.setAttribute('aria-label', t('memory.deleteName', { key: next.key }));
  };
  update(entry);
  return {
    el: h(
      'li',
      { class: 'memory-entry' },
      h('div', { class: 'memory-text' }, h('div', { class: 'memory-head' }, key, time), value),
      h('div', { class: 'row-actions' }, edit, remove),
    ),
    update,
  };
}

async function forget(entry) {
  try {
    await deleteEntry(entry);
  } catch (error) {
    toastError(error);
    return;
  }
  toast(t('memory.deleted', { key: entry.key }), {
    action: { label: t('common.undo'), run: () => saveEntry(entry).catch(toastError) },
  });
}

/**
 * Opens the form for an entry; without a key it is a new one.
 * @param {{scope: string, key?: string, value?: string}} entry
 * @param {{value: string, label: string}[]} [scopes] offered for a new one
 */
export function memoryDialog(entry, scopes = null) {
  const isNew = entry.key === undefined;
  const scope = scopes && field({ label: t('memory.scope'), name: 'scope', control: select(scopes, entry.scope) });
  const key = field({
    label: t('memory.key'),
    name: 'key',
    value: entry.key ?? '',
    hint: t('memory.keyHint'),
    attrs: { maxlength: KEY_CHARS_MAX, autocomplete: 'off', ...(isNew && { data: { autofocus: '' } }) },
  });
  const value = field({
    label: t('memory.value'),
    name: 'value',
    hint: t('memory.valueHint'),
    control: textArea({ value: entry.value ?? '', rows: 4, ...(!isNew && { data: { autofocus: '' } }) }),
  });
  formDialog({
    title: isNew ? t('memory.createTitle') : t('memory.editTitle'),
    body: [scope?.el, key.el, value.el],
    submit: isNew ? t('memory.create') : t('common.save'),
    async onSubmit() {
      const target = {
        scope: scope?.input.value ?? entry.scope,
        key: key.input.value.trim(),
        value: value.input.value,
      };
      for (const [part, text, missing] of [
        [key, target.key, 'memory.keyMissing'],
        [value, target.value.trim(), 'memory.valueMissing'],
      ]) {
        if (text) continue;
        part.setError(t(missing));
        part.input.focus();
        return false;
      }
      const isOther = isNew || target.key !== entry.key;
      if (isOther && entriesOf(target.scope).some((known) => known.key === target.key)) {
        key.setError(t('memory.keyTaken'));
        key.input.focus();
        return false;
      }
      try {
        await saveEntry(target, isNew ? null : entry);
      } catch (error) {
        if (showFieldErrors(error, { key, value })) return false;
        throw error;
      }
    },
  });
}
