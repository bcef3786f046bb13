/** What concerns the whole console: a held copy, the offer of a password, a lost connection. */
import { h, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import * as api from '../api.js';
import { store, on, setHeld } from '../store.js';
import { actionButton } from './dialog.js';
import { passwordDialog } from './account.js';
import { toast } from './toast.js';

/** A hiccup that heals at once is nobody's business. */
const PILL_AFTER_MS = 1200;

/** @returns {{el: HTMLElement, destroy: () => void}} */
export function banners() {
  const held = h('div');
  const offer = h('div');
  const fillHeld = slot(held);
  const fillOffer = slot(offer);
  let isOfferDismissed = false;

  function render() {
    fillHeld(
      String(store.held),
      () =>
        store.held &&
        h(
          'section',
          { class: 'banner banner-held', role: 'alert' },
          icon('pause'),
          h('div', { class: 'banner-text' }, h('strong', null, t('held.title')), h('span', null, t('held.lead'))),
          actionButton(t('held.action'), async () => {
            await api.post('/api/resume', {});
            setHeld(false);
            toast(t('held.done'), { kind: 'ok' });
          }),
        ),
    );
    const isOffered = store.me?.password_generated === true && !isOfferDismissed && !store.held;
    fillOffer(
      String(isOffered),
      () =>
        isOffered &&
        h(
          'section',
          { class: 'banner', aria: { label: t('password.title') } },
          icon('key'),
          h('div', { class: 'banner-text' }, h('span', null, t('password.offer'))),
          h(
            'div',
            { class: 'row' },
            h(
              'button',
              { class: 'button small', type: 'button', on: { click: passwordDialog } },
              t('password.offerAction'),
            ),
            h(
              'button',
              {
                class: 'button small quiet',
                type: 'button',
                on: {
                  click: () => {
                    isOfferDismissed = true;
                    render();
                  },
                },
              },
              t('password.later'),
            ),
          ),
        ),
    );
  }

  const offs = [on('held', render), on('me', render)];
  render();
  return { el: h('div', { class: 'banners' }, held, offer), destroy: () => offs.forEach((off) => off()) };
}

/** The quiet sign that the stream is away. */
export function connectionPill() {
  const el = h('div', { class: 'pill', role: 'status', hidden: true });
  let timer = 0;
  const render = () => {
    clearTimeout(timer);
    if (store.connection === 'open') {
      el.hidden = true;
      return;
    }
    timer = setTimeout(
      () => {
        el.textContent = store.connection === 'offline' ? t('pill.offline') : t('pill.reconnecting');
        el.hidden = false;
      },
      el.hidden ? PILL_AFTER_MS : 0,
    );
  };
  const off = on('connection', render);
  return {
    // Without a height of its own: it lies over the page's head, below the banners, and moves nothing.
    el: h('div', { class: 'pill-place' }, el),
    destroy: () => {
      off();
      clearTimeout(timer);
    },
  };
}
