/** Where messages are written: grows with its text, keeps its draft, takes files, completes names. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { getPref, setPref } from '../prefs.js';
import { keepAsDraft, keepFile, keptFile } from '../unsent.js';
import { mentions } from './mention.js';
import { attachment } from './attachment.js';
import { toast } from './toast.js';

const isTouch = matchMedia('(pointer: coarse)');
/** What is longer is no message to read: pasted, it goes along as a file, as which it may also be large. */
const PASTE_CHARS_MAX = 60_000;

/**
 * @param {{draftKey: string, sessionId: () => Promise<string>, onSend: (content: string, media: object|null) => void,
 *          onStop: () => void, onEditLast: () => void, dropTarget: HTMLElement}} options
 */
export function composer({ draftKey, sessionId, onSend, onStop, onEditLast, dropTarget }) {
  let key = draftKey;
  const input = h('textarea', {
    class: 'composer-input',
    rows: 1,
    placeholder: t('composer.placeholder'),
    aria: { label: t('composer.label') },
    enterkeyhint: isTouch.matches ? 'enter' : 'send',
  });
  const files = h('input', {
    type: 'file',
    class: 'visually-hidden',
    tabindex: -1,
    aria: { hidden: 'true' },
    on: {
      change: () => {
        attached.take([...files.files]);
        files.value = '';
      },
    },
  });
  const send = h(
    'button',
    {
      class: 'send-button',
      type: 'button',
      title: t('composer.send'),
      aria: { label: t('composer.send') },
      on: { click: submit },
    },
    icon('send'),
  );
  const stop = h(
    'button',
    { class: 'stop-button', type: 'button', hidden: true, title: t('composer.stopHint'), on: { click: onStop } },
    icon('stop'),
    h('span', null, t('composer.stop')),
  );
  const attachButton = h(
    'button',
    {
      class: 'icon-button',
      type: 'button',
      title: t('composer.attach'),
      aria: { label: t('composer.attach') },
      on: { click: () => files.click() },
    },
    icon('attach'),
  );
  const attached = attachment({ sessionId, changed: refresh, keep: (media) => keepFile(key, media) });
  const names = mentions(input);
  const el = h(
    'div',
    { class: 'composer' },
    names.el,
    h(
      'div',
      { class: 'composer-box' },
      attached.el,
      input,
      h(
        'div',
        { class: 'composer-bar' },
        attachButton,
        files,
        h('span', { class: 'composer-hint' }, t('composer.hint')),
        stop,
        send,
      ),
    ),
  );

  function refresh() {
    send.disabled = !(attached.isReady() || (input.value.trim() !== '' && attached.isEmpty()));
    if (!attached.isEmpty() && attached.isReady() === false) send.disabled = true;
  }

  function autosize() {
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
  }

  function setText(text) {
    input.value = text;
    setPref(key, text);
    autosize();
    refresh();
  }

  function submit() {
    const content = input.value.trim();
    if (!attached.isEmpty() && !attached.isReady()) {
      toast(t('composer.uploadFirst'));
      return;
    }
    if (!content && attached.isEmpty()) return;
    const media = attached.release();
    setText('');
    onSend(content, media);
    input.focus();
  }

  input.addEventListener('input', () => {
    setPref(key, input.value);
    autosize();
    names.onInput();
    refresh();
  });
  input.addEventListener('keydown', (event) => {
    if (names.onKey(event)) return;
    if (event.key === 'ArrowUp' && input.value === '' && !event.isComposing) {
      event.preventDefault();
      onEditLast();
      return;
    }
    // On a touch keyboard Enter is the only way to a new line; the button sends.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || isTouch.matches) return;
    event.preventDefault();
    submit();
  });
  input.addEventListener('paste', (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length === 0 && text.length > PASTE_CHARS_MAX)
      pasted.push(new File([text], t('composer.pastedName'), { type: 'text/plain' }));
    if (pasted.length === 0) return;
    event.preventDefault();
    attached.take(pasted);
  });

  const hasFiles = (event) => event.dataTransfer?.types?.includes('Files');
  let depth = 0;
  const shade = (isOn) => dropTarget.classList.toggle('is-dropping', isOn);
  dropTarget.addEventListener('dragenter', (e) => {
    if (hasFiles(e)) {
      depth += 1;
      shade(true);
    }
  });
  dropTarget.addEventListener('dragleave', (e) => {
    if (hasFiles(e) && (depth -= 1) <= 0) {
      depth = 0;
      shade(false);
    }
  });
  dropTarget.addEventListener('dragover', (e) => {
    if (hasFiles(e)) e.preventDefault();
  });
  dropTarget.addEventListener('drop', (e) => {
    if (!hasFiles(e)) return;
    e.preventDefault();
    depth = 0;
    shade(false);
    attached.take([...e.dataTransfer.files]);
  });

  input.value = getPref(key, '');
  const file = keptFile(key);
  if (file) attached.putBack(file);
  refresh();
  requestAnimationFrame(autosize);

  return {
    el,
    focus: () => input.focus(),
    setText: (text) => {
      setText(text);
      input.focus();
    },
    /** Shows who will be written to. */
    setPlaceholder: (text) => {
      input.placeholder = text;
    },
    /** The chat has an id now: its draft is kept under it. */
    moveDraft(next) {
      setPref(next, input.value);
      setPref(key, null);
      key = next;
    },
    /** The chat is gone: what was being written in it begins another. */
    saveDraft() {
      keepAsDraft(input.value);
      setPref(key, null);
      keepFile(key, null);
    },
    /** Shows or hides the stop button. @param {null|'running'|'stopping'} state */
    setStop(state) {
      stop.hidden = state === null;
      stop.disabled = state === 'stopping';
      stop.lastElementChild.textContent = state === 'stopping' ? t('chat.stopping') : t('composer.stop');
    },
    isCompleting: () => names.isOpen(),
    destroy: () => attached.destroy(),
  };
}
