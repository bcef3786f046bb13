//! The HTTP protocol: connections, requests, routes, errors, streams and files.
//!
//! - **Owns** the listening socket and every connection task, what happens to each request and in which order, and the
//!   exact form of every answer, also of those no handler made (parser, router, limits, panics).
//! - **Must never know** a noun of the product, the store or the journal. It is generic over the shared state `S`.
//! - **Start reading at** [`pipeline`]: one function is what happens to every request. Then [`router`], [`server`].
//!
//! A route is one line of a table, its policy said by what differs from the rule (a caller is needed, 1 MiB of body):
//!
//! ```
//! use std::sync::Arc;
//! use skep::http::{ApiError, Request, Response, Route, delete, get, post};
//! # struct App;
//! # #[derive(serde::Deserialize)] struct NewWorker { name: String }
//! # #[derive(serde::Serialize)] struct WorkerView { id: u64, name: String }
//!
//! fn routes() -> Vec<Route<App>> {
//!     vec![
//!         post("/api/auth/login", log_in).public().rate("auth"),
//!         get("/api/workers/{id}", get_worker),
//!         post("/api/workers", create_worker).rate("agents"),
//!     ]
//! }
//!
//! async fn get_worker(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
//!     let id: u64 = req.path("id")?;                        // a malformed id is an unknown one: 404
//!     let verbose: Option<bool> = req.query("verbose")?;    // a malformed value is 400 and named
//!     Err(ApiError::not_found("worker"))
//! }
//!
//! async fn create_worker(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
//!     let body: NewWorker = req.json().await?;              // 400, 413 or 415
//!     let view = WorkerView { id: 1, name: body.name };
//!     Ok(Response::created(&format!("/api/workers/{}", view.id), &view))
//! }
//! # async fn log_in(app: Arc<App>, req: Request) -> Result<Response, ApiError> { Ok(Response::no_content()) }
//! ```
//!
//! Answers that are not JSON: [`FileAnswer`] for files and logs (ranges, tags), [`Response::stream`] for bytes as they
//! come, [`sse::respond`] for events; the last two end with `req.closing()`. A handler that may change something (any
//! method but GET) runs to its end even if its client hangs up.
//!
//! The shared state says who is calling ([`Authenticate`]); a handler finds that with `req.extension::<Caller>()`.
//! Everything is put together by [`Server::new`] and run by [`Server::serve`].

mod admission;
pub mod assets;
mod base_path;
pub mod body;
pub mod compression;
pub mod conditional;
pub mod doc;
pub mod envelope;
pub mod error;
pub mod forwarded;
mod http2;
pub mod idempotency;
pub mod origin;
pub mod panics;
pub mod pipeline;
pub mod range;
pub mod rate_limit;
pub mod request;
pub mod request_body;
pub mod request_id;
pub mod response;
pub mod router;
pub mod server;
mod socket;
pub mod sse;
#[cfg(test)]
mod tests;
pub mod tls;
mod transport;
mod whole;

pub use assets::Assets;
pub use body::Body;
pub use conditional::FileAnswer;
pub use envelope::Envelope;
pub use error::{ApiError, ErrorCode};
pub use forwarded::Proxies;
pub use origin::Origins;
pub use pipeline::Authenticate;
pub use rate_limit::{Quota, RateLimits};
pub use request::Request;
pub use request_id::RequestId;
pub use response::Response;
pub use router::{Policy, Route, Router, delete, get, patch, post, put};
pub use server::{Limits, Server};
pub use tls::{Tls, TlsError};
pub use tokio_util::sync::CancellationToken;
