/** What answers here, where it keeps everything, how it is. */
import { h } from '../../dom.js';
import { t } from '../../strings.js';
import { icon } from '../../icons.js';
import { below } from '../../base.js';
import * as api from '../../api.js';
import { store } from '../../store.js';
import { stateBadge } from '../../components/status.js';
import { block, facts, fetched } from './parts.js';

export function aboutSection() {
  const list = fetched(load, ([version, settings, ready]) => [
    block(
      t('app.name'),
      t('settings.aboutLead'),
      facts([
        [t('settings.version'), version.version],
        [t('settings.dataDir'), h('code', { class: 'path-full' }, settings.data_dir)],
        [t('settings.listens'), settings.listen],
        [t('settings.instance'), h('code', { class: 'path-full' }, store.me?.instance_id ?? '')],
        [t('settings.licence'), 'MIT'],
      ]),
      h(
        'div',
        { class: 'row block-actions' },
        h('a', { class: 'button', href: '/docs', target: '_blank', rel: 'noopener' }, icon('file'), t('menu.docs')),
      ),
    ),
    block(
      t('settings.health'),
      ready.reason ?? t('settings.healthy'),
      h(
        'ul',
        { class: 'health' },
        (ready.parts ?? []).map((part) =>
          h(
            'li',
            null,
            stateBadge(part.ok ? 'completed' : 'failed', t(`settings.part.${part.name}`)),
            part.reason && h('span', { class: 'small muted' }, part.reason),
          ),
        ),
      ),
    ),
  ]);
  return { el: list.el };
}

const load = () => Promise.all([api.get('/api/version'), api.get('/api/settings'), readiness()]);

/** `/readyz` answers 503 when something is wrong, with the same body. */
async function readiness() {
  try {
    const response = await fetch(below('/readyz'), { headers: { Accept: 'application/json' } });
    return await response.json();
  } catch (cause) {
    throw new api.NetworkError(cause);
  }
}
