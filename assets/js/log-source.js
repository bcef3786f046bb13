/** The bytes of an execution's log: a piece by range, or all that comes. Splits at newlines and knows every offset. */
import { get, request } from './api.js';

const path = (id) => `/api/executions/${encodeURIComponent(id)}/logs`;
const NEWLINE = 10;

/** The address for a plain download link (a GET-only cookie opens it). */
export const logUrl = path;

/**
 * Reads `[start, end)`, or as much of it as there is. A log that is final answers the range, one that grows the query: so
 * neither has to be known.
 * @returns {Promise<{start: number, bytes: Uint8Array}>}
 */
export async function readRange(id, start, end, signal) {
  if (end <= start) return { start, bytes: new Uint8Array() };
  const response = await request('GET', `${path(id)}?offset=${start}&bytes=${end - start}`, {
    headers: { Accept: 'text/plain', Range: `bytes=${start}-${end - 1}` },
    signal,
  });
  return { start: startOf(response, start), bytes: new Uint8Array(await response.arrayBuffer()) };
}

/**
 * Streams from `start` to the end; with `follow`, for as long as the execution runs.
 * @param {(offset: number, bytes: Uint8Array) => void} onChunk
 */
export async function streamFrom(id, start, { follow, signal, onChunk }) {
  const headers = { Accept: 'text/plain' };
  if (start > 0) headers.Range = `bytes=${start}-`;
  const response = await request('GET', `${path(id)}?offset=${start}${follow ? '&follow=true' : ''}`, { headers, signal });
  let offset = startOf(response, start);
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onChunk(offset, value);
    offset += value.length;
  }
}

/** When lines were printed, from the one at `offset` on. @returns {Promise<{offset: number, at: number, stream: string}[]>} */
export const readPieces = (id, offset, limit, signal) =>
  get(`${path(id)}/pieces?offset=${offset}&limit=${limit}`, { signal });

function startOf(response, fallback) {
  const match = /bytes (\d+)-/.exec(response.headers.get('Content-Range') ?? '');
  return match ? Number(match[1]) : fallback;
}

/** Cuts a stream of bytes into lines with their offsets; the unfinished last one is kept for the next piece. */
export function lineSplitter() {
  const decoder = new TextDecoder();
  let rest = null;
  let restOffset = 0;
  return {
    /** @returns {{offset: number, end: number, text: string}[]} */
    push(offset, bytes) {
      let data = bytes;
      let base = offset;
      if (rest) {
        data = new Uint8Array(rest.length + bytes.length);
        data.set(rest);
        data.set(bytes, rest.length);
        base = restOffset;
      }
      const lines = [];
      let start = 0;
      for (;;) {
        const end = data.indexOf(NEWLINE, start);
        if (end < 0) break;
        lines.push({ offset: base + start, end: base + end + 1, text: decoder.decode(data.subarray(start, end)) });
        start = end + 1;
      }
      rest = start < data.length ? data.slice(start) : null;
      restOffset = base + start;
      return lines;
    },
    /** What has no newline yet. */
    end() {
      const line = rest && { offset: restOffset, end: restOffset + rest.length, text: decoder.decode(rest) };
      rest = null;
      return line ? [line] : [];
    },
  };
}
