//! A future that comes to its end even when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs in the task that awaits it, which costs nothing; dropped before its end, the rest runs in a task of its own.
pub(super) struct Whole<T: Send + 'static> {
    rest: Option<Boxed<T>>,
    runtime: Handle,
}

impl<T: Send + 'static> Whole<T> {
    /// Must be called within the runtime.
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            rest: Some(Box::pin(future)),
            runtime: Handle::current(),
        }
    }
}

impl<T: Send + 'static> Future for Whole<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.rest else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            self.rest = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Whole<T> {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            drop(self.runtime.spawn(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    /// A handler that its client left halfway still makes its change, and one that ended is not run again.
    #[tokio::test]
    async fn what_was_begun_comes_to_its_end() {
        let (go_on, told) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut whole = Whole::new(async move {
            told.await.unwrap();
            done.send(7).unwrap();
        });
        // Polled once, as by a connection that then ends.
        assert!((&mut whole).now_or_never().is_none());
        drop(whole);
        go_on.send(()).unwrap();
        assert_eq!(is_done.await, Ok(7));
        assert_eq!(Whole::new(async { 8 }).await, 8);
    }
}
