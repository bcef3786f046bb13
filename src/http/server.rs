//! The accept loop, connection limits and the graceful end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::Version;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::admission::{Connections, Running};
use super::assets::Assets;
use super::base_path::BasePath;
use super::body::Body;
use super::conditional::http_date;
use super::error::{ApiError, ErrorCode};
use super::forwarded::Proxies;
use super::http2;
use super::origin::Origins;
use super::pipeline::{self, Authenticate, Pipeline, Unrouted};
use super::rate_limit::RateLimits;
use super::response::Response;
use super::router::{Route, Router};
use super::socket::Socket;
use super::tls::Tls;
use super::transport::Transport;
use crate::metrics::RequestMetrics;

/// How long to wait when the system gives out no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections over the limit that are closed with care at the same time.
const TURNED_AWAY_MAX: usize = 64;

/// What hyper may hold of one connection's bytes in either direction, unless heads are allowed to be larger.
const BUFFER_BYTES_MAX: usize = 400 * 1024;

/// What one connection, and all of them, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections in all; one more is answered 503.
    pub connections_max: usize,
    /// Connections of one address. Loopback and trusted proxies are not counted: a proxy stands for everybody.
    pub connections_per_address_max: usize,
    /// The request line and all headers.
    pub head_bytes_max: usize,
    /// Path and query; hyper takes no more than 65,534 bytes.
    pub uri_bytes_max: usize,
    /// How long a connection has to deliver its next request head; it bounds a slow head and an idle connection alike.
    pub head: Duration,
    /// How long the next chunk of a body may take.
    pub body_chunk: Duration,
    /// How long a client may leave what was written to it unread.
    pub write_stall: Duration,
    /// Requests that one HTTP/2 connection may have open.
    pub http2_streams_max: u32,
    /// How long a TLS handshake may take, its wait for a place among them included.
    pub tls_handshake: Duration,
    /// TLS handshakes at a time; more wait for their place.
    pub tls_handshakes_max: usize,
    /// How long running handlers and answers are waited for when the server goes down.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 16_384,
            connections_per_address_max: 256,
            head_bytes_max: 32 * 1024,
            uri_bytes_max: 8 * 1024,
            head: Duration::from_secs(30),
            body_chunk: Duration::from_secs(30),
            write_stall: Duration::from_secs(60),
            http2_streams_max: 100,
            tls_handshake: Duration::from_secs(10),
            tls_handshakes_max: 512,
            drain: Duration::from_secs(10),
        }
    }
}

/// Everything that answers HTTP, ready to be given a listener.
pub struct Server<S> {
    pub(super) state: Arc<S>,
    pub(super) router: Router<S>,
    pub(super) assets: Option<Assets>,
    pub(super) origins: Origins,
    pub(super) rate_limits: RateLimits,
    pub(super) proxies: Proxies,
    pub(super) limits: Limits,
    pub(super) base_path: BasePath,
    pub(super) connections: Arc<AtomicU64>,
    pub(super) unrouted: Unrouted,
    tls: Option<Tls>,
}

impl<S: Authenticate> Server<S> {
    /// A server of these routes over this state.
    pub fn new(state: Arc<S>, routes: Vec<Route<S>>) -> Server<S> {
        Server {
            state,
            router: Router::new(routes),
            assets: None,
            origins: Origins::default(),
            rate_limits: RateLimits::new([]),
            proxies: Proxies::none(),
            limits: Limits::default(),
            base_path: BasePath::default(),
            connections: Arc::default(),
            unrouted: Unrouted::default(),
            tls: None,
        }
    }

    /// Everything is below this path: `/skep`.
    pub fn base_path(mut self, path: &str) -> Server<S> {
        self.base_path = BasePath::new(path);
        self
    }

    /// Counts here the connections that are open.
    pub fn count_connections(mut self, connections: Arc<AtomicU64>) -> Server<S> {
        self.connections = connections;
        self
    }

    /// Where requests are counted for which there is no route.
    pub fn unrouted(&self) -> [Arc<RequestMetrics>; 2] {
        [&self.unrouted.console, &self.unrouted.other].map(Arc::clone)
    }

    /// Speaks TLS with this certificate.
    pub fn tls(mut self, tls: Option<Tls>) -> Server<S> {
        self.tls = tls;
        self
    }

    /// Also serves these files, where no route is meant.
    pub fn assets(mut self, assets: Assets) -> Server<S> {
        self.assets = Some(assets);
        self
    }

    /// Under which names, and from which pages, it may be used.
    pub fn origins(mut self, origins: Origins) -> Server<S> {
        self.origins = origins;
        self
    }

    /// How often one may ask; without this as often as one likes.
    pub fn rate_limits(mut self, rate_limits: RateLimits) -> Server<S> {
        self.rate_limits = rate_limits;
        self
    }

    /// Whose word on where a request comes from counts.
    pub fn proxies(mut self, proxies: Proxies) -> Server<S> {
        self.proxies = proxies;
        self
    }

    /// Other limits than the usual ones.
    pub fn limits(mut self, limits: Limits) -> Server<S> {
        self.limits = limits;
        self
    }

    /// Serves until `closing` is cancelled: accepts no more, ends streams, and waits for what runs up to the limit.
    /// Returns whether everything ended by itself.
    pub async fn serve(mut self, listener: TcpListener, closing: CancellationToken) -> bool {
        let running = Running::new();
        let limits = self.limits;
        let tls = self.tls.take();
        let open = Arc::clone(&self.connections);
        let proxies = self.proxies.clone();
        let service = Arc::new(Pipeline::new(self, closing.clone(), running.clone()));
        let connections = Connections::new(limits, proxies, open);
        let turning_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        let abort = CancellationToken::new();
        let handshakes = Arc::new(Semaphore::new(limits.tls_handshakes_max));
        let tls = tls.map(Arc::new);
        loop {
            let (stream, peer) = tokio::select! {
                () = closing.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be accepted");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Some(slot) = connections.admit(peer.ip()) else {
                // Who speaks TLS cannot be told why before a handshake, which is what there is no room for.
                if tls.is_none() {
                    turn_away(stream, limits, &turning_away);
                }
                continue;
            };
            let entered = running.enter();
            let connection = Connection {
                pipeline: Arc::clone(&service),
                peer,
                limits,
                closing: closing.clone(),
                abort: abort.clone(),
                running: running.clone(),
                tls: tls.clone(),
                handshakes: handshakes.clone(),
            };
            tokio::spawn(async move {
                connection.serve(stream).await;
                drop((slot, entered));
            });
        }
        drop(listener);
        let drained = timeout(limits.drain, running.ended()).await.is_ok();
        if !drained {
            tracing::warn!("some requests did not end in time and are broken off");
            abort.cancel();
        }
        drained
    }
}

/// Tells one connection too many why it is closed. A few at a time are closed with care; under a flood the rest are
/// just told, which does not wait because the send buffer of a new socket is empty.
fn turn_away(stream: TcpStream, limits: Limits, turning_away: &Arc<Semaphore>) {
    let error = ApiError::new(ErrorCode::Overloaded, "Too many connections").retry_after(5);
    let _ = stream.try_write(&raw_answer(pipeline::refuse(error)));
    if let Ok(permit) = Arc::clone(turning_away).try_acquire_owned() {
        tokio::spawn(async move {
            let mut socket = Socket::new(Transport::Plain(stream), limits.write_stall);
            socket.end().await;
            socket.linger().await;
            drop(permit);
        });
    }
}

/// One connection and what its task needs.
struct Connection<S> {
    pipeline: Arc<Pipeline<S>>,
    peer: SocketAddr,
    limits: Limits,
    closing: CancellationToken,
    abort: CancellationToken,
    running: Running,
    tls: Option<Arc<Tls>>,
    handshakes: Arc<Semaphore>,
}

impl<S: Authenticate> Connection<S> {
    async fn serve(self, stream: TcpStream) {
        // Small answers leave at once; a failure only costs speed.
        let _ = stream.set_nodelay(true);
        // Boxed, like everything that is not needed by an idle connection of HTTP/1.1.
        let transport = match &self.tls {
            None => Some(Transport::Plain(stream)),
            Some(tls) => Box::pin(self.shake_hands(tls, stream)).await,
        };
        let Some(transport) = transport else { return };
        let is_http2 = transport.is_http2();
        let socket = Socket::new(transport, self.limits.write_stall);
        let http2 = match is_http2 {
            true => Some((socket, Bytes::new())),
            false => self.serve_http1(socket).await,
        };
        if let Some((socket, read)) = http2 {
            let (limits, running) = (self.limits, self.running.clone());
            let (closing, abort) = (&self.closing, &self.abort);
            Box::pin(http2::serve(
                socket,
                read,
                self.requests(),
                limits,
                running,
                closing,
                abort,
            ))
            .await;
        }
    }

    fn requests(&self) -> Requests<S> {
        Requests {
            pipeline: Arc::clone(&self.pipeline),
            peer: self.peer.ip(),
        }
    }

    /// Makes the connection a secret one, or ends it.
    async fn shake_hands(&self, tls: &Tls, stream: TcpStream) -> Option<Transport> {
        let shaken = timeout(self.limits.tls_handshake, async {
            let mut first = [0];
            let speaks_plainly =
                stream.peek(&mut first).await.ok()? > 0 && first[0].is_ascii_uppercase();
            if speaks_plainly {
                let mut socket = Socket::new(Transport::Plain(stream), self.limits.write_stall);
                let error = ApiError::bad_request("This server speaks https only");
                let answer = raw_answer(pipeline::refuse(error));
                if socket.replace_bare(&answer).await.is_ok() {
                    socket.end().await;
                    socket.linger().await;
                }
                return None;
            }
            let _permit = self.handshakes.acquire().await.ok()?;
            match TlsAcceptor::from(tls.config()).accept(stream).await {
                Ok(stream) => Some(Transport::Tls(Box::new(stream))),
                Err(error) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
            }
        });
        tokio::select! {
            shaken = shaken => shaken.ok().flatten(),
            () = self.closing.cancelled() => None,
        }
    }

    /// Serves HTTP/1.1. A client that speaks HTTP/2 is given back, with what was read of it.
    async fn serve_http1(&self, socket: Socket) -> Option<(Socket, Bytes)> {
        let service = self.requests();
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_header_size(self.limits.head_bytes_max)
            .max_buf_size(self.limits.head_bytes_max.max(BUFFER_BYTES_MAX))
            .serve_connection(TokioIo::new(socket), service);
        let mut closing = pin!(self.closing.cancelled());
        let mut abort = pin!(self.abort.cancelled());
        let mut told = false;
        let ended = poll_fn(|cx| {
            if !told && closing.as_mut().poll(cx).is_ready() {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if told && abort.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            connection.poll_without_shutdown(cx).map(Some)
        })
        .await;
        let ended = ended?;
        let parts = connection.into_parts();
        let socket = parts.io.into_inner();
        if ended
            .as_ref()
            .is_err_and(|error| error.is_parse_version_h2())
        {
            return Some((socket, parts.read_buf));
        }
        // Boxed, because what is only needed at the end would otherwise be part of every idle connection.
        Box::pin(self.finish(ended, socket, parts.read_buf)).await;
        None
    }

    /// Ends a connection that hyper is done with. `unread` is what had arrived of the next request.
    async fn finish(&self, ended: hyper::Result<()>, mut socket: Socket, unread: Bytes) {
        // When the server goes down, clients that were answered in full are not waited for.
        let in_peace = ended.is_ok() && self.closing.is_cancelled();
        let refusal = ended
            .err()
            .and_then(|error| self.explain(&error, &socket, &unread));
        if let Some(error) = refusal {
            let answer = raw_answer(pipeline::refuse(error));
            if socket.replace_bare(&answer).await.is_err() {
                return;
            }
        }
        socket.end().await;
        if !in_peace {
            socket.linger().await;
        }
    }

    /// What to tell a client whose request never became one. `head` is what arrived of it.
    fn explain(&self, error: &hyper::Error, socket: &Socket, head: &[u8]) -> Option<ApiError> {
        if error.is_timeout() && !head.is_empty() {
            return Some(ApiError::bad_request(
                "The request head did not arrive in time",
            ));
        }
        if !error.is_parse() {
            return None;
        }
        let line_length = memchr::memchr(b'\n', head).unwrap_or(head.len());
        Some(match socket.bare_status()? {
            414 => pipeline::uri_too_long(self.limits.uri_bytes_max),
            431 if line_length > self.limits.uri_bytes_max => {
                pipeline::uri_too_long(self.limits.uri_bytes_max)
            }
            431 => head_too_large(self.limits.head_bytes_max),
            _ => ApiError::bad_request(format!("This is not an HTTP/1.1 request: {error}")),
        })
    }
}

fn head_too_large(bytes_max: usize) -> ApiError {
    ApiError::new(
        ErrorCode::HeadersTooLarge,
        format!("The request head may have at most {bytes_max} bytes"),
    )
}

/// What hyper calls for each request of a connection.
pub(super) struct Requests<S> {
    pipeline: Arc<Pipeline<S>>,
    peer: IpAddr,
}

impl<S: Authenticate> Service<hyper::Request<Incoming>> for Requests<S> {
    type Response = hyper::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (pipeline, peer) = (Arc::clone(&self.pipeline), self.peer);
        // hyper counts the bytes of HTTP/1.1 itself.
        let head_bytes_max = pipeline.limits().head_bytes_max;
        if request.version() == Version::HTTP_2
            && http2::head_bytes(request.headers()) > head_bytes_max
        {
            let refusal = pipeline::refuse(head_too_large(head_bytes_max));
            return Box::pin(std::future::ready(Ok(refusal.into())));
        }
        Box::pin(async move { Ok(pipeline.answer(peer, request).await) })
    }
}

/// An answer as bytes, for connections hyper has given up.
fn raw_answer(response: Response) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
    let body = response.body().as_bytes().cloned().unwrap_or_default();
    let mut line = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in response.headers() {
        line(name.as_str(), value.as_bytes());
    }
    line("content-length", body.len().to_string().as_bytes());
    if let Some(date) = http_date(jiff::Timestamp::now()) {
        line("date", date.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

/// Binds a listener with room for a burst of connections.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}
