/** The engines on this machine, and the one thing that mends each that cannot be used. */
import { h } from '../../dom.js';
import { t } from '../../strings.js';
import { engineState, engineWords, fixOf, isReady, look } from '../../components/engine-field.js';
import { stateBadge } from '../../components/status.js';
import { actionButton } from '../../components/dialog.js';
import { fetched, facts } from './parts.js';

const MODELS_SHOWN_MAX = 6;

export function enginesSection() {
  const list = fetched(look, (engines) => [
    h(
      'div',
      { class: 'section-intro' },
      h('p', { class: 'muted' }, t('settings.enginesLead')),
      actionButton(t('settings.lookAgain'), () => list.reload(), { kind: 'small' }),
    ),
    engines.sort(byUse).map(engineCard),
  ]);
  return { el: list.el };
}

const byUse = (a, b) => isReady(b) - isReady(a) || b.found - a.found || a.name.localeCompare(b.name);

function engineCard(engine) {
  const state = engineState(engine);
  const models = engine.models ?? [];
  const more = models.length - MODELS_SHOWN_MAX;
  const about = engineWords(engine);
  const known = [
    [t('settings.engine.version'), engine.version],
    [t('settings.engine.path'), engine.path && h('code', { class: 'path-full' }, engine.path)],
    [t('settings.engine.url'), engine.url && h('code', { class: 'path-full' }, engine.url)],
    [
      t('settings.engine.models'),
      models.length > 0 &&
        [models.slice(0, MODELS_SHOWN_MAX).join(', '), more > 0 && t('settings.engine.more', { n: more })]
          .filter(Boolean)
          .join(' '),
    ],
    [t('settings.engine.confinement'), engine.found && engine.confinement],
  ].filter(([, value]) => value);
  return h(
    'section',
    { class: 'card block' },
    h(
      'header',
      { class: 'engine-head' },
      h('h2', { class: 'section-title' }, engine.name),
      stateBadge(
        { ready: 'completed', signedOut: 'paused', missing: 'cancelled' }[state],
        t(`settings.engine.${state}`),
      ),
    ),
    about && h('p', { class: 'muted block-lead' }, about),
    engine.auto && h('p', { class: 'block-lead' }, t('settings.engine.auto')),
    !isReady(engine) && engine.why_not && h('p', null, engine.why_not),
    engine.fix && fixOf(engine),
    known.length > 0 && facts(known),
  );
}
