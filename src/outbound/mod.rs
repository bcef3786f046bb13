//! Requests that Skep itself makes: to model servers, and for tools that fetch.
//!
//! Owns one HTTP/1.1 exchange from name resolution to the last byte, every wait of it bounded, and which addresses may be
//! reached. Must never know what is asked or why, and follows no redirect by itself. A connection lives as long as its
//! [`Answer`]; dropping either future or answer closes it. Start reading at [`send`].

mod address;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

pub use address::is_public;

/// The head of an answer.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The headers of an answer.
pub const HEADERS_MAX: usize = 128;
/// The addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Who Skep says it is.
const AGENT: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Name resolution, and the connection with its TLS.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub head: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// Which addresses a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any: the user named the server.
    Anywhere,
    /// Only those of the public internet, judged after the name was resolved: the address was somebody else's idea.
    Public,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// GET or POST.
    pub method: Method,
    /// Where; `http` or `https`.
    pub url: Url,
    /// Beside `Host`, `User-Agent` and `Connection`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty for GET.
    pub body: Bytes,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// It cannot be a request.
    #[error("{0}")]
    Invalid(String),
    /// The name or the address could not be reached.
    #[error("{place} cannot be reached: {why}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// The system's words.
        why: String,
    },
    /// The address is not one that may be reached.
    #[error("{place} is a private address, which may not be asked")]
    Private {
        /// Host and port.
        place: String,
    },
    /// A step took longer than it may.
    #[error("no {step} within {} s", .within.as_secs())]
    TimedOut {
        /// What did not happen.
        step: &'static str,
        /// The bound.
        within: Duration,
    },
    /// What came is not HTTP, or ended before its end.
    #[error("the answer broke off or is no HTTP: {0}")]
    Broken(String),
}

/// An answer on its way.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    connection: Connection,
    idle: Duration,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub fn header(&self, name: HeaderName) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The type of the body without its parameters, lower case.
    pub fn media_type(&self) -> String {
        let value = self.header(hyper::header::CONTENT_TYPE);
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    }

    /// The next piece of the body; `None` at its end. May be dropped and called again.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let Self {
            body,
            connection,
            idle,
            ..
        } = self;
        loop {
            let frame = timeout(*idle, connection.while_waiting_for(body.frame()))
                .await
                .map_err(|_| OutboundError::TimedOut {
                    step: "more of the answer",
                    within: *idle,
                })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// The body up to `bytes_max`, and whether that was all.
    pub async fn read(&mut self, bytes_max: usize) -> Result<(Vec<u8>, bool), OutboundError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            let room = bytes_max - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return Ok((bytes, false));
            }
        }
        Ok((bytes, true))
    }
}

/// Asks, and returns with the head of the answer.
pub async fn send(outgoing: Outgoing, reach: Reach, waits: Waits) -> Result<Answer, OutboundError> {
    let place = place(&outgoing.url)?;
    let connected = timeout(waits.connect, connect(&outgoing.url, &place, reach)).await;
    let (mut sender, connection) = connected.map_err(|_| OutboundError::TimedOut {
        step: "connection",
        within: waits.connect,
    })??;
    let mut connection = Connection(Some(Box::pin(async move {
        // What ends it is seen in the answer.
        let _ = connection.await;
    })));
    let request = request(outgoing)?;
    let answer = timeout(
        waits.head,
        connection.while_waiting_for(sender.send_request(request)),
    )
    .await
    .map_err(|_| OutboundError::TimedOut {
        step: "answer",
        within: waits.head,
    })?
    .map_err(|error| broken(&error))?;
    let (head, body) = answer.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
        connection,
        idle: waits.idle,
    })
}

/// Host and port, as people write them.
fn place(url: &Url) -> Result<String, OutboundError> {
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("only http and https can be asked, not {:?}", url.scheme());
        return Err(OutboundError::Invalid(message));
    }
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        _ => Err(OutboundError::Invalid("the address has no host".to_owned())),
    }
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Driver = http1::Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;

/// A connection that works only while somebody waits for what comes of it, so that it has no task of its own to outlive
/// anybody.
struct Connection(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Connection {
    async fn while_waiting_for<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        loop {
            match &mut self.0 {
                Some(driver) => tokio::select! {
                    biased;
                    found = &mut wanted => return found,
                    () = driver => self.0 = None,
                },
                None => return wanted.await,
            }
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

async fn connect(url: &Url, place: &str, reach: Reach) -> Result<(Sender, Driver), OutboundError> {
    let unreachable = |why: &dyn std::fmt::Display| OutboundError::Unreachable {
        place: place.to_owned(),
        why: why.to_string(),
    };
    let addresses = resolve(url).await.map_err(|error| unreachable(&error))?;
    let addresses: Vec<SocketAddr> = match reach {
        Reach::Anywhere => addresses,
        Reach::Public => addresses
            .into_iter()
            .filter(|address| is_public(address.ip()))
            .collect(),
    };
    let mut refused = None;
    let mut stream = None;
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match TcpStream::connect(address).await {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => refused = Some(error),
        }
    }
    let stream = match (stream, refused) {
        (Some(stream), _) => stream,
        (None, Some(error)) => return Err(unreachable(&error)),
        (None, None) => {
            let place = place.to_owned();
            return Err(OutboundError::Private { place });
        }
    };
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Io> = match url.scheme() {
        "https" => Box::new(
            tls::connect(url.host(), stream)
                .await
                .map_err(|error| unreachable(&error))?,
        ),
        _ => Box::new(stream),
    };
    http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Domain(name)) => {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
            match found.is_empty() {
                true => Err(io::Error::other("the name has no address")),
                false => Ok(found),
            }
        }
        None => Err(io::Error::other("there is no host")),
    }
}

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, OutboundError> {
    let url = &outgoing.url;
    let invalid = |error: &dyn std::fmt::Display| OutboundError::Invalid(error.to_string());
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let mut request = Request::builder()
        .method(outgoing.method)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Full::new(outgoing.body))
        .map_err(|error| invalid(&error))?;
    request.headers_mut().extend(outgoing.headers);
    Ok(request)
}

fn broken(error: &hyper::Error) -> OutboundError {
    // What hyper says is general; what lies below it says more.
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        words = format!("{words}: {below}");
        source = below.source();
    }
    OutboundError::Broken(words)
}
