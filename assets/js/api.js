/**
 * The public API over fetch: the access token (in memory only), its refresh, and errors as values one can show.
 * Knows no pages and no nouns.
 */
import { below } from './base.js';
import { channel } from './channel.js';
import { heard } from './clock.js';

/** An answer that is not 2xx, as API.md describes it. */
export class ApiError extends Error {
  /** @param {number} status @param {object} body @param {Headers} headers */
  constructor(status, body, headers) {
    super(body.message || `HTTP ${status}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = body.error || 'unknown';
    this.details = body.details ?? null;
    this.requestId = body.requestId || headers.get('X-Request-Id') || null;
    this.retryAfter = Number(headers.get('Retry-After')) || null;
  }

  /** The message for a field of a 422, or null. */
  field(name) {
    return this.details?.errors?.find?.((e) => e.field === name)?.message ?? null;
  }
}

/** No answer at all: the server is down or unreachable. */
export class NetworkError extends Error {
  constructor(cause) {
    super('network');
    this.name = 'NetworkError';
    this.cause = cause;
  }
}

const REFRESH_BEFORE_EXPIRY_MS = 60_000;
const TIMER_MAX_MS = 2 ** 31 - 1;

let accessToken = null;
let refreshTimer = 0;
let refreshing = null;
const signedOutListeners = new Set();
const answeredListeners = new Set();
// Signing out is meant for the browser, not for one tab: the others would show chats for as long as their token lives.
const otherTabs = channel('session');
if (otherTabs) otherTabs.onmessage = sessionEnded;
// Tabs that were loaded before an upgrade take any word of the other for the end.
const signIns = channel('signed-in');

/** Calls `fn` when another tab signs in. */
export function onSignedInElsewhere(fn) {
  if (signIns) signIns.onmessage = fn;
}

function toldOthers(tokens) {
  signIns?.postMessage(null);
  return tokens;
}

/** Calls `fn` when the session ends without the user having asked for it. */
export function onSignedOut(fn) {
  signedOutListeners.add(fn);
}

/** Calls `fn` whenever the server answers, be it with a refusal: it is there. */
export function onAnswered(fn) {
  answeredListeners.add(fn);
}

let isUnanswered = false;
/** Whether a request met silence since this was asked last. */
export function takeSilence() {
  const was = isUnanswered;
  isUnanswered = false;
  return was;
}

function answered() {
  for (const fn of answeredListeners) fn();
}

/** The token as it is, for the worker that all tabs share: it is as much the console as they are. */
export const lent = () => accessToken;

/** Takes a token that a tab lent, where there is none. */
export function borrow(token) {
  accessToken ??= token;
}

/** @returns {boolean} */
export const isSignedIn = () => accessToken !== null;

/** Takes the tokens of an answer that signs in, and sees to it that they are renewed in time. */
export function adopt(tokens) {
  accessToken = tokens.access_token;
  clearTimeout(refreshTimer);
  const lifetime = (tokens.expires_in ?? 3600) * 1000;
  const wait = Math.max(lifetime - REFRESH_BEFORE_EXPIRY_MS, lifetime / 2);
  refreshTimer = setTimeout(() => refresh().catch(endIfRefused), Math.min(wait, TIMER_MAX_MS));
  return tokens;
}

function forget() {
  accessToken = null;
  clearTimeout(refreshTimer);
}

async function send(method, path, { body, headers = {}, signal, token, keepalive = false } = {}) {
  const init = { method, headers: { Accept: 'application/json', ...headers }, credentials: 'same-origin', signal, keepalive };
  if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  if (token) init.headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(below(path), init);
  } catch (cause) {
    if (cause.name === 'AbortError') throw cause;
    isUnanswered = true;
    throw new NetworkError(cause);
  }
  answered();
  heard(response.headers);
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy answered in its own words; the status still says enough.
  }
  return new ApiError(response.status, body, response.headers);
}

async function json(response) {
  let text;
  try {
    text = await response.text();
  } catch (cause) {
    throw new NetworkError(cause);
  }
  return text ? JSON.parse(text) : null;
}

const authCall = async (path, body) => adopt(await json(await send('POST', path, { body })));

/** Signs in with the one-time code of a sign-in link. */
export const redeem = (code) => authCall('/api/auth/redeem', { code }).then(toldOthers);

/** Signs in with a password. */
export const logIn = (username, password) => authCall('/api/auth/login', { username, password }).then(toldOthers);

/**
 * Gets a fresh access token with the HttpOnly cookie. Concurrent callers share one request, and tabs take turns,
 * since the cookie may be rotated.
 */
export function refresh() {
  refreshing ??= takeTurn(() => authCall('/api/auth/refresh', {})).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

const takeTurn = (fn) => (navigator.locks ? navigator.locks.request('skep.refresh', fn) : fn());

/** Ends the session here and on the server. */
export async function logOut() {
  try {
    await send('POST', '/api/auth/logout', { body: {}, token: accessToken });
  } finally {
    forget();
    otherTabs?.postMessage('signed-out');
  }
}

/** A refused refresh is the end of the session; anything else heals by itself. */
export function endIfRefused(error) {
  if (error instanceof ApiError && error.status === 401) sessionEnded();
}

function sessionEnded() {
  if (accessToken === null) return;
  forget();
  for (const fn of signedOutListeners) fn();
}

/**
 * A request with the token; on `expired_token` (or any 401 for the token) it is refreshed once and tried again.
 * @returns {Promise<Response>}
 */
export async function request(method, path, options = {}) {
  try {
    if (!accessToken) await refresh();
    return await send(method, path, { ...options, token: accessToken });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    if (accessToken && (error.code === 'expired_token' || error.code === 'invalid_token')) {
      try {
        await refresh();
        return await send(method, path, { ...options, token: accessToken });
      } catch (second) {
        if (second instanceof ApiError && second.status === 401) sessionEnded();
        throw second;
      }
    }
    if (error.code !== 'invalid_credentials') sessionEnded();
    throw error;
  }
}

const call =
  (method) =>
  async (path, body, options = {}) =>
    json(await request(method, path, { ...options, body }));

/** GET, as JSON. @type {(path: string, options?: object) => Promise<any>} */
export const get = async (path, options) => json(await request('GET', path, options));
/** POST with a JSON body. */
export const post = call('POST');
/** PUT with a JSON body. */
export const put = call('PUT');
/** PATCH with a JSON body. */
export const patch = call('PATCH');
/** DELETE. */
export const del = async (path, options) => json(await request('DELETE', path, options));

/** A POST that may be repeated without being done twice. */
export const postOnce = (path, body, key) => post(path, body, { headers: { 'Idempotency-Key': key } });

/**
 * One page of a list and the path of the next one.
 * @returns {Promise<{items: any[], next: string|null}>}
 */
export async function page(path, options) {
  const response = await request('GET', path, options);
  return { items: await json(response), next: nextLink(response.headers.get('Link')) };
}

function nextLink(header) {
  const match = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(header ?? '');
  if (!match) return null;
  const url = new URL(match[1], location.origin);
  return url.pathname + url.search;
}

/**
 * Uploads one file with progress (which fetch cannot tell).
 * @param {string} path
 * @param {File} file
 * @param {{onProgress?: (fraction: number) => void, signal?: AbortSignal}} [options]
 */
export async function upload(path, file, options = {}) {
  if (!accessToken) await refresh();
  try {
    return await uploadOnce(path, file, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'expired_token') throw error;
    await refresh();
    return uploadOnce(path, file, options);
  }
}

function uploadOnce(path, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const form = new FormData();
    form.append('file', file, file.name);
    xhr.open('POST', below(path));
    xhr.setRequestHeader('Authorization', `Bearer ${accessToken}`);
    xhr.setRequestHeader('Accept', 'application/json');
    xhr.upload.onprogress = (e) => {
      if (e.lengthComputable) onProgress?.(e.loaded / e.total);
    };
    xhr.onerror = () => reject(new NetworkError());
    xhr.onabort = () => reject(new DOMException('aborted', 'AbortError'));
    xhr.onload = () => {
      answered();
      let body = {};
      try {
        body = JSON.parse(xhr.responseText);
      } catch {
        /* judged by its status */
      }
      if (xhr.status >= 200 && xhr.status < 300) resolve(body);
      else reject(new ApiError(xhr.status, body, { get: (name) => xhr.getResponseHeader(name) }));
    };
    signal?.addEventListener('abort', () => xhr.abort());
    xhr.send(form);
  });
}
