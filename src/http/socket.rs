//! The bytes of one connection, as hyper sees them, with two things hyper does not do: an answer of ours in place of the
//! bare one it gives to a request it cannot parse, and an end to waiting for a client that does not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::transport::Transport;

/// How long a closing connection is read on, so that the client gets our last answer and not a reset.
const LINGER: Duration = Duration::from_secs(2);
/// hyper's bare answer is a status line and at most three short headers.
const BARE_BYTES_MAX: usize = 160;

/// A connection that holds back what looks like hyper's bare answer until it is known to be one.
///
/// After a parse error hyper writes a head without a body, does nothing else, and ends. So bytes of just that form are
/// kept: if anything else is asked of the connection they were a normal answer's and are written first; if the
/// connection ended with a parse error, [`Socket::replace_bare`] puts ours in their place.
pub(super) struct Socket {
    stream: Transport,
    held: Vec<u8>,
    held_written: usize,
    write_patience: Duration,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: Transport, write_patience: Duration) -> Socket {
        Socket {
            stream,
            held: Vec::new(),
            held_written: 0,
            write_patience,
            write_deadline: None,
        }
    }

    /// The status of the bare answer that is held back.
    pub(super) fn bare_status(&self) -> Option<u16> {
        std::str::from_utf8(self.held.get(9..12)?)
            .ok()?
            .parse()
            .ok()
    }

    /// Forgets the bare answer and sends this instead.
    pub(super) async fn replace_bare(&mut self, answer: &[u8]) -> io::Result<()> {
        self.held.clear();
        self.held_written = 0;
        timeout(self.write_patience, self.stream.write_all(answer)).await?
    }

    /// Sends what is left and says that no more comes.
    pub(super) async fn end(&mut self) {
        let patience = self.write_patience;
        let end = async {
            std::future::poll_fn(|cx| self.poll_release(cx)).await?;
            self.stream.shutdown().await
        };
        // The connection is over whether or not this arrives.
        let _ = timeout(patience, end).await;
    }

    /// Reads until the client closes too, for a while: closing with bytes unread would reset the connection, and our
    /// last answer with it.
    pub(super) async fn linger(&mut self) {
        // On the heap and only now: an array here would be part of every idle connection.
        let mut scratch = vec![0; 4096];
        let drain = async { while matches!(self.stream.read(&mut scratch).await, Ok(1..)) {} };
        let _ = timeout(LINGER, drain).await;
    }

    /// Writes what was held back: it was no bare answer.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held_written < self.held.len() {
            let rest = &self.held[self.held_written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held_written += written;
        }
        self.held = Vec::new();
        self.held_written = 0;
        Poll::Ready(Ok(()))
    }

    /// Passes a write's result on; one that waits too long fails.
    fn bounded(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let patience = self.write_patience;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Where hyper's bare answer starts, if these bytes end with one.
fn find_bare(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let tail_start = bytes.len().saturating_sub(BARE_BYTES_MAX);
    let tail = &bytes[tail_start..];
    let start = memchr::memmem::rfind(tail, b"HTTP/1.")?;
    let head = std::str::from_utf8(&tail[start..]).ok()?;
    let mut lines = head.split_terminator("\r\n");
    let status = lines.next()?.get(8..13)?;
    let bare = matches!(status, " 400 " | " 414 " | " 431 ")
        && lines.all(|line| {
            matches!(line, "" | "content-length: 0" | "connection: close")
                || line.starts_with("date: ")
        });
    bare.then_some(tail_start + start)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(cx))?;
        let buf = match find_bare(buf) {
            Some(0) => {
                self.held = buf.to_vec();
                return Poll::Ready(Ok(buf.len()));
            }
            Some(start) => &buf[..start],
            None => buf,
        };
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let last = bufs.iter().rposition(|buf| !buf.is_empty()).unwrap_or(0);
        let bufs = match bufs.get(last) {
            Some(buf) if find_bare(buf).is_some() => {
                match bufs[..last].iter().all(|b| b.is_empty()) {
                    true => return self.poll_write(cx, buf),
                    false => &bufs[..last],
                }
            }
            _ => bufs,
        };
        ready!(self.poll_release(cx))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            // Either hyper ends now, or it reads on and that releases what is held: it has to be polled to do so.
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
