/** Files of a message: images, sound, video and PDF in place, anything else as a card. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { bytes, plain } from '../format.js';

/** `image`, `audio`, `video`, `pdf` or `file`. SVG is a file: it may hold script. */
export function mediaKind(contentType = '') {
  if (/^image\/(?!svg)/.test(contentType)) return 'image';
  if (contentType.startsWith('audio/')) return 'audio';
  if (contentType.startsWith('video/')) return 'video';
  if (contentType === 'application/pdf') return 'pdf';
  return 'file';
}

/** Only addresses of this server are followed, whatever a message says. */
function safeUrl(url) {
  try {
    const parsed = new URL(url, location.origin);
    return parsed.origin === location.origin ? parsed.pathname + parsed.search : null;
  } catch {
    return null;
  }
}

/**
 * @param {{name: string, url: string, size?: number, content_type?: string}[]} media
 * @returns {HTMLElement|null}
 */
export function mediaList(media) {
  const items = (media ?? []).map(mediaItem).filter(Boolean);
  return items.length ? h('div', { class: 'media-list' }, items) : null;
}

function mediaItem(item) {
  const url = safeUrl(item.url);
  if (!url) return null;
  const kind = mediaKind(item.content_type);
  item = { ...item, name: plain(item.name) };
  if (kind === 'image') {
    return h(
      'a',
      {
        class: 'media-image',
        href: url,
        target: '_blank',
        rel: 'noopener',
        aria: { label: t('media.open', { name: item.name }) },
      },
      h('img', { src: url, alt: item.name, loading: 'lazy', decoding: 'async' }),
    );
  }
  if (kind === 'audio')
    return h(
      'figure',
      { class: 'media-av' },
      h('audio', { src: url, controls: true, preload: 'metadata' }),
      h('figcaption', null, item.name),
    );
  if (kind === 'video')
    return h(
      'figure',
      { class: 'media-av' },
      h('video', { src: url, controls: true, preload: 'metadata', playsinline: true }),
      h('figcaption', null, item.name),
    );
  const label = t(kind === 'pdf' ? 'media.open' : 'media.download', { name: item.name });
  const size = item.size !== undefined && item.size !== null && h('span', { class: 'small muted' }, bytes(item.size));
  const about = [icon('file'), h('span', { class: 'file-name' }, item.name), size];
  if (kind === 'pdf' && navigator.pdfViewerEnabled) return pdf(url, item.name, about, label);
  return h(
    'a',
    {
      class: 'file-card',
      href: url,
      title: label,
      ...(kind === 'pdf' ? { target: '_blank', rel: 'noopener' } : { download: item.name }),
    },
    about,
  );
}

/** A card that unfolds to the pages themselves, which are fetched then. */
function pdf(url, name, about, label) {
  const place = h('div', { class: 'pdf-place' });
  const el = h(
    'details',
    {
      class: 'media-pdf',
      on: {
        toggle: () => {
          if (!el.open || place.firstChild) return;
          place.append(
            h('iframe', { src: url, title: name }),
            h('a', { class: 'small', href: url, target: '_blank', rel: 'noopener' }, label),
          );
        },
      },
    },
    h('summary', { class: 'file-card' }, about, h('span', { class: 'chevron' }, icon('right'))),
    place,
  );
  return el;
}
