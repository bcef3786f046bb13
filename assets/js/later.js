/** Pages and dialogs whose modules are fetched when they are first gone to, so that the first load stays small. */
import { h, replace } from './dom.js';
import { t } from './strings.js';
import { NetworkError } from './api.js';
import { emit, on } from './store.js';
import { loadFailed } from './components/status.js';
import { toastError } from './components/toast.js';

/**
 * @param {() => Promise<Function>} load fetches the page's function
 * @returns {Function} a page; from the second time on it is the page itself
 */
export function later(load) {
  let make = null;
  return (params, query) => (make ? make(params, query) : placeholder(params, query));

  function placeholder(params, query) {
    const waiting = h(
      'main',
      { class: 'page', id: 'main', tabindex: -1, aria: { busy: true } },
      h('p', { class: 'muted page-wait', role: 'status' }, t('common.loading')),
    );
    const el = h('div', { class: 'page-later' }, waiting);
    let wanted = [params, query];
    let page = null;
    let isLeft = false;
    let isFailed = false;
    const off = on('gap', () => isFailed && fetchPage());
    const fetchPage = async () => {
      isFailed = false;
      try {
        make ??= await load();
      } catch (cause) {
        isFailed = true;
        replace(waiting, loadFailed(new NetworkError(cause), fetchPage));
        return;
      }
      if (isLeft) return;
      page = make(...wanted);
      const hadFocus = waiting.contains(document.activeElement);
      replace(el, page.el);
      if (hadFocus) page.el.focus({ preventScroll: true });
      emit('page');
    };
    fetchPage();
    return {
      el,
      title: () => page?.title?.(),
      update(p, q) {
        wanted = [p, q];
        return page ? page.update?.(p, q) : true;
      },
      destroy() {
        isLeft = true;
        off();
        page?.destroy?.();
      },
    };
  }
}

/**
 * @param {() => Promise<Function>} load fetches the function
 * @returns {(...given: unknown[]) => Promise<unknown>} the function; that it cannot be fetched is told
 */
export const onCall =
  (load) =>
  async (...given) => {
    let run;
    try {
      run = await load();
    } catch (cause) {
      return toastError(new NetworkError(cause));
    }
    return run(...given);
  };
