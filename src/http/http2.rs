//! HTTP/2: the limits of one connection, its streams as tasks that are waited for, and its end.
//!
//! A client says at once how much it asks for, so each connection is bounded in streams, in heads, in resets and in what
//! it leaves unread, and one that asks for nothing is closed like an idle connection of HTTP/1.1.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::admission::Running;
use super::pipeline::Authenticate;
use super::server::{Limits, Requests};
use super::socket::Socket;
use super::transport::Rewound;

/// Streams that a client may reset before we have looked at them; more ends the connection (CVE-2023-44487).
const RESETS_WAITING_MAX: usize = 20;
/// Streams that we may reset because of a client's faults; more ends the connection (CVE-2025-8671).
const FAULTS_MAX: usize = 64;
/// What of a body may wait unread in one stream, and in all of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What one stream may have waiting to be sent.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// What a field of a head costs besides its bytes (RFC 9113, section 6.5.2).
const FIELD_BYTES: usize = 32;

tokio::task_local! {
    /// When the stream of this task was last given something to send that it has not sent.
    static UNSENT_SINCE: Unsent;
}

type Unsent = Arc<Mutex<Option<Instant>>>;

/// Notes that a body is asked for more (`false`), or that it has given something to send (`true`).
pub(super) fn note_sending(given: bool) {
    // Without a stream this is HTTP/1.1, where the socket knows.
    let _ = UNSENT_SINCE.try_with(|since| {
        *since.lock().unwrap_or_else(PoisonError::into_inner) = given.then(Instant::now);
    });
}

/// The size of a request head, as HTTP/2 counts it.
pub(super) fn head_bytes(headers: &HeaderMap) -> usize {
    let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + FIELD_BYTES
    };
    headers.iter().map(field).sum()
}

/// The streams of one connection.
struct Streams {
    running: Running,
    patience: Duration,
    open: AtomicUsize,
    begun: AtomicU64,
}

#[derive(Clone)]
struct Spawn(Arc<Streams>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, stream: F) {
        let streams = Arc::clone(&self.0);
        let entered = streams.running.enter();
        streams.open.fetch_add(1, Ordering::Relaxed);
        streams.begun.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let unsent = Unsent::default();
            tokio::select! {
                _ = UNSENT_SINCE.scope(unsent.clone(), stream) => {}
                // Dropping the stream resets it.
                () = left_unread(&unsent, streams.patience) => {}
            }
            streams.open.fetch_sub(1, Ordering::Relaxed);
            drop(entered);
        });
    }
}

/// Waits until something was left unread for so long.
async fn left_unread(unsent: &Unsent, patience: Duration) {
    loop {
        let since = *unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited >= patience {
            return;
        }
        sleep(patience - waited).await;
    }
}

/// Serves a connection of which `read` was read already, until it ends, is idle, or the server goes down.
pub(super) async fn serve<S: Authenticate>(
    socket: Socket,
    read: Bytes,
    service: Requests<S>,
    limits: Limits,
    running: Running,
    closing: &CancellationToken,
    abort: &CancellationToken,
) {
    let streams = Arc::new(Streams {
        running,
        patience: limits.write_stall,
        open: AtomicUsize::new(0),
        begun: AtomicU64::new(0),
    });
    // Twice what is allowed is read, so that who asks for too much is told so as everywhere.
    let head_bytes_max = limits.head_bytes_max.saturating_mul(2);
    let mut connection = pin!(
        http2::Builder::new(Spawn(Arc::clone(&streams)))
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams_max)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(RESETS_WAITING_MAX)
            .max_local_error_reset_streams(FAULTS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES_MAX)
            .serve_connection(TokioIo::new(Rewound { read, rest: socket }), service)
    );
    let mut look = interval_at(tokio::time::Instant::now() + limits.head, limits.head);
    let mut begun = 0;
    let mut told_at: Option<Instant> = None;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP/2 connection broke");
                }
                return;
            }
            () = abort.cancelled() => return,
            () = closing.cancelled(), if told_at.is_none() => {
                connection.as_mut().graceful_shutdown();
                told_at = Some(Instant::now());
            }
            _ = look.tick() => {
                let begun_now = streams.begun.load(Ordering::Relaxed);
                let is_idle = streams.open.load(Ordering::Relaxed) == 0 && begun_now == begun;
                begun = begun_now;
                match told_at {
                    None if is_idle => {
                        connection.as_mut().graceful_shutdown();
                        told_at = Some(Instant::now());
                    }
                    // A client that takes no notice is not waited for.
                    Some(at) if is_idle && at.elapsed() >= limits.write_stall => return,
                    _ => {}
                }
            }
        }
    }
}
