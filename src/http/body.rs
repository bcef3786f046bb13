//! What is sent: bytes, a part of a file, or a stream. Memory is bounded whatever the length.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// How much of a file is read at once; a download holds at most three of these.
const FILE_CHUNK_BYTES: usize = 256 * 1024;
/// Read buffers a download keeps for reuse: one being written, one being read, one between.
const FILE_BUFFERS_MAX: usize = 3;

type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of a response.
pub struct Body(Kind);

enum Kind {
    Full(Bytes),
    File(FileBody),
    Stream(ByteStream),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Body {
        Body(Kind::Full(Bytes::new()))
    }

    /// `length` bytes of `file` from `offset` on, read ahead of the socket by one chunk.
    pub fn file(file: File, offset: u64, length: u64) -> Body {
        Body(Kind::File(FileBody {
            file: Arc::new(file),
            offset,
            unread: length,
            unsent: length,
            reading: None,
            sent: VecDeque::new(),
        }))
    }

    /// Whatever the stream yields, as it yields it. An error breaks the connection off, which is the only way left to
    /// tell the client that the answer is not whole.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
        Body(Kind::Stream(Box::pin(stream)))
    }

    /// The bytes, when they are all here.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The length, when it is known.
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Full(bytes) => Some(bytes.len() as u64),
            Kind::File(file) => Some(file.unsent),
            Kind::Stream(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Body {
        Body(Kind::Full(bytes.into()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        super::http2::note_sending(false);
        let chunk = match &mut self.get_mut().0 {
            Kind::Full(bytes) if bytes.is_empty() => None,
            Kind::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Kind::File(file) => ready!(file.poll_chunk(cx)),
            Kind::Stream(stream) => ready!(stream.as_mut().poll_next(cx)),
        };
        super::http2::note_sending(chunk.is_some());
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.length() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

/// A part of a file, read on the blocking pool: the next chunk is read while the last one is written.
struct FileBody {
    file: Arc<File>,
    /// Where the next read starts.
    offset: u64,
    /// Bytes no read was started for yet.
    unread: u64,
    /// Bytes not handed to the connection yet.
    unsent: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// Chunks handed out, kept so that their memory is used again once the socket has taken them.
    sent: VecDeque<Bytes>,
}

impl FileBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.unsent == 0 {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.start_read(),
        };
        let chunk = match Pin::new(&mut reading).poll(cx) {
            Poll::Pending => {
                self.reading = Some(reading);
                return Poll::Pending;
            }
            Poll::Ready(chunk) => chunk.map_err(io::Error::other).flatten(),
        };
        if let Ok(chunk) = &chunk {
            self.unsent -= chunk.len() as u64;
            if self.unread > 0 {
                self.reading = Some(self.start_read());
            }
            self.sent.push_back(chunk.clone());
            self.sent.truncate(FILE_BUFFERS_MAX);
        }
        Poll::Ready(Some(chunk))
    }

    fn start_read(&mut self) -> JoinHandle<io::Result<Bytes>> {
        let length = self.unread.min(FILE_CHUNK_BYTES as u64);
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.offset += length;
        self.unread -= length;
        let mut buffer = self.free_buffer();
        tokio::task::spawn_blocking(move || {
            buffer.resize(length as usize, 0);
            file.read_exact_at(&mut buffer, offset)?;
            Ok(buffer.freeze())
        })
    }

    /// The oldest buffer if the connection is done with it, else a new one.
    fn free_buffer(&mut self) -> BytesMut {
        match self.sent.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(buffer)) => buffer,
            Some(Err(in_use)) => {
                self.sent.push_front(in_use);
                BytesMut::new()
            }
            None => BytesMut::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http_body_util::BodyExt;
    use std::io::Write;

    #[tokio::test]
    async fn a_part_of_a_file_is_exactly_that_part() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..FILE_CHUNK_BYTES * 5 + 17)
            .map(|i| (i % 251) as u8)
            .collect();
        file.write_all(&bytes).unwrap();
        for (start, end) in [
            (0, bytes.len()),
            (1, bytes.len() - 1),
            (7, 7),
            (5, 6),
            (FILE_CHUNK_BYTES, 2 * FILE_CHUNK_BYTES),
        ] {
            let body = Body::file(
                file.try_clone().unwrap(),
                start as u64,
                (end - start) as u64,
            );
            let read = body.collect().await.unwrap().to_bytes();
            assert!(read == bytes[start..end], "{start}..{end}");
        }
    }

    /// A file that is cut while it is sent breaks the answer off; it never pads or hangs.
    #[tokio::test]
    async fn a_file_that_shrinks_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        assert!(Body::file(file, 0, 100).collect().await.is_err());
    }
}
