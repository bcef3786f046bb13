/** What a worker may do without being asked about, in plain words. */
import { h, replace, uid } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { field, select } from './field.js';
import { toastError } from './toast.js';

/** The words of the API, the most careful first; `allow_edits` is what an empty one means. */
const MODES = ['read_only', 'ask', 'allow_edits', 'allow_all'];
const USUAL = 'allow_edits';

/** @param {string|null} current */
export function permissionField(current) {
  const made = field({
    label: t('workers.permissions'),
    name: 'permissions',
    control: select(
      MODES.map((mode) => ({ value: mode, label: t(`workers.permissions.${mode}`) })),
      current || USUAL,
    ),
  });
  const hint = h('p', { class: 'field-hint', id: uid('hint') });
  made.el.append(hint);
  made.input.setAttribute('aria-describedby', `${made.input.getAttribute('aria-describedby')} ${hint.id}`);
  const render = () => {
    hint.textContent = t(`workers.permissions.${made.input.value}Hint`);
  };
  made.input.addEventListener('input', render);
  render();
  return { ...made, usual: USUAL };
}

/**
 * The tools that need not ask any more, each with a way to take that back; nothing if there are none.
 * @param {string} path of the worker or the bee
 * @param {string[]} tools
 */
export function allowedList(path, tools) {
  const el = h('div', { class: 'field' });
  const render = (shown) => {
    el.hidden = shown.length === 0;
    replace(
      el,
      h('p', { class: 'field-name' }, t('workers.allowed')),
      h(
        'ul',
        { class: 'allowed-list' },
        shown.map((tool) =>
          h(
            'li',
            null,
            h('code', null, tool),
            h(
              'button',
              {
                class: 'button small',
                type: 'button',
                aria: { label: t('workers.forgetTool', { tool }) },
                on: {
                  click: async () => {
                    try {
                      await api.del(`${path}/permissions/${encodeURIComponent(tool)}`);
                      render(shown.filter((other) => other !== tool));
                    } catch (error) {
                      toastError(error);
                    }
                  },
                },
              },
              t('workers.forget'),
            ),
          ),
        ),
      ),
      h('p', { class: 'field-hint' }, t('workers.allowedHint')),
    );
  };
  render(tools);
  return el;
}

/** What keeps an engine's programs to their place, in plain words. @param {object|null} engine */
export function confinementWords(engine) {
  const said = engine?.confinement;
  if (!said) return '';
  if (/^confined\b/.test(said)) return t('workers.confined', { said });
  return t('workers.notConfined', { said });
}
