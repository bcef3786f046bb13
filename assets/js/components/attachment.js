/** The file that goes with the next message: chosen, uploading, ready. */
import { h, replace } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { bytes, plain } from '../format.js';
import { get, upload, NetworkError } from '../api.js';
import { mediaKind } from './media.js';
import { toast, toastError } from './toast.js';

/** The size of a file that the server takes; asked once, and again after a failure. @type {Promise<number>|null} */
let asked = null;
function bytesMax() {
  asked ??= get('/api/settings').then(
    (settings) => settings.upload_bytes_max ?? Infinity,
    () => {
      // The server says so itself when it comes to that.
      asked = null;
      return Infinity;
    },
  );
  return asked;
}

const tooLarge = (file, most) =>
  toast(t('composer.tooLarge', { name: plain(file.name), most: bytes(most) }), { kind: 'error' });

/**
 * @param {{sessionId: () => Promise<string>, changed: () => void, keep: (media: object|null) => void}} options `sessionId`
 *   makes the chat if it is a new one; `keep` is told what is on the server and waits for its message
 */
export function attachment({ sessionId, changed, keep }) {
  const el = h('div', { class: 'attachments', hidden: true });
  let current = null;

  function remove() {
    if (!current) return;
    keep(null);
    clear();
  }

  /** Takes it out of sight; what is on its way goes no further, what has arrived stays. */
  function clear() {
    if (!current) return;
    current.abort.abort();
    if (current.preview) URL.revokeObjectURL(current.preview);
    current = null;
    el.replaceChildren();
    el.hidden = true;
    changed();
  }

  async function take(files) {
    const [file, ...rest] = files;
    if (!file) return;
    if (rest.length || current) toast(t('composer.oneFile'));
    if (current) return;
    const mine = {
      file,
      media: null,
      abort: new AbortController(),
      preview: mediaKind(file.type) === 'image' ? URL.createObjectURL(file) : null,
    };
    current = mine;
    await send(mine, showChip(file, mine.preview));
  }

  /** @returns {HTMLElement} the place for how far it is */
  function showChip({ name, size }, picture) {
    const state = h('span', { class: 'chip-state' });
    el.replaceChildren(
      h(
        'div',
        { class: 'chip' },
        picture ? h('img', { src: picture, alt: '' }) : icon('file'),
        h('span', { class: 'chip-name' }, plain(name)),
        h('span', { class: 'small muted' }, bytes(size)),
        state,
        h(
          'button',
          {
            class: 'icon-button small',
            type: 'button',
            aria: { label: t('composer.removeFile', { name }) },
            on: { click: remove },
          },
          icon('close'),
        ),
      ),
    );
    el.hidden = false;
    return state;
  }

  async function send(mine, state) {
    const { file } = mine;
    const progress = h('progress', { max: 1, value: 0, aria: { label: t('composer.uploading', { name: file.name }) } });
    replace(state, progress);
    changed();
    try {
      const most = await bytesMax();
      if (current !== mine) return;
      if (file.size > most) {
        clear();
        tooLarge(file, most);
        return;
      }
      const id = await sessionId();
      if (current !== mine) return;
      mine.media = await upload(`/api/local/sessions/${id}/media`, file, {
        signal: mine.abort.signal,
        onProgress: (f) => {
          progress.value = f;
        },
      });
      keep(mine.media);
      replace(state);
      changed();
    } catch (error) {
      // Nobody has to look for the file once more because the line was cut.
      if (current === mine && error instanceof NetworkError) return offerAgain(mine, state);
      if (current === mine) clear();
      const most = error.status === 413 && Number(/\d{3,}/.exec(error.message)?.[0]);
      if (most) tooLarge(file, most);
      else toastError(error);
    }
  }

  function offerAgain(mine, state) {
    const again = () => send(mine, state);
    replace(
      state,
      h('span', { class: 'danger-text small', role: 'alert' }, t('composer.uploadCut')),
      h('button', { class: 'link-button', type: 'button', on: { click: again } }, t('common.again')),
    );
    changed();
  }

  return {
    el,
    take,
    /** Shows one that was uploaded before. */
    putBack(media) {
      current = { file: null, media, abort: new AbortController(), preview: null };
      showChip(media, mediaKind(media.content_type) === 'image' ? media.url : null);
    },
    /** Takes the uploaded file out, to be sent. */
    release() {
      const media = current?.media ?? null;
      remove();
      return media;
    },
    isEmpty: () => current === null,
    isReady: () => current?.media !== null && current !== null,
    destroy: clear,
  };
}
