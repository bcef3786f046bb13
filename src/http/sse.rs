//! Server-sent events: how a frame is written, and an answer that stays open.
//!
//! A stream costs the memory of its connection, one timer and whatever the source holds; frames are shared bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::response::Response;

/// How often an open stream says that it is alive, so that proxies keep it and dead peers are found.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
pub const RETRY_MS: u32 = 2000;

const OPENING: &[u8] = b": connected\n\nretry: 2000\n\n";
const BEAT: &[u8] = b":\n\n";

/// One event. `data` may hold any text: each of its lines becomes a `data:` line. A line break in `id` or `event` would
/// end the field, so it is left out.
pub fn frame(id: Option<&str>, event: Option<&str>, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 64);
    if let Some(id) = id {
        push_field(&mut text, "id: ", id);
    }
    if let Some(event) = event {
        push_field(&mut text, "event: ", event);
    }
    let mut rest = data;
    loop {
        text.push_str("data: ");
        let Some(end) = rest.find(['\n', '\r']) else {
            text.push_str(rest);
            break;
        };
        text.push_str(&rest[..end]);
        text.push('\n');
        let width = if rest[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + width..];
    }
    text.push_str("\n\n");
    Bytes::from(text)
}

/// A comment: clients ignore it.
pub fn comment(text: &str) -> Bytes {
    let mut frame = String::with_capacity(text.len() + 4);
    push_field(&mut frame, ": ", text);
    frame.push('\n');
    Bytes::from(frame)
}

fn push_field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')));
    text.push('\n');
}

/// An answer that stays open: headers at once, `: connected`, `retry:`, then the frames as they come and a comment every
/// 15 s. It ends when the frames end or when `closing` is cancelled (`req.closing()`).
pub fn respond(
    closing: &CancellationToken,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    respond_with(HEARTBEAT, closing, frames)
}

/// The same without anything before the first frame, for clients that take every field for an event of theirs.
pub fn respond_bare(
    closing: &CancellationToken,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    answer(true, HEARTBEAT, closing, frames)
}

fn respond_with(
    heartbeat: Duration,
    closing: &CancellationToken,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    answer(false, heartbeat, closing, frames)
}

fn answer(
    opened: bool,
    heartbeat: Duration,
    closing: &CancellationToken,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let mut beat = interval_at(Instant::now() + heartbeat, heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        opened,
        frames: Box::pin(frames),
        beat,
        closed: Box::pin(closing.clone().cancelled_owned()),
    };
    Response::stream("text/event-stream", events)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        )
}

struct Events<F> {
    opened: bool,
    frames: Pin<Box<F>>,
    beat: Interval,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<F: Stream<Item = Bytes>> Stream for Events<F> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.get_mut();
        if !events.opened {
            events.opened = true;
            return Poll::Ready(Some(Ok(Bytes::from_static(OPENING))));
        }
        if events.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = events.frames.as_mut().poll_next(cx) {
            return Poll::Ready(frame.map(Ok));
        }
        ready!(events.beat.poll_tick(cx));
        Poll::Ready(Some(Ok(Bytes::from_static(BEAT))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    fn text(bytes: Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_frame_carries_any_text_and_nothing_breaks_out_of_it() {
        assert_eq!(
            text(frame(Some("7"), Some("delta"), "a")),
            "id: 7\nevent: delta\ndata: a\n\n"
        );
        assert_eq!(text(frame(None, None, "")), "data: \n\n");
        assert_eq!(
            text(frame(None, None, "a\nb\r\nc\rd\n")),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
        assert_eq!(
            text(frame(Some("1\nid: 2"), Some("x\r\ndata: y"), "z")),
            "id: 1id: 2\nevent: xdata: y\ndata: z\n\n"
        );
        assert_eq!(text(comment("a\n\ndata: b")), ": adata: b\n\n");
        assert!(text(Bytes::from_static(OPENING)).contains(&format!("retry: {RETRY_MS}\n")));
    }

    async fn next(answer: &mut hyper::Response<super::super::Body>) -> Option<String> {
        let frame = answer.body_mut().frame().await?;
        Some(text(frame.unwrap().into_data().unwrap()))
    }

    #[tokio::test]
    async fn an_idle_stream_beats_and_ends_when_told() {
        let closing = CancellationToken::new();
        let heartbeat = Duration::from_millis(20);
        let mut answer: hyper::Response<_> =
            respond_with(heartbeat, &closing, stream::pending()).into();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        assert_eq!(
            next(&mut answer).await.unwrap(),
            ": connected\n\nretry: 2000\n\n"
        );
        let start = Instant::now();
        for beats in 1..=3 {
            assert_eq!(next(&mut answer).await.unwrap(), ":\n\n");
            assert!(start.elapsed() + Duration::from_millis(2) >= heartbeat * beats);
        }
        closing.cancel();
        assert_eq!(next(&mut answer).await, None);
    }

    #[tokio::test]
    async fn a_stream_passes_its_frames_on_and_ends_with_them() {
        let frames = stream::iter([frame(Some("1"), None, "a"), frame(Some("2"), None, "b")]);
        let answer: hyper::Response<_> = respond(&CancellationToken::new(), frames.fuse()).into();
        let all = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            text(all),
            ": connected\n\nretry: 2000\n\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n"
        );
    }
}
