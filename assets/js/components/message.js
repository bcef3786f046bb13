/** Bubbles: what the user said, what a worker answered, and an answer while it is written. */
import { h, replace, setText, slot } from '../dom.js';
import { t, has } from '../strings.js';
import { icon } from '../icons.js';
import { duration, executionDuration, fullTime, plain, sentence, timeOfDay, usage } from '../format.js';
import { store, isWaiting, workerName, shownStatus, stopExecution, retryExecution, isFinal } from '../store.js';
import { liveOf } from '../live.js';
import { avatar } from './avatar.js';
import { mediaList } from './media.js';
import { steps } from './steps.js';
import { workingDots } from './status.js';
import { copyButton } from './copy.js';
import { rendered } from './rendered.js';
import { toastError } from './toast.js';
import { editMessage } from './edit-message.js';

const BAD = new Set(['failed', 'cancelled', 'interrupted']);

/**
 * What the user sent. Items: `{message, queued?: {position, executionId}, state?: 'sending'|'waiting'|'failed', onResend?,
 * canEdit?, edited?: string}`; `edited` is its text while it is said differently.
 * @param {object} item
 * @param {{edit: (message: object) => void, keepEdit: (message: object, text: string) => void,
 *          resend: (message: object, text: string) => void, endEdit: (message: object) => void}} ways
 */
export function userMessage(item, ways) {
  const text = h('div', { class: 'bubble' });
  const foot = h('div', { class: 'message-foot' });
  const el = h('article', { class: 'message message-user', aria: { label: t('chat.you') } }, text, foot);
  const fillFoot = slot(foot);
  let shown = '';
  const editor = (message, edited) =>
    editMessage(edited, {
      onChange: (changed) => ways.keepEdit(message, changed),
      onSend: (changed) => ways.resend(message, changed),
      onCancel: () => ways.endEdit(message),
    });
  const update = (next) => {
    const { message, queued, state } = next;
    const isEdited = next.edited !== undefined;
    const key = `${isEdited}\n${message.content}\n${JSON.stringify(message.media ?? [])}`;
    if (key !== shown) {
      shown = key;
      const said = () => message.content && h('div', { class: 'bubble-text' }, message.content);
      replace(text, isEdited ? editor(message, next.edited) : said(), mediaList(message.media));
    }
    el.classList.toggle('is-pending', Boolean(queued || state));
    el.classList.toggle('is-edited', isEdited);
    const isStopping = queued && store.stopping.has(queued.executionId);
    fillFoot(JSON.stringify([message.ts, queued, state, next.why, isStopping, next.canEdit, isEdited]), () =>
      isEdited ? null : footOf(next, ways),
    );
  };
  update(item);
  return { el, update };
}

function footOf({ message, queued, state, why, onResend, onDiscard, canEdit }, ways) {
  if (state === 'failed') {
    return [
      h('span', { class: 'danger-text' }, why ?? t('chat.notSent')),
      h('button', { class: 'link-button', type: 'button', on: { click: onResend } }, t('common.again')),
      h('button', { class: 'link-button', type: 'button', on: { click: onDiscard } }, t('common.delete')),
    ];
  }
  if (state === 'waiting') {
    return [
      icon('clock'),
      h('span', { class: 'unsent' }, why ?? t('chat.waits')),
      h('button', { class: 'link-button', type: 'button', on: { click: onDiscard } }, t('common.delete')),
    ];
  }
  if (state === 'sending') return h('span', null, t('chat.sending'));
  if (queued) {
    const isStopping = store.stopping.has(queued.executionId);
    return [
      icon('clock'),
      h('span', null, isStopping ? t('chat.stopping') : t('chat.queued', { n: queued.position ?? 0 })),
      !isStopping &&
        h(
          'button',
          {
            class: 'link-button',
            type: 'button',
            on: { click: () => stopExecution(queued.executionId).catch(toastError) },
          },
          t('chat.unqueue'),
        ),
    ];
  }
  return [
    canEdit && smallButton('pencil', t('edit.start'), () => ways.edit(message)),
    message.content && copyButton(() => message.content),
    h('time', { title: fullTime(message.ts) }, timeOfDay(message.ts)),
  ];
}

const smallButton = (glyph, label, click) =>
  h('button', { class: 'icon-button small', type: 'button', title: label, aria: { label }, on: { click } }, icon(glyph));


/**
 * What a worker answered; also the place where it is written, so that nothing jumps when it is done.
 * @param {object} item
 * @param {{askBee: (executionId: string, name: string) => void, editWorker: (workerId: string) => void}} ways what one can
 *   do about a worker whose engine is not ready
 */
export function reply(item, ways) {
  const { executionId } = item;
  const face = h('div', { class: 'reply-face' });
  const name = h('span', { class: 'reply-name' });
  const stage = h('span', { class: 'reply-stage' });
  const text = rendered();
  const media = h('div', { class: 'reply-media' });
  const outcome = h('div', { class: 'outcome-slot' });
  const foot = h('div', { class: 'message-foot' });
  const fillOutcome = slot(outcome);
  const fillFoot = slot(foot);
  const stepsView = executionId ? steps(executionId) : null;
  const el = h(
    'article',
    { class: 'message message-reply' },
    face,
    h(
      'div',
      { class: 'reply-main' },
      h('header', { class: 'reply-head' }, name, stage),
      stepsView?.el,
      text.el,
      stepsView?.asks,
      media,
      outcome,
      foot,
    ),
  );
  let author = null;
  let shownFinal = null;
  let stageKey = '';

  const setAuthor = (next) => {
    const label = next ?? t('chat.bee');
    if (author === label) return;
    author = label;
    replace(face, avatar(next));
    setText(name, label);
    el.setAttribute('aria-label', label);
  };

  const setStage = (text) => {
    if (stageKey === text) return;
    stageKey = text;
    replace(stage, text && [workingDots(), h('span', null, text)]);
  };

  const stageOf = (execution) => {
    if (store.stopping.has(executionId)) return t('chat.stopping');
    if (isWaiting(execution)) return t('permission.stage');
    if (execution?.status === 'pending') return t('chat.queued', { n: execution.queue_position ?? 0 });
    return t('chat.working');
  };

  const updateLive = () => {
    const execution = store.executions.get(executionId);
    const live = liveOf(executionId);
    setAuthor(workerName(execution?.worker_id, execution?.worker_name));
    stepsView.update(live, true);
    text.showLive(live);
    setStage(stageOf(execution));
  };

  const updateFinal = ({ message, isLatest }) => {
    const execution = store.executions.get(executionId);
    setAuthor(message.author?.worker_id ? plain(message.author.name) : null);
    setStage('');
    const live = liveOf(executionId);
    if (live) stepsView?.update(live, false);
    if (shownFinal !== message) {
      shownFinal = message;
      text.showFinal(message);
      replace(media, mediaList(message.media));
    }
    const status = shownStatus({ status: message.status, error: message.error ?? execution?.error });
    fillOutcome(`${status} ${execution?.error} ${execution?.engine}`, () => outcomeOf(message, execution, status, ways));
    const factList = facts(message, execution);
    const canRetry = isLatest && status === 'completed';
    fillFoot(JSON.stringify([factList, message.ts, canRetry]), () => replyFoot(message, factList, execution, canRetry));
  };

  const replyFoot = (message, factList, execution, canRetry) => [
    h(
      'span',
      { class: 'facts' },
      h('time', { title: fullTime(message.ts) }, timeOfDay(message.ts)),
      factList.map((fact) => h('span', null, fact)),
      because(execution),
    ),
    message.content && copyButton(() => message.content),
    canRetry && smallButton('retry', t('chat.answerAgain'), () => retryExecution(executionId).catch(toastError)),
    executionId &&
      h(
        'a',
        {
          class: 'icon-button small',
          href: `/executions/${executionId}`,
          data: { route: '' },
          title: t('chat.details'),
          aria: { label: t('chat.details') },
        },
        icon('executions'),
      ),
  ];

  const update = (next) => (next.message ? updateFinal(next) : updateLive());
  update(item);
  return { el, update };
}

/** The small print: engine, model, how long, tokens and cost. */
function facts(message, execution) {
  if (!execution) return [];
  const ran = executionDuration(execution);
  // A model server may call a model by the path of its file; the execution's page has all of it.
  const model = execution.model?.split('/').at(-1);
  return [
    execution.engine,
    model !== execution.engine && model,
    ran !== null && isFinal(execution.status) && duration(ran),
    usage(execution.usage),
  ].filter(Boolean);
}

/**
 * Why this one answered, in few words; the sentence is in its title. Nothing where that is what one expects: nobody was
 * meant, whoever answered before goes on, or the head of the chat says who answers.
 */
function because(execution) {
  const key = `chat.because.${execution?.routing}`;
  if (store.workers.size === 0 || !has(key)) return null;
  const name = workerName(execution.worker_id, execution.worker_name) ?? t('chat.aBee');
  return h('span', { title: t(`exec.routing.${execution.routing}`, { name }) }, t(key));
}

/** Trying again is of no use before somebody has seen to the engine. */
const NOT_READY = /^(engine_missing|not_signed_in): /;

function outcomeOf(message, execution, status, ways) {
  if (!BAD.has(status)) return null;
  const error = message.error ?? execution?.error;
  const why = status === 'failed' && error ? sentence(error) : t(`chat.why.${status}`);
  const isNotReady = status === 'failed' && NOT_READY.test(error ?? '');
  const isWorker = isNotReady && Boolean(message.author?.worker_id);
  const title = isNotReady
    ? t('chat.notReady', {
        name: isWorker ? plain(message.author.name) : t('chat.theBee'),
        engine: execution?.engine ?? '',
      })
    : t(`chat.status.${status}`);
  const retry = h(
    'button',
    {
      class: 'button small',
      type: 'button',
      on: {
        click: async () => {
          retry.disabled = true;
          try {
            await retryExecution(message.executionId);
          } catch (e) {
            toastError(e);
          }
          retry.disabled = false;
        },
      },
    },
    icon('retry'),
    t('common.retry'),
  );
  return h(
    'div',
    { class: `outcome outcome-${status}${isWorker ? ' outcome-choices' : ''}` },
    h('div', { class: 'outcome-text' }, h('strong', null, title), h('span', null, why)),
    isWorker &&
      h(
        'button',
        {
          class: 'button small',
          type: 'button',
          on: { click: () => ways.askBee(message.executionId, message.author.name) },
        },
        t('chat.askBee'),
      ),
    isWorker &&
      store.workers.has(message.author.worker_id) &&
      h(
        'button',
        { class: 'button small', type: 'button', on: { click: () => ways.editWorker(message.author.worker_id) } },
        icon('pencil'),
        t('workers.editTitle', { name: plain(message.author.name) }),
      ),
    message.executionId && retry,
  );
}
