/** How to reach this from a phone or another computer: the sign-in link, and what to start Skep with. */
import { h, replace } from '../../dom.js';
import { t } from '../../strings.js';
import * as api from '../../api.js';
import { timeOfDay } from '../../format.js';
import { actionButton } from '../../components/dialog.js';
import { block, fetched, snippet } from './parts.js';

export function devicesSection() {
  const list = fetched(
    () => api.get('/api/settings'),
    (settings) => [
      block(t('settings.reach'), t(`settings.reach.${settings.reach}`, { url: settings.url })),
      linkBlock(settings),
      settings.reach === 'loopback' && waysBlock(settings),
    ],
  );
  return { el: list.el };
}

function linkBlock({ reach }) {
  const shown = h('div', { class: 'form' });
  const make = actionButton(
    t('settings.makeLink'),
    async () => {
      const { url, expires_at: end } = await api.post('/api/auth/sign-in-link');
      replace(
        shown,
        snippet(url),
        h('p', { class: 'field-hint', role: 'status' }, t('settings.linkGood', { time: timeOfDay(end) })),
      );
    },
    { kind: '' },
  );
  return block(
    t('settings.link'),
    t(reach === 'loopback' ? 'settings.linkLeadHere' : 'settings.linkLead'),
    shown,
    h('div', { class: 'row block-actions' }, make),
  );
}

/** What opens it to other machines, the easiest first. */
function waysBlock({ url }) {
  const { port } = new URL(url);
  return [
    block(
      t('settings.way.tunnel'),
      t('settings.way.tunnelLead'),
      snippet(`tailscale serve --bg ${port}`),
      h('p', { class: 'muted' }, t('settings.way.publicUrl')),
      snippet('public_url = "https://MACHINE.TAILNET.ts.net"'),
    ),
    block(
      t('settings.way.tls'),
      t('settings.way.tlsLead'),
      snippet('SKEP_PUBLIC_URL=https://NAME:8443 skep --listen 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem'),
    ),
    block(
      t('settings.way.proxy'),
      t('settings.way.proxyLead'),
      snippet(`public_url = "https://example.org"\ntrusted_proxies = ["127.0.0.1"]`),
      h('p', { class: 'muted' }, t('settings.way.proxyElsewhere')),
      snippet(`skep --listen 0.0.0.0:${port} --behind-proxy`),
    ),
  ];
}
