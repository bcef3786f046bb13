/** Which rows of a long list are drawn: so many at most, around the place where the reader is. */

const ROWS_MAX = 180;
const STEP_ROWS = 60;

/** The rows are given anew each time; the window knows its place by the key of its last row. */
export function rowWindow() {
  /** @type {string|null} null is the end of the list, also when it grows */
  let lastKey = null;

  function bounds(rows) {
    let end = rows.length;
    if (lastKey !== null) {
      const at = rows.findLastIndex((row) => row.key === lastKey);
      if (at < 0) lastKey = null;
      else end = at + 1;
    }
    return { start: Math.max(0, end - ROWS_MAX), end };
  }

  function endAt(rows, end) {
    lastKey = end >= rows.length ? null : rows[end - 1].key;
  }

  return {
    /** The rows to draw. */
    of(rows) {
      const { start, end } = bounds(rows);
      return rows.slice(start, end);
    },
    /** How many rows there are above it. */
    above: (rows) => bounds(rows).start,
    isAtEnd: () => lastKey === null,
    /** Moves towards the start. @returns {boolean} whether there was anything */
    up(rows) {
      const { start, end } = bounds(rows);
      if (start === 0) return false;
      endAt(rows, end - Math.min(start, STEP_ROWS));
      return true;
    },
    /** Moves towards the end. @returns {boolean} whether there was anything */
    down(rows) {
      const { end } = bounds(rows);
      if (end === rows.length) return false;
      endAt(rows, Math.min(rows.length, end + STEP_ROWS));
      return true;
    },
    toEnd() {
      lastKey = null;
    },
    /** Puts a row in the middle. */
    show(rows, key) {
      const at = rows.findIndex((row) => row.key === key);
      if (at >= 0) endAt(rows, Math.max(Math.min(rows.length, ROWS_MAX), at + ROWS_MAX / 2));
    },
  };
}
