/** What an empty chat says: a welcome, the first time with what was found on this machine, and things one could ask. */
import { h, replace } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { store } from '../store.js';
import { avatar } from '../components/avatar.js';
import { engineState, fixOf, isReady } from '../components/engine-field.js';
import { stateBadge } from '../components/status.js';
import { icon, skepMark } from '../icons.js';
import { onCall } from '../later.js';

const workerDialog = onCall(async () => (await import('./worker-dialog.js')).workerDialog);
const SUGGESTIONS = ['chat.suggest.1', 'chat.suggest.2', 'chat.suggest.3'];

/** @param {{name: string|null, onSuggest: (text: string) => void}} options */
export function greeting({ name, onSuggest }) {
  if (name)
    return h(
      'section',
      { class: 'greeting' },
      avatar(name, 'large'),
      h('h1', null, t('chat.greetingWorker', { name })),
    );
  const isFirst = store.sessions.size === 0;
  return h(
    'section',
    { class: 'greeting' },
    h('div', { class: 'greeting-mark' }, skepMark()),
    h('h1', null, t(isFirst ? 'welcome.title' : 'chat.greeting')),
    h('p', { class: 'muted' }, t('chat.greetingLead')),
    isFirst && welcome(),
    h(
      'div',
      { class: 'suggestions' },
      SUGGESTIONS.map((key) =>
        h('button', { class: 'suggestion', type: 'button', on: { click: () => onSuggest(t(key)) } }, t(key)),
      ),
    ),
  );
}

/** The bee looks around, says what it found, and what to do next. */
function welcome() {
  const text = h('div', { class: 'welcome-text', role: 'status' }, h('p', null, t('welcome.looking')));
  api.get('/api/engines?versions=false').then(
    (engines) => replace(text, found(engines)),
    // The chat works all the same.
    () => replace(text, h('p', null, t('welcome.notFound'))),
  );
  return h('div', { class: 'welcome' }, avatar(null, 'small'), text);
}

function found(engines) {
  const thinking = engines.filter((engine) => isReady(engine) && engine.kind !== 'builtin');
  const absent = engines.filter((engine) => engineState(engine) === 'missing').map((engine) => engine.name);
  const signedOut = engines.find((engine) => engineState(engine) === 'signedOut');
  const missing =
    engines.find((engine) => engine.name === 'claude' && engine.fix) ?? engines.find((engine) => engine.fix);
  return [
    h('p', null, t('welcome.found')),
    h(
      'ul',
      { class: 'welcome-engines' },
      engines
        .filter((engine) => engineState(engine) !== 'missing')
        .map((engine) =>
          h(
            'li',
            null,
            stateBadge(
              isReady(engine) ? 'completed' : 'paused',
              `${engine.name} · ${t(`settings.engine.${engineState(engine)}`)}`,
            ),
          ),
        ),
    ),
    absent.length > 0 && h('p', { class: 'small muted' }, t('welcome.absent', { list: absent.join(', ') })),
    thinking.length > 0
      ? readyNext(thinking)
      : signedOut
        ? fixNext('welcome.signIn', signedOut)
        : fixNext('welcome.none', missing),
  ];
}

/** Who answers here is what `auto` takes; the settings may prefer the built-in assistant. */
function nextWords(thinking) {
  const answering = thinking.find((engine) => engine.auto);
  return t(answering ? 'welcome.ready' : 'welcome.readyNamed', { name: (answering ?? thinking[0]).name });
}

const readyNext = (thinking) => [
  h('p', null, nextWords(thinking)),
  h(
    'button',
    { class: 'button primary', type: 'button', on: { click: () => workerDialog(null) } },
    icon('plus'),
    t('welcome.firstWorker'),
  ),
];

function fixNext(key, engine) {
  if (!engine?.fix) return h('p', null, t('welcome.plain'));
  return [
    h('p', null, t(key, { name: engine.name })),
    fixOf(engine),
    h('p', { class: 'small' }, h('a', { href: '/settings/engines', data: { route: '' } }, t('welcome.others'))),
  ];
}
