/** The bee: the agent that always exists, and what can be said of it. */
import { t } from '../strings.js';
import { h } from '../dom.js';
import * as api from '../api.js';
import { formDialog } from '../components/dialog.js';
import { engineField } from '../components/engine-field.js';
import { field, showFieldErrors, textArea } from '../components/field.js';
import { toast, toastError } from '../components/toast.js';
import { allowedList } from '../components/permission-field.js';
import { tryAgent } from './try-agent.js';

/** Opens the form. @param {object} bee @param {(bee: object) => void} onSaved */
export function beeDialog(bee, onSaved) {
  const memory = field({
    label: t('workers.memory'),
    name: 'memory',
    optional: true,
    hint: t('workers.memoryHint'),
    control: textArea({ value: bee.memory ?? '', rows: 4, data: { autofocus: '' } }),
  });
  const engine = engineField(bee.engine);
  const model = field({
    label: t('workers.model'),
    name: 'model',
    optional: true,
    value: bee.model ?? '',
    hint: t('workers.modelHint'),
    attrs: { autocomplete: 'off', spellcheck: 'false' },
  });
  formDialog({
    title: t('workers.editTitle', { name: t('chat.aBee') }),
    wide: true,
    body: [
      h('p', { class: 'muted' }, t('workers.beeLead')),
      memory.el,
      h('div', { class: 'form-pair' }, engine.el, model.el),
      allowedList('/api/bee', bee.always_allowed ?? []),
    ],
    submit: t('common.save'),
    also: t('workers.saveAndTry'),
    async onSubmit(_form, isToBeTried) {
      const body = { memory: memory.input.value, engine: engine.input.value, model: model.input.value.trim() };
      if (body.engine === 'auto' && !bee.engine) delete body.engine;
      try {
        onSaved(await api.put('/api/bee', body));
      } catch (error) {
        if (showFieldErrors(error, { memory, engine, model })) return false;
        throw error;
      }
      if (isToBeTried) await tryAgent(null, t('chat.bee')).catch(toastError);
      else toast(t('workers.saved', { name: t('chat.theBee') }), { kind: 'ok' });
    },
  });
}
