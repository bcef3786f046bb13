/** Copying: of a message, and of each block of code in it. */
import { h, replace } from '../dom.js';
import { t } from '../strings.js';
import { icon } from '../icons.js';
import { getPref, setPref } from '../prefs.js';

const DONE_MS = 1600;

/** A small button that copies what `textOf` returns. */
export function copyButton(textOf, className = 'icon-button small') {
  const button = h(
    'button',
    { class: className, type: 'button', title: t('common.copy'), aria: { label: t('common.copy') } },
    icon('copy'),
  );
  button.addEventListener('click', async () => {
    if (!(await copyText(textOf()))) return;
    replace(button, icon('check'));
    button.setAttribute('aria-label', t('common.copied'));
    setTimeout(() => {
      replace(button, icon('copy'));
      button.setAttribute('aria-label', t('common.copy'));
    }, DONE_MS);
  });
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http on another host has no clipboard API; the old way still works there.
    const area = h('textarea', { class: 'visually-hidden', readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}

const WRAPPED = 'wrap-code';
document.documentElement.classList.toggle(WRAPPED, getPref('wrapCode') === 'on');

/** Long lines of code go on below, everywhere and from now on, or are scrolled to. */
function wrapButton() {
  const isOn = () => document.documentElement.classList.contains(WRAPPED);
  return h(
    'button',
    {
      class: 'icon-button small code-wrap',
      type: 'button',
      title: t('code.wrap'),
      aria: { label: t('code.wrap'), pressed: isOn() },
      on: {
        click: () => {
          setPref('wrapCode', document.documentElement.classList.toggle(WRAPPED) ? 'on' : null);
          for (const other of document.querySelectorAll('.code-wrap')) other.setAttribute('aria-pressed', isOn());
        },
      },
    },
    icon('wrap'),
  );
}

/** Gives each block of code of a rendered reply a frame with its language, wrapping and a copy button; links open outside. */
export function decorateCode(root) {
  for (const pre of root.querySelectorAll('pre')) {
    if (pre.parentElement.classList.contains('code-block')) continue;
    const code = pre.querySelector('code') ?? pre;
    const language = /(?:^|\s)language-([\w+#.-]+)/.exec(code.className)?.[1] ?? pre.getAttribute('lang') ?? '';
    const frame = h(
      'div',
      { class: 'code-block' },
      h(
        'div',
        { class: 'code-head' },
        h(
          'span',
          { class: 'code-language' },
          language && h('span', null, language),
          code.dataset.meta && h('span', { class: 'code-file' }, code.dataset.meta),
        ),
        wrapButton(),
        copyButton(() => code.textContent),
      ),
    );
    pre.replaceWith(frame);
    pre.tabIndex = 0;
    frame.append(pre);
  }
  for (const table of root.querySelectorAll('table')) {
    if (table.parentElement.classList.contains('table-scroll')) continue;
    const frame = h('div', { class: 'table-scroll', tabindex: 0 });
    table.replaceWith(frame);
    frame.append(table);
    // A table without headings still has the row for them; empty, it is a blank band and names nothing.
    const head = table.tHead;
    if (head && head.textContent.trim() === '' && !head.querySelector('img')) head.remove();
  }
  for (const box of root.querySelectorAll('li > input[type="checkbox"]')) {
    box.setAttribute('aria-label', box.parentElement.textContent.trim());
  }
  for (const link of root.querySelectorAll('a[href]')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
}
