/** Looks for a text in a log of any size, piece by piece, without keeping it. */
import { readRange } from './log-source.js';

const PIECE_BYTES = 2 * 1024 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder('latin1');

/**
 * The first place of `text` at `from` or after it, or the last before `from` when going backwards; goes on from the other
 * end. Case does not matter for ASCII letters; a byte is a character here, so that places are offsets.
 * @param {string} id of the execution
 * @param {{text: string, from: number, size: number, isBackward: boolean, signal: AbortSignal,
 *          onProgress: (fraction: number) => void}} options
 * @returns {Promise<number|null>} the offset
 */
export async function findInLog(id, { text, from, size, isBackward, signal, onProgress }) {
  const needle = decoder.decode(encoder.encode(text)).toLowerCase();
  const spans = isBackward
    ? [...backward(0, from), ...backward(from, size)]
    : [...forward(from, size), ...forward(0, Math.min(size, from + needle.length))];
  for (const [i, [begin, end]] of spans.entries()) {
    onProgress(i / spans.length);
    // A match may lie across the border of two pieces.
    const last = Math.min(size, end + needle.length - 1);
    const { start, bytes } = await readRange(id, begin, last, signal);
    const heap = decoder.decode(bytes).toLowerCase();
    const at = isBackward ? heap.lastIndexOf(needle, end - begin - 1) : heap.indexOf(needle);
    if (at >= 0 && at < end - begin + needle.length) return start + at;
  }
  return null;
}

function* forward(from, to) {
  for (let at = from; at < to; at += PIECE_BYTES) yield [at, Math.min(to, at + PIECE_BYTES)];
}

function* backward(from, to) {
  for (let at = to; at > from; at -= PIECE_BYTES) yield [Math.max(from, at - PIECE_BYTES), at];
}
