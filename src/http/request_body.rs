//! The body of a request as it arrives: bounded in size and in time, whatever the client does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::{Instant, Sleep, sleep};

use super::error::ApiError;
use super::router::Policy;

/// What boundaries and part headers may add to the fields of a multipart body.
const MULTIPART_OVERHEAD_BYTES: u64 = 64 * 1024;

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
    /// What was taken in before.
    taken: Option<Bytes>,
    bytes_max: u64,
    bytes_read: u64,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, bytes_max: u64, patience: Duration) -> RequestBody {
        RequestBody {
            incoming: Some(incoming),
            taken: None,
            bytes_max,
            bytes_read: 0,
            patience,
            deadline: None,
        }
    }

    /// A body that was taken in, to be read again.
    pub(super) fn whole(bytes: Bytes) -> RequestBody {
        RequestBody {
            incoming: None,
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
            taken: self.taken.take(),
            deadline: self.deadline.take(),
            ..*self
        }
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
                    body.incoming = None;
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
