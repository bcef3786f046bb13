/** A whole chat as one file: Markdown for people, JSON for programs. Made in the browser from the public API. */
import * as api from './api.js';
import { t } from './strings.js';
import { fullTime, plain } from './format.js';

const NAME_CHARS_MAX = 80;
const TYPES = { md: 'text/markdown', json: 'application/json' };

/** Downloads a chat. @param {object} session @param {'md'|'json'} kind */
export async function exportChat(session, kind) {
  const messages = await everything(session.id);
  const text = kind === 'json' ? json(session, messages) : markdown(session, messages);
  const url = URL.createObjectURL(new Blob([text], { type: `${TYPES[kind]};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${fileName(session.name)}.${kind}`;
  link.click();
  // The browser reads it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** All messages, oldest first, page by page. */
async function everything(id) {
  const pages = [];
  for (let next = `/api/local/sessions/${id}/messages?limit=1000`; next; ) {
    const page = await api.page(next);
    pages.unshift(page.items);
    next = page.next;
  }
  return pages.flat();
}

function json({ id, name, tags, created_at, updated_at }, messages) {
  return `${JSON.stringify({ session: { id, name, tags, created_at, updated_at }, messages }, null, 2)}\n`;
}

function markdown(session, messages) {
  const parts = [`# ${session.name}\n`];
  for (const m of messages) {
    const who = m.role === 'user' ? t('chat.you') : m.author?.worker_id ? plain(m.author.name) : t('chat.bee');
    const outcome = m.status === 'completed' ? '' : ` (${t(`chat.status.${m.status}`)})`;
    parts.push(`## ${who}${outcome}\n\n*${fullTime(m.ts)}*\n`);
    if (m.content) parts.push(`${m.content.trim()}\n`);
    for (const file of m.media ?? []) parts.push(`- ${file.name}\n`);
  }
  return parts.join('\n');
}

/** A name that every file system takes. */
const fileName = (name) =>
  // eslint-disable-next-line no-control-regex
  (plain(name) || 'chat').replace(/[\u0000-\u001f<>:"/\\|?*]+/g, ' ').trim().slice(0, NAME_CHARS_MAX) || 'chat';
