/** The server's time: what it stamps is measured against its own clock, since the browser's may be hours off. */

/** What is less may be the way of the answer, and the whole seconds in which a server tells the time. */
const SKEW_MIN_MS = 5000;

let skewMs = 0;

/** Takes note of the time that an answer tells. @param {Headers} headers */
export function heard(headers) {
  const skew = Date.parse(headers.get('Date')) - Date.now();
  if (!Number.isNaN(skew)) skewMs = Math.abs(skew) < SKEW_MIN_MS ? 0 : skew;
}

/** @returns {number} now, in the server's milliseconds */
export const now = () => Date.now() + skewMs;
