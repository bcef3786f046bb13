//! Panics: counted, and logged once, with the request they belong to.

use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering;

use super::request_id::RequestId;
use crate::metrics::PANICS;

tokio::task_local! {
    /// The request that this task answers.
    pub(super) static REQUEST: RequestId;
}

/// Has every panic of this process logged as a line like any other, and counted.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let place = info.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let message = text(info);
        // Not while the thread's locals are being destroyed, nor between requests.
        match REQUEST.try_with(|id| id.to_string()) {
            Ok(id) => {
                tracing::error!(
                    request.id = id,
                    place,
                    thread,
                    "a handler panicked: {message}"
                )
            }
            Err(_) => tracing::error!(place, thread, "a panic: {message}"),
        }
    }));
}

fn text(info: &PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("no message").to_owned()
}
