/** Reads Server-Sent Events out of a fetch body: the parser alone, no connection, no policy. */

const LINE_CHARS_MAX = 16 * 1024 * 1024;

/**
 * Yields `{id, event, data, retry}` for every block, and `{comment}` for comments.
 * @param {ReadableStream<Uint8Array>} body
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  let block = fresh();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      if (buffer.length > LINE_CHARS_MAX) throw new Error('a stream line is too long');
      let start = 0;
      for (;;) {
        const end = buffer.indexOf('\n', start);
        if (end < 0) break;
        const line = buffer.slice(start, buffer[end - 1] === '\r' && end > start ? end - 1 : end);
        start = end + 1;
        if (line === '') {
          if (block.data.length || block.event || block.retry !== null) yield finish(block);
          block = fresh();
        } else if (line[0] === ':') {
          yield { comment: line.slice(1).trim() };
        } else {
          field(block, line);
        }
      }
      buffer = buffer.slice(start);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const fresh = () => ({ id: null, event: '', data: [], retry: null });

const finish = (block) => ({
  id: block.id,
  event: block.event || 'message',
  data: block.data.join('\n'),
  retry: block.retry,
});

function field(block, line) {
  const colon = line.indexOf(':');
  const name = colon < 0 ? line : line.slice(0, colon);
  let value = colon < 0 ? '' : line.slice(colon + 1);
  if (value[0] === ' ') value = value.slice(1);
  if (name === 'data') block.data.push(value);
  else if (name === 'event') block.event = value;
  else if (name === 'id') block.id = value;
  else if (name === 'retry' && /^\d+$/.test(value)) block.retry = Number(value);
}
