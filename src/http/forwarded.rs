//! Who asks, when proxies stand between: `Forwarded` (RFC 7239) and `X-Forwarded-For`, believed from trusted proxies only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word counts.
#[derive(Clone)]
pub struct Proxies(Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>);

impl Proxies {
    /// Nobody's word counts: addresses are those of the sockets.
    pub fn none() -> Proxies {
        Proxies(None)
    }

    /// The word of the addresses counts for which this holds.
    pub fn trusted(is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Proxies {
        Proxies(Some(Arc::new(is_trusted)))
    }

    /// Whether this address is one of them.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let is_trusted = self.0.as_deref();
        is_trusted.is_some_and(|is_trusted| is_trusted(address))
    }

    /// The address that a request comes from: the last hop that is no trusted proxy. What stands before it was written by
    /// somebody we do not know. A hop that says nothing we understand leaves the proxy that reported it.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let Some(is_trusted) = self.0.as_deref().filter(|is_trusted| is_trusted(peer)) else {
            return peer;
        };
        let by_forwarded = last_untrusted(peer, forwarded(headers), is_trusted);
        let by_x_forwarded_for = last_untrusted(peer, x_forwarded_for(headers), is_trusted);
        match (by_forwarded, by_x_forwarded_for) {
            (Some(one), Some(other)) if one != other => {
                // A proxy writes one of them and passes the other on as it came, so either may be forged.
                peer
            }
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }
}

/// Walks the hops from the last to the first; `None` when there are none.
fn last_untrusted(
    peer: IpAddr,
    hops: Vec<Option<IpAddr>>,
    is_trusted: &dyn Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut last = (!hops.is_empty()).then_some(peer)?;
    for hop in hops.into_iter().rev() {
        let Some(hop) = hop else { break };
        last = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    Some(last)
}

fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(address)
        .collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter();
    lines
        .flat_map(|line| split_unquoted(line.as_bytes(), b','))
        .map(|hop| {
            split_unquoted(hop, b';').into_iter().find_map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then_some(value)
            })
        })
        .map(|value| value.and_then(|value| address(value.as_bytes())))
        .collect()
}

/// Splits at a separator that stands outside quotes.
fn split_unquoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|&byte| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' => is_escaped = is_quoted,
            _ => {}
        }
        byte == separator && !is_quoted
    })
    .collect()
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, each with or without quotes.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hyper::header::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let proxies = Proxies::trusted(|address| match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.segments()[0] == 0xfd00,
        });
        proxies.client(ip(peer), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let forged = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ];
        assert_eq!(client("203.0.113.9", &forged), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &forged), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        assert_eq!(
            Proxies::none().client(ip("10.0.0.1"), &headers),
            ip("10.0.0.1")
        );
    }

    /// What a client writes itself stands to the left of what the proxies add.
    #[test]
    fn the_last_hop_that_is_no_proxy_of_ours_counts() {
        for (value, expected) in [
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.1, nonsense", "10.0.0.1"),
            ("192.0.2.1, nonsense, 10.0.0.2", "10.0.0.2"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:5000", "192.0.2.1"),
            (",", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("x-forwarded-for", value)]),
                expected,
                "{value}"
            );
        }
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "192.0.2.1, 10.0.0.2"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=1.1.1.1, for=192.0.2.43, for=10.0.0.5", "192.0.2.43"),
            (
                "for=\"a,b;c\\\"\", proto=https ; FOR=192.0.2.1",
                "192.0.2.1",
            ),
            ("for=192.0.2.1, for=unknown", "10.0.0.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("forwarded", value)]),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn two_headers_that_disagree_are_both_set_aside() {
        let lines = [
            ("forwarded", "for=1.1.1.1"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "10.0.0.1");
        let lines = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "9.9.9.9, 192.0.2.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.1");
    }
}
