/** The bytes of an execution's log: a piece by range, or all that comes. Splits at newlines and knows every offset. */
import { request } from './api.js';

const path = (id) => `/api/executions/${encodeURIComponent(id)}/logs`;
const NEWLINE = 10;

/** The address for a plain download link (a GET-only cookie opens it). */
export const logUrl = path;

/**
 * Reads `[start, end)`; the server may answer with more than was asked for, so the true start is returned.
 * @returns {Promise<{start: number, bytes: Uint8Array}>}
 */
export async function readRange(id, start, end, signal) {
  const response = await request('GET', path(id), {
    headers: { Accept: 'text/plain', Range: `bytes=${start}-${end - 1}` },
    signal,
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status === 206) return { start: startOf(response, start), bytes };
  return { start, bytes: bytes.slice(start, end) };
}

/**
 * Streams from `start` to the end; with `follow`, for as long as the execution runs.
 * @param {(offset: number, bytes: Uint8Array) => void} onChunk
 */
export async function streamFrom(id, start, { follow, signal, onChunk }) {
  const headers = { Accept: 'text/plain' };
  if (start > 0) headers.Range = `bytes=${start}-`;
  const response = await request('GET', path(id) + (follow ? '?follow=true' : ''), { headers, signal });
  let offset = response.status === 206 ? startOf(response, start) : 0;
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    // A server that does not do ranges here starts over: what we have already is skipped.
    const skip = Math.max(0, Math.min(value.length, start - offset));
    offset += skip;
    if (value.length > skip) onChunk(offset, value.subarray(skip));
    offset += value.length - skip;
  }
}

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
    /** @returns {{offset: number, text: string}[]} */
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
        lines.push({ offset: base + start, text: decoder.decode(data.subarray(start, end)) });
        start = end + 1;
      }
      rest = start < data.length ? data.slice(start) : null;
      restOffset = base + start;
      return lines;
    },
    /** What has no newline yet. */
    end() {
      const line = rest && { offset: restOffset, text: decoder.decode(rest) };
      rest = null;
      return line ? [line] : [];
    },
  };
}
