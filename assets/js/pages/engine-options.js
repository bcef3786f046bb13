/** What a worker's engine is started with beside the settings: arguments, variables, names of keys, servers of tools. */
import { h } from '../dom.js';
import { t } from '../strings.js';
import * as api from '../api.js';
import { icon } from '../icons.js';
import { field, showFieldErrors, textArea } from '../components/field.js';

const ADDRESS = /^https?:\/\//i;
const SERVER_NAME = /^(?!skep)[A-Za-z0-9_]{1,64}$/i;
const KEY_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const QUOTED = /'([^']*)'|"([^"]*)"/g;

/** Words as one would type them for a shell, without anything else that a shell does; `null`: a quote is open. */
function words(text) {
  if (/['"]/.test(text.replace(QUOTED, ''))) return null;
  const found = text.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  return found.map((word) => word.replace(QUOTED, (_, single, double) => single ?? double));
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

const pairs = (table = {}) => Object.entries(table).map(([name, value]) => `${name}=${value}`).join('\n');

/** `NAME=value` a line; `null` with the error at the field. */
function readPairs({ input, setError }) {
  const table = {};
  for (const [at, line] of input.value.split('\n').entries()) {
    if (line.trim() === '') continue;
    const equals = line.indexOf('=');
    if (equals < 1) {
      setError(t('options.pairBad', { n: at + 1 }));
      return null;
    }
    table[line.slice(0, equals).trim()] = line.slice(equals + 1).trim();
  }
  return table;
}

const lines = (label, name, value, hint) =>
  field({
    label,
    name,
    hint,
    optional: true,
    control: textArea({ value, rows: 2, class: 'input mono', spellcheck: 'false', autocapitalize: 'off' }),
  });

const word = (label, name, value, hint, optional = false) =>
  field({ label, name, value, hint, optional, attrs: { autocomplete: 'off', spellcheck: 'false', class: 'input mono' } });

/** One server: an address with a key, or a program with its environment. */
function serverForm(called, server, onRemove) {
  const name = word(t('options.serverName'), 'server_name', called);
  const reach = word(t('options.serverReach'), 'server_reach', server.url ?? (server.argv ?? []).map(quoted).join(' '), t('options.serverReachHint'));
  const key = word(t('options.serverKey'), 'server_key', server.key ?? '', t('options.serverKeyHint'), true);
  const env = lines(t('options.serverEnv'), 'server_env', pairs(server.env));
  const remove = h(
    'button',
    { class: 'icon-button small', type: 'button', aria: { label: t('options.removeServer') }, title: t('options.removeServer'), on: { click: () => onRemove(form) } },
    icon('trash'),
  );
  const isAddress = () => ADDRESS.test(reach.input.value.trim());
  const choose = () => {
    const typed = reach.input.value.trim();
    key.el.hidden = !isAddress();
    env.el.hidden = isAddress() || typed === '';
  };
  reach.input.addEventListener('input', choose);
  choose();
  const fail = (it, message) => {
    it.setError(message);
    it.input.focus();
    return null;
  };
  const form = {
    el: h('li', { class: 'option-server' }, h('div', { class: 'option-server-head' }, name.el, remove), reach.el, key.el, env.el),
    called: () => name.input.value.trim(),
    setError: reach.setError,
    input: name.input,
    read() {
      if (!form.called()) return fail(name, t('options.serverNameMissing'));
      if (!SERVER_NAME.test(form.called())) return fail(name, t('options.serverNameBad'));
      const typed = reach.input.value.trim();
      const keyName = key.input.value.trim();
      if (isAddress() && keyName && !KEY_NAME.test(keyName)) return fail(key, t('options.keyBad'));
      if (isAddress()) return { url: typed, key: keyName || null };
      const argv = words(typed);
      if (!argv) return fail(reach, t('options.quoteOpen'));
      if (argv.length === 0) return fail(reach, t('options.serverReachMissing'));
      const table = readPairs(env);
      if (!table) env.input.focus();
      return table && { argv, env: table };
    },
    twice: () => fail(name, t('options.serverTwice')),
  };
  return form;
}

/**
 * The form, filled with what the server has of `source` (none for a new worker).
 * @param {string|null} source the worker to begin with
 * @param {boolean} isItself whether what is saved is that worker
 * @returns {Promise<{el: HTMLElement, check: () => boolean, save: (id: string) => Promise<boolean>}>}
 */
export async function engineOptions(source, isItself) {
  const known = source ? await api.get(`/api/workers/${source}/engine`) : {};
  const args = lines(t('options.args'), 'args', (known.args ?? []).join('\n'), t('options.argsHint'));
  const env = lines(t('options.env'), 'env', pairs(known.env), t('options.envHint'));
  const secrets = lines(t('options.secrets'), 'secrets', pairs(known.secrets), t('options.secretsHint'));
  let servers = [];
  const list = h('ul', { class: 'option-servers' });
  const add = h(
    'button',
    { class: 'button small', type: 'button', on: { click: () => addServer('', {}).input.focus() } },
    icon('plus'),
    t('options.addServer'),
  );
  const addServer = (called, server) => {
    const form = serverForm(called, server, (gone) => {
      servers = servers.filter((it) => it !== gone);
      gone.el.remove();
      add.focus();
    });
    servers.push(form);
    list.append(form.el);
    return form;
  };
  for (const [called, server] of Object.entries(known.mcp_servers ?? {})) addServer(called, server);

  const readers = {
    args: () => args.input.value.split('\n').filter((line) => line.trim() !== ''),
    env: () => readPairs(env),
    secrets: () => readPairs(secrets),
    mcp_servers() {
      const table = {};
      for (const form of servers) {
        const server = form.read();
        if (!server) return null;
        if (form.called() in table) return form.twice();
        table[form.called()] = server;
      }
      return table;
    },
  };
  const fields = { args, env, secrets };
  let saved = isItself || !source ? readAll() : {};

  /** Each part as text, or `null` with the error shown. */
  function readAll() {
    const all = {};
    for (const [name, read] of Object.entries(readers)) {
      const value = read();
      if (value === null) {
        fields[name]?.input.focus();
        return null;
      }
      all[name] = JSON.stringify(value);
    }
    return all;
  }

  return {
    el: h(
      'div',
      { class: 'form' },
      h('p', { class: 'field-hint' }, t('options.lead')),
      args.el,
      env.el,
      secrets.el,
      h('section', { class: 'field', aria: { label: t('options.servers') } }, h('div', { class: 'memory-section-head' }, h('h3', null, t('options.servers')), add), h('p', { class: 'field-hint' }, t('options.serversHint')), list),
    ),
    check: () => readAll() !== null,
    async save(id) {
      const all = readAll();
      if (!all) return false;
      const changed = Object.entries(all).filter(([name, text]) => text !== saved?.[name]);
      if (changed.length === 0) return true;
      try {
        await api.put(`/api/workers/${id}/engine`, Object.fromEntries(changed.map(([name, text]) => [name, JSON.parse(text)])));
      } catch (error) {
        const said = error.details?.errors?.[0]?.message ?? '';
        const meant = servers.find((form) => said.includes(JSON.stringify(form.called()))) ?? servers[0];
        if (showFieldErrors(error, { ...fields, mcp_servers: meant })) return false;
        throw error;
      }
      saved = all;
      return true;
    },
  };
}
