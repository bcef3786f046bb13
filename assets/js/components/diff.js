/** What an edit changes, line by line: of two texts, or of a patch that says so itself. */
import { h } from '../dom.js';
import { t } from '../strings.js';

/** Comparing takes the product of both lengths; longer texts are shown as taken out and put in. */
const COMPARED_LINES_MAX = 600;
const SHOWN_LINES_MAX = 2000;
const OLD_KEYS = ['old_string', 'old_str', 'old_text', 'old'];
const NEW_KEYS = ['new_string', 'new_str', 'new_text', 'new'];
const PATCH_KEYS = ['patch', 'diff', 'input'];

const textAt = (args, keys) => {
  const key = keys.find((k) => typeof args[k] === 'string');
  return key && { key, text: args[key] };
};

const isPatch = (text) => /^(?:@@|\*\*\* (?:Begin Patch|Update File|Add File)|diff --git |--- \S)/m.test(text);

/**
 * The changes that a call's arguments ask for, and the arguments that are left to show.
 * @returns {{el: HTMLElement, rest: object}|null} null where it changes nothing line by line
 */
export function diffOf(args) {
  if (typeof args === 'string') return isPatch(args) ? { el: view(ofPatch(args)), rest: {} } : null;
  if (!args || typeof args !== 'object') return null;
  const edits = Array.isArray(args.edits) ? args.edits : [args];
  const changes = edits.map((edit) => edit && changeOf(edit)).filter(Boolean);
  if (changes.length === 0) return null;
  const used = new Set(['edits', ...changes.flatMap((change) => change.keys)]);
  const rest = Object.fromEntries(Object.entries(args).filter(([key]) => !used.has(key)));
  return { el: view(changes.flatMap((change, i) => (i ? [['gap', '⋯'], ...change.lines] : change.lines))), rest };
}

function changeOf(edit) {
  const patch = textAt(edit, PATCH_KEYS);
  if (patch && isPatch(patch.text)) return { keys: [patch.key], lines: ofPatch(patch.text) };
  const before = textAt(edit, OLD_KEYS);
  const after = textAt(edit, NEW_KEYS);
  if (!before || !after) return null;
  return { keys: [before.key, after.key], lines: compared(linesOf(before.text), linesOf(after.text)) };
}

const linesOf = (text) => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

function ofPatch(text) {
  return linesOf(text).map((line) => {
    if (/^(?:@@|diff --git |index |--- |\+\+\+ |\*\*\* )/.test(line)) return ['gap', line];
    if (line[0] === '+') return ['in', line.slice(1)];
    if (line[0] === '-') return ['out', line.slice(1)];
    return ['same', line.replace(/^ /, '')];
  });
}

/** The longest lines in common stay; the others go out and come in. @returns {[string, string][]} */
function compared(a, b) {
  if (a.length > COMPARED_LINES_MAX || b.length > COMPARED_LINES_MAX)
    return [...a.map((line) => ['out', line]), ...b.map((line) => ['in', line])];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(['same', a[i]]);
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      lines.push(['out', a[i]]);
      i += 1;
    } else {
      lines.push(['in', b[j]]);
      j += 1;
    }
  }
  return lines;
}

const MARKS = { in: '+', out: '−', same: ' ', gap: ' ' };
const SPOKEN = { in: 'diff.in', out: 'diff.out' };

function view(lines) {
  return h(
    'div',
    { class: 'diff', tabindex: 0, role: 'region', aria: { label: t('diff.label') } },
    h(
      'div',
      { class: 'diff-lines' },
      lines
        .slice(0, SHOWN_LINES_MAX)
        .map(([kind, text]) =>
          h(
            'div',
            { class: `diff-line diff-${kind}` },
            h('span', { class: 'diff-mark', aria: { hidden: 'true' } }, MARKS[kind]),
            SPOKEN[kind] && h('span', { class: 'visually-hidden' }, t(SPOKEN[kind])),
            text || '\u200b',
          ),
        ),
      lines.length > SHOWN_LINES_MAX && h('div', { class: 'diff-line diff-gap' }, '…'),
    ),
  );
}
