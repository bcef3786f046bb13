//! A bare hyper: what a server costs that does nothing. It is this binary, started again, so that its memory is its own.

use std::convert::Infallible;
use std::io::{self, Write};
use std::process::Command;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use skep::cli::bench::{Process, Target, answers, millis};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Figures;

/// What this binary is started with to be it.
pub const WORD: &str = "--peer";
/// What its events are known by.
pub const MARK: &[u8] = b"event: told";

/// A running one.
pub struct Peer {
    pub process: Process,
    pub target: Target,
    /// Milliseconds from its start to its first answer.
    pub took: f64,
}

impl Peer {
    pub fn start(figures: &Figures) -> io::Result<Self> {
        let begin = std::time::Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WORD);
        let log = figures.dir().join("peer.log");
        let mut process = Process::start(&mut command, figures.dir(), &log)?;
        let address = process.lines()?.next().transpose()?.unwrap_or_default();
        let address = address.parse().map_err(io::Error::other)?;
        answers(address, "/")?;
        let target = Target {
            address,
            authorization: String::new(),
        };
        Ok(Self {
            process,
            target,
            took: millis(begin.elapsed()),
        })
    }
}

/// Serves: `/stream` is told of every POST; anything else is a short answer.
pub async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    let (told, _) = watch::channel(0_u64);
    loop {
        let (socket, _) = listener.accept().await?;
        let _ = socket.set_nodelay(true);
        let told = told.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, told.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    told: watch::Sender<u64>,
) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/stream" {
        let events = stream::unfold(
            (told.subscribe(), true),
            |(mut told, is_first)| async move {
                let text: &[u8] = match is_first {
                    true => b": connected\n\n",
                    false => {
                        told.changed().await.ok()?;
                        b"event: told\ndata: {\"content\":\"a message of an ordinary length\"}\n\n"
                    }
                };
                Some((Ok(Frame::data(Bytes::from_static(text))), (told, false)))
            },
        );
        return Ok(Response::new(UnsyncBoxBody::new(StreamBody::new(events))));
    }
    if request.method() == hyper::Method::POST {
        let _ = request.into_body().collect().await;
        told.send_modify(|count| *count += 1);
    }
    let text = Bytes::from_static(br#"{"status":"queued"}"#);
    Ok(Response::new(UnsyncBoxBody::new(Full::new(text))))
}
