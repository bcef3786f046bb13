/** The head of a chat: its name, who answers in it, and what can be done with it. */
import { h, slot } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import * as api from '../api.js';
import { store, putSession, workerName } from '../store.js';
import { getPref, setPref } from '../prefs.js';
import { attachMenu } from './menu.js';
import { chatMenu } from './chat-actions.js';
import { tagList } from './chat-list.js';
import { pageHead } from './page-head.js';
import { toastError } from './toast.js';

/** The bee among who can be chosen. A chat is set to a worker on the server; to the bee, every message is addressed. */
export const BEE = 'bee';

/**
 * @param {{id: () => string|null, pinned: string|null, changed: () => void, left: () => void}} options `pinned` is who
 *   answers in a chat that does not exist yet; `changed` when somebody else shall answer; `left` when the chat was put away
 */
export function chatHead({ id, pinned, changed, left }) {
  const key = () => `answers.${id()}`;
  const session = () => store.sessions.get(id());
  let isBeeChosen = id() !== null && getPref(key()) === BEE;
  const head = pageHead();
  const answers = h('select', {
    class: 'select quiet-select',
    title: t('chat.answers'),
    aria: { label: t('chat.answers') },
    on: { change: () => choose(answers.value || null) },
  });
  const fillAnswers = slot(answers);
  const more = h(
    'button',
    { class: 'icon-button', type: 'button', aria: { label: t('common.actions', { name: t('nav.chats') }) } },
    icon('dots'),
  );
  attachMenu(more, () => chatMenu(session(), left));
  const tags = h('div', { class: 'head-tags' });
  head.setActions(tags, answers, more);

  const isToBee = () => isBeeChosen && !session()?.worker_id;

  async function choose(chosen) {
    isBeeChosen = chosen === BEE;
    pinned = isBeeChosen ? null : chosen;
    if (id()) {
      keep();
      try {
        putSession(await api.patch(`/api/local/sessions/${id()}`, { worker_id: pinned }));
      } catch (error) {
        toastError(error);
      }
    }
    changed();
  }

  function keep() {
    setPref(key(), isBeeChosen ? BEE : null);
  }

  return {
    el: head.el,
    /** Remembers the choice once the chat has an id. */
    keep,
    isToBee,
    /** The worker that a chat to be made is set to. */
    pinned: () => pinned,
    /** Draws it. @returns {string|null} the name of who was chosen to answer */
    render() {
      const s = session();
      head.setTitle(s?.name || t('chat.untitled'));
      more.hidden = !s;
      tagList(tags, s?.tags);
      const value = (s ? s.worker_id : pinned) ?? (isToBee() ? BEE : null);
      const workers = [...store.workers.values()].map((w) => [w.id, w.name]);
      const choices = [['', t('chat.answersAuto')], ...workers, [BEE, t('chat.bee')]];
      fillAnswers(JSON.stringify(workers), () => choices.map(([value_, label]) => h('option', { value: value_ }, label)));
      answers.value = value ?? '';
      answers.hidden = store.workers.size === 0;
      return value === BEE ? t('chat.bee') : workerName(value);
    },
  };
}
