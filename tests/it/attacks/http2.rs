//! What HTTP/2 adds to the attacks: frames without end, and two names for one host.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{PATIENCE, TestServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, 0]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// CVE-2024-27316 and its kin: headers that go on and on, and settings by the million, end their connection and cost
/// the server nothing.
#[tokio::test]
async fn frames_without_end_end_their_connection() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    // `:method: GET`, `:scheme: http`, `:path: /` of the static table, then a literal header again and again.
    let head = [0x82, 0x86, 0x84];
    let headers = [b"\0\x01x\x7f\x81\x3f".as_slice(), &[b'a'; 8000]].concat();

    for (first, then, stream) in [
        (
            frame(HEADERS, 1, &head),
            frame(CONTINUATION, 1, &headers),
            1,
        ),
        (frame(HEADERS, 1, &head), frame(CONTINUATION, 1, b""), 1),
        (Vec::new(), frame(HEADERS, 0, &head), 0),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let begin = [PREFACE, &frame(SETTINGS, 0, b""), &first].concat();
        socket.write_all(&begin).await.unwrap();
        let (mut reader, mut writer) = socket.split();
        let flood = async {
            // 512 MiB, or half a million frames: far more than anything would keep.
            let many = then.repeat(1 + 65_536 / then.len());
            for _ in 0..(512 << 20) / many.len() {
                if writer.write_all(&many).await.is_err() {
                    return;
                }
            }
            panic!("stream {stream}: the server read all of it");
        };
        let mut said = Vec::new();
        let read = async {
            let _ = reader.read_to_end(&mut said).await;
        };
        let ended = async {
            tokio::select! { () = flood => {}, () = read => {} }
        };
        timeout(PATIENCE, ended).await.expect("an end");
        user.get("/api/me").await.expect(200);
    }
    server.stop().await;
}

/// A request goes by the name in its address: a better one in a header does not get it in.
#[tokio::test]
async fn a_rebound_name_reaches_nothing_over_http2() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (send, connection) = h2::client::handshake(socket).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut send: h2::client::SendRequest<Bytes> = send.ready().await.unwrap();
    for (authority, host) in [("evil.example", None), ("evil.example", Some("localhost"))] {
        let mut request = http::Request::get(format!("http://{authority}/api/me"))
            .header("authorization", format!("Bearer {}", user.access));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (answer, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("an answer");
        // Refused by us, or as a malformed request by the protocol.
        if let Ok(answer) = answer {
            let status = answer.status().as_u16();
            assert!(
                [400, 403].contains(&status),
                "{authority} {host:?}: {status}"
            );
        }
    }
    drop(send);
    connection.abort();
}
