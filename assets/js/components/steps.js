/** The steps of a run: thinking, tool calls with arguments and output, permission requests. */
import { growText, h, reconcile, replace, setText } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { plain } from '../format.js';
import { diffOf } from './diff.js';
import { permissionCard } from './permission.js';

/** How many calls of a long run are shown without being asked for. */
const TOOLS_SHOWN = 3;
const SHOWN_CHARS_MAX = 20_000;
// What is searched for says more than where.
const TARGET_KEYS = [
  'pattern',
  'file_path',
  'path',
  'file',
  'command',
  'cmd',
  'url',
  'query',
  'q',
  'name',
  'key',
  'description',
];

const GLYPHS = [
  [/bash|shell|exec|command|terminal|run/i, 'terminal'],
  [/edit|write|patch|create/i, 'pencil'],
  [/read|file|cat|view/i, 'file'],
  [/search|grep|find/i, 'search'],
  [/glob|list|ls|dir/i, 'folder'],
  [/web|fetch|http|url/i, 'globe'],
  [/worker|agent/i, 'workers'],
  [/task|schedule/i, 'clock'],
];

const glyphOf = (name) => GLYPHS.find(([pattern]) => pattern.test(name))?.[1] ?? 'tool';

/** What a tool call is about, in a few words: the path, the command, the query. */
function targetOf(args) {
  if (typeof args === 'string') return args.split('\n', 1)[0];
  if (!args || typeof args !== 'object') return '';
  if (Array.isArray(args.argv)) return args.argv.join(' ').split('\n', 1)[0].slice(0, 200);
  const key = TARGET_KEYS.find((k) => typeof args[k] === 'string' && args[k]);
  const value = key ? args[key] : (Object.values(args).find((v) => typeof v === 'string') ?? '');
  return value.split('\n', 1)[0].slice(0, 200);
}

function pretty(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}\n…` : text;
}

const isNothing = (value) =>
  value === null ||
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** Whether the card's own line says all of it already. */
const isOnlyTarget = (args) =>
  typeof args === 'object' && Object.keys(args).length === 1 && Object.values(args)[0] === targetOf(args);

/** A card for one tool call. */
function toolCard(tool) {
  const state = h('span', { class: 'tool-state' });
  const target = h('span', { class: 'tool-target' });
  const body = h('div', { class: 'tool-body' });
  const glyph = h('span', { class: 'tool-glyph' }, icon(glyphOf(tool.name ?? '')));
  const name = h('span', { class: 'tool-name' });
  let current = tool;
  const el = h(
    'details',
    { class: 'tool' },
    h('summary', null, glyph, name, target, state, h('span', { class: 'chevron' }, icon('right'))),
    body,
  );
  const fill = () => {
    const change = diffOf(current.args);
    const args = change ? change.rest : current.args;
    replace(
      body,
      !isNothing(args) && !isOnlyTarget(args) && [h('h4', null, t('tool.args')), h('pre', { tabindex: 0 }, pretty(args))],
      change && [h('h4', null, t('diff.label')), change.el],
      !isNothing(current.output) && [
        h('h4', null, t('tool.output')),
        h('pre', { tabindex: 0 }, pretty(current.output)),
      ],
    );
  };
  el.addEventListener('toggle', () => {
    if (el.open) fill();
  });
  const update = (next) => {
    const isSame = next === current && el.dataset.state === next.state;
    current = next;
    if (isSame) return;
    el.dataset.state = next.state;
    setText(name, plain(next.name ?? ''));
    setText(target, plain(targetOf(next.args)));
    setText(state, t(`tool.${next.state}`));
    if (el.open) fill();
  };
  update(tool);
  return { el, update };
}

/**
 * The steps of one execution. What it asks for stands by itself in `asks`, below what it said before it asked, until it is
 * answered.
 * @param {string} executionId
 * @returns {{el: HTMLElement, asks: HTMLElement, update: (live: import('../live.js').Live|undefined, isRunning: boolean) => void}}
 */
export function steps(executionId) {
  const thinkingText = h('div', { class: 'thinking-text' });
  const thinkingLabel = h('span', null);
  const thinking = h(
    'details',
    { class: 'thinking', hidden: true },
    h('summary', null, icon('thought'), thinkingLabel, h('span', { class: 'chevron' }, icon('right'))),
    thinkingText,
  );
  const tools = h('div', { class: 'tools' });
  let isUnfolded = false;
  const unfold = h('button', {
    class: 'link-button tools-unfold',
    type: 'button',
    hidden: true,
    on: {
      click: () => {
        isUnfolded = true;
        fold();
        tools.querySelector('summary')?.focus();
      },
    },
  });

  /** Of many calls only the latest stand there. */
  function fold() {
    const earlier = tools.childElementCount - TOOLS_SHOWN;
    const isFolded = !isUnfolded && earlier > 1;
    [...tools.children].forEach((el, i) => {
      el.hidden = isFolded && i < earlier && !el.open;
    });
    unfold.hidden = !isFolded;
    if (isFolded) setText(unfold, t('tool.earlier', { n: earlier }));
  }

  const permissions = h('div', { class: 'permissions' });
  const asks = h('div', { class: 'permissions asks' });
  const toolViews = new Map();
  const cards = new Map();

  function showPermission(request) {
    let card = cards.get(request.request_id);
    if (card) card.update(request);
    else cards.set(request.request_id, (card = permissionCard(request, executionId)));
    const place = request.decision ? permissions : asks;
    if (card.el.parentElement === place) return;
    const focused = card.el.contains(document.activeElement) && document.activeElement;
    place.append(card.el);
    if (focused) focused.focus({ preventScroll: true });
  }

  return {
    el: h('div', { class: 'steps' }, thinking, unfold, tools, permissions),
    asks,
    update(live, isRunning) {
      thinking.hidden = !live?.thinking;
      if (live?.thinking) {
        setText(thinkingLabel, isRunning && !live.text ? t('chat.thinking') : t('chat.thought'));
        thinking.classList.toggle('active', isRunning && !live.text);
        growText(thinkingText, live.thinking);
      }
      const asked = new Map([...(live?.permissions.values() ?? [])].map((p) => [p.call_id, p.decision ?? 'waiting']));
      const list = [...(live?.tools.values() ?? [])].map((tool) => {
        const answer = asked.get(tool.id);
        if (tool.state === 'failed' && answer === 'deny') return { ...tool, state: 'denied' };
        if (tool.state !== 'running') return tool;
        if (!isRunning) return { ...tool, state: 'unknown' };
        return answer === 'waiting' ? { ...tool, state: 'waiting' } : tool;
      });
      // The request shows all of a call that waits for it.
      const told = list.filter((tool) => tool.state !== 'waiting');
      reconcile(tools, told, (tool) => tool.id, toolCard, toolViews);
      fold();
      for (const request of live?.permissions.values() ?? []) showPermission(request);
      for (const [id, card] of cards) {
        if (live?.permissions.has(id)) continue;
        card.destroy();
        card.el.remove();
        cards.delete(id);
      }
    },
  };
}
