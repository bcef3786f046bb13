//! The body of a request as it arrives: bounded in size and in time, whatever the client does.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::Version;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap};
use hyper::http::request::Parts;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::error::ApiError;
use super::router::Policy;

/// What boundaries and part headers may add to the fields of a multipart body.
const MULTIPART_OVERHEAD_BYTES: u64 = 64 * 1024;

/// The largest rest of a refused request's body that is received, so that its connection goes on, bytes.
pub const REST_BYTES_MAX: u64 = 64 * 1024;

/// How long that may take.
const REST_WAIT: Duration = Duration::from_millis(500);

/// Why a body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes.
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge {
        /// What the route takes.
        bytes_max: u64,
    },
    /// The client stopped sending.
    #[error("no byte of the body came for {seconds} s")]
    TooSlow {
        /// How long was waited.
        seconds: u64,
    },
    /// The connection broke, or the framing did.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        match error {
            BodyError::TooLarge { bytes_max } => ApiError::payload_too_large(bytes_max),
            BodyError::TooSlow { .. } => ApiError::bad_request("The body did not arrive in time"),
            BodyError::Broken(_) => ApiError::bad_request("The body is not whole").cause(error),
        }
    }
}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> io::Error {
        io::Error::other(error)
    }
}

impl From<multer::Error> for ApiError {
    fn from(error: multer::Error) -> ApiError {
        match error {
            multer::Error::StreamReadFailed(error) => match error.downcast::<BodyError>() {
                Ok(error) => (*error).into(),
                Err(error) => ApiError::bad_request("The body is not whole").cause(error),
            },
            multer::Error::FieldSizeExceeded { limit, .. }
            | multer::Error::StreamSizeExceeded { limit } => ApiError::payload_too_large(limit),
            error => ApiError::bad_request(format!("The multipart body is broken: {error}")),
        }
    }
}

/// The body as it arrives, under the route's size limit and with a limit on how long each chunk may take.
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Where it stays when it is not read to its end.
    rest: Option<Rest>,
    /// What was taken in before.
    taken: Option<Bytes>,
    bytes_max: u64,
    bytes_read: u64,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// Nothing of it is taken before [`RequestBody::set_bytes_max`] says how much may be.
    pub(super) fn new(incoming: Incoming, rest: Option<Rest>, patience: Duration) -> RequestBody {
        RequestBody {
            incoming: Some(incoming),
            rest,
            taken: None,
            bytes_max: 0,
            bytes_read: 0,
            patience,
            deadline: None,
        }
    }

    pub(super) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// How long it says it is, at least.
    pub(super) fn length(&self) -> u64 {
        self.incoming
            .as_ref()
            .map_or(0, |incoming| incoming.size_hint().lower())
    }

    /// A body that was taken in, to be read again.
    pub(super) fn whole(bytes: Bytes) -> RequestBody {
        RequestBody {
            incoming: None,
            rest: None,
            bytes_max: bytes.len() as u64,
            taken: Some(bytes).filter(|bytes| !bytes.is_empty()),
            bytes_read: 0,
            patience: Duration::ZERO,
            deadline: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_none() && self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// Takes what has not arrived yet out, to be read elsewhere.
    pub(super) fn detach(&mut self) -> RequestBody {
        RequestBody {
            incoming: self.incoming.take(),
            rest: self.rest.take(),
            taken: self.taken.take(),
            deadline: self.deadline.take(),
            ..*self
        }
    }

    /// Its last byte is here.
    fn end(&mut self) {
        self.incoming = None;
        if let Some(rest) = self.rest.take() {
            rest.set(State::Received);
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(rest), Some(incoming)) = (self.rest.take(), self.incoming.take()) {
            rest.set(match incoming.is_end_stream() {
                true => State::Received,
                false => State::Left(incoming),
            });
        }
    }
}

/// What became of a request's body by the time that it is answered. HTTP/1.1 has no way to leave the rest of a body out:
/// its connection goes on behind the last byte, or not at all, and then the answer has to say so.
#[derive(Clone)]
pub(super) struct Rest {
    state: Arc<Mutex<State>>,
    /// The client sends its body only once it is asked to (RFC 9110, 10.1.1).
    awaits_leave: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Unknown,
    Received,
    Left(Incoming),
}

impl Rest {
    /// `None` where nobody has to care: there is no body, or HTTP/2 ends its stream.
    pub(super) fn of(parts: &Parts, body: &Incoming) -> Option<Rest> {
        (parts.version < Version::HTTP_2 && !body.is_end_stream()).then(|| Rest {
            state: Arc::default(),
            awaits_leave: parts.headers.contains_key(EXPECT),
        })
    }

    /// Whether the connection can go on. A short rest is received for that; not from a client that waits for leave to
    /// send it.
    pub(super) async fn is_received(&self) -> bool {
        let state = std::mem::take(&mut *self.state());
        let mut incoming = match state {
            State::Unknown => return false,
            State::Received => return true,
            State::Left(incoming) => incoming,
        };
        if self.awaits_leave || incoming.size_hint().lower() > REST_BYTES_MAX {
            return false;
        }
        let received = async {
            let mut bytes = 0;
            while let Some(frame) = incoming.frame().await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if bytes > REST_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        timeout(REST_WAIT, received).await.unwrap_or(false)
    }

    fn set(&self, state: State) {
        *self.state() = state;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        if let Some(taken) = body.taken.take() {
            return Poll::Ready(Some(Ok(taken)));
        }
        loop {
            let Some(incoming) = &mut body.incoming else {
                return Poll::Ready(None);
            };
            let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
                let patience = body.patience;
                let deadline = body
                    .deadline
                    .get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(deadline.as_mut().poll(cx));
                body.incoming = None;
                return Poll::Ready(Some(Err(BodyError::TooSlow {
                    seconds: patience.as_secs(),
                })));
            };
            if let Some(deadline) = &mut body.deadline {
                deadline.as_mut().reset(Instant::now() + body.patience);
            }
            let error = match frame {
                None => {
                    body.end();
                    return Poll::Ready(None);
                }
                Some(Ok(frame)) => {
                    let Ok(chunk) = frame.into_data() else {
                        continue;
                    };
                    body.bytes_read += chunk.len() as u64;
                    if body.bytes_read <= body.bytes_max {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    BodyError::TooLarge {
                        bytes_max: body.bytes_max,
                    }
                }
                Some(Err(error)) => BodyError::Broken(error),
            };
            body.incoming = None;
            return Poll::Ready(Some(Err(error)));
        }
    }
}

/// How large the body of a request to this route may be on the wire. A file of exactly the route's limit fits, though
/// its multipart body is a little larger.
pub(super) fn body_bytes_max(policy: &Policy, headers: &HeaderMap) -> u64 {
    let multipart = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"multipart/"));
    match multipart {
        true => policy.body_bytes_max + MULTIPART_OVERHEAD_BYTES,
        false => policy.body_bytes_max,
    }
}
