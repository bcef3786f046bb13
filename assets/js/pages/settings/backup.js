/** The backup as a download that says how far it is. */
import { h, replace } from '../../dom.js';
import { t } from '../../strings.js';
import { icon } from '../../icons.js';
import * as api from '../../api.js';
import { bytes } from '../../format.js';
import { describe, toastError } from '../../components/toast.js';
import { actions, block, snippet } from './parts.js';

const SHOWN_EVERY_MS = 100;

export function backupSection() {
  let running = null;
  const secrets = h('input', { type: 'checkbox', checked: true });
  const place = h('div', { class: 'form' });
  const start = h(
    'button',
    { class: 'button primary', type: 'button', on: { click: run } },
    icon('download'),
    t('settings.backup.start'),
  );

  async function run() {
    if (running) return;
    running = new AbortController();
    start.disabled = true;
    const bar = h('progress', { class: 'wide-progress', aria: { label: t('settings.backup') } });
    const said = h('p', { class: 'small muted' }, t('settings.backup.asked'));
    const cancel = h(
      'button',
      { class: 'button small', type: 'button', on: { click: () => running?.abort() } },
      t('common.cancel'),
    );
    replace(place, bar, h('div', { class: 'row' }, said, cancel));
    let shownAt = 0;
    try {
      const done = await download(`/api/backup${secrets.checked ? '' : '?keys=false'}`, running.signal, (received) => {
        if (performance.now() - shownAt < SHOWN_EVERY_MS) return;
        shownAt = performance.now();
        said.textContent = t('settings.backup.received', { size: bytes(received) });
      });
      replace(
        place,
        h(
          'p',
          { class: 'notice', role: 'status' },
          t('settings.backup.done', { name: done.name, size: bytes(done.size) }),
        ),
      );
    } catch (error) {
      const { text, advice } = describe(error);
      const isCancelled = error.name === 'AbortError';
      replace(
        place,
        h(
          'p',
          { class: isCancelled ? 'muted' : 'field-error', role: isCancelled ? 'status' : 'alert' },
          isCancelled ? t('settings.backup.cancelled') : [text, advice].filter(Boolean).join(' '),
        ),
      );
      if (!isCancelled && !(error instanceof api.ApiError)) toastError(error);
    } finally {
      running = null;
      start.disabled = false;
    }
  }

  return {
    el: h(
      'div',
      { class: 'sections' },
      block(
        t('settings.backup.title'),
        t('settings.backup.lead'),
        h(
          'label',
          { class: 'check' },
          secrets,
          h(
            'span',
            null,
            t('settings.backup.secrets'),
            h('span', { class: 'field-hint' }, t('settings.backup.secretsHint')),
          ),
        ),
        place,
        actions(start),
      ),
      block(t('settings.restore'), t('settings.restoreLead'), snippet('skep restore --data NEW_DIRECTORY ARCHIVE')),
      block(t('settings.copy'), t('settings.copyLead')),
    ),
    destroy: () => running?.abort(),
  };
}

/**
 * Fetches with the token, which no address may hold, and hands the whole to the browser to keep: a blob, which it puts
 * on disk itself when it is large. What broke off is no backup and is not kept.
 */
async function download(path, signal, onProgress) {
  const response = await api.request('GET', path, {
    signal,
    headers: { Accept: 'application/zstd, application/json' },
  });
  const name =
    /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? 'skep-backup.tar.zst';
  let received = 0;
  const counted = response.body.pipeThrough(
    new TransformStream({
      transform(piece, out) {
        received += piece.byteLength;
        onProgress(received);
        out.enqueue(piece);
      },
    }),
  );
  let blob;
  try {
    blob = await new Response(counted).blob();
  } catch (error) {
    throw signal.aborted ? new DOMException('aborted', 'AbortError') : new api.NetworkError(error);
  }
  const url = URL.createObjectURL(blob);
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return { name, size: blob.size };
}
