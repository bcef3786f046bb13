/** What the sections of the settings are made of. */
import { h, replace } from '../../dom.js';
import { t } from '../../strings.js';
import { copyButton } from '../../components/copy.js';
import { loadFailed } from '../../components/status.js';

/** A block: a heading, a sentence, and what it is about. */
export function block(title, lead, ...content) {
  return h(
    'section',
    { class: 'card block' },
    h('h2', { class: 'section-title' }, title),
    lead && h('p', { class: 'muted block-lead' }, lead),
    content,
  );
}

/**
 * Content that has to be fetched first; what it says meanwhile, and when it does not come.
 * @param {(show: (loaded: any) => void) => Promise<any>} load may show what it has before it has all
 * @param {(loaded: any) => Node|Node[]} build
 * @returns {{el: HTMLElement, reload: () => Promise<void>}}
 */
export function fetched(load, build) {
  const el = h('div', { class: 'sections' });
  const show = (loaded) => replace(el, build(loaded));
  const reload = async () => {
    if (!el.firstChild) replace(el, h('p', { class: 'muted', role: 'status' }, t('common.loading')));
    el.setAttribute('aria-busy', 'true');
    try {
      show(await load(show));
    } catch (error) {
      replace(el, loadFailed(error, reload));
    } finally {
      el.removeAttribute('aria-busy');
    }
  };
  reload();
  return { el, reload };
}

/** Names and what they stand for. @param {[string, Node|string|null][]} pairs */
export const facts = (pairs) =>
  h(
    'dl',
    { class: 'facts-list' },
    pairs.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value ?? t('common.none')))),
  );

/** A command, or lines of a file, to copy. */
export function snippet(text) {
  return h(
    'div',
    { class: 'snippet' },
    h('pre', { tabindex: 0 }, h('code', null, text)),
    copyButton(() => text),
  );
}

/** A row of buttons. */
export const actions = (...buttons) => h('div', { class: 'row block-actions' }, buttons);
