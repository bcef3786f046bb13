//! The types that a setting can have, each with one textual form for the file, the environment and the command line.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The TOML type that a setting is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Bool,
    /// An array of strings; one string with commas elsewhere.
    List,
}

impl Kind {
    /// For messages: "must be …".
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Bool => "true or false",
            Self::List => "an array of strings",
        }
    }
}

/// A value of a setting. `parse` and `toml` are each other's inverse but for quotes and brackets.
pub(super) trait Value: Sized {
    const KIND: Kind;
    fn parse(word: &str) -> Result<Self, String>;
    fn toml(&self) -> String;
}

macro_rules! integers {
    ($($name:ty),+) => {$(
        impl Value for $name {
            const KIND: Kind = Kind::Integer;
            fn parse(word: &str) -> Result<Self, String> {
                if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err("must be a whole number, not negative".to_owned());
                }
                word.parse().map_err(|_| format!("must be at most {}", Self::MAX))
            }
            fn toml(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
integers!(u32, u64, usize);

impl Value for bool {
    const KIND: Kind = Kind::Bool;
    fn parse(word: &str) -> Result<Self, String> {
        match word {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const KIND: Kind = Kind::Text;
    fn parse(word: &str) -> Result<Self, String> {
        if word.is_empty() || word.chars().any(char::is_control) {
            return Err("must be a line of text".to_owned());
        }
        Ok(word.to_owned())
    }
    fn toml(&self) -> String {
        format!("{self:?}")
    }
}

/// What is written as one string.
pub(super) trait Text: FromStr<Err = String> + fmt::Display {}

impl<T: Text> Value for T {
    const KIND: Kind = Kind::Text;
    fn parse(word: &str) -> Result<Self, String> {
        word.parse()
    }
    fn toml(&self) -> String {
        format!("{:?}", self.to_string())
    }
}

impl<T: Text> Value for Option<T> {
    const KIND: Kind = Kind::Text;
    fn parse(word: &str) -> Result<Self, String> {
        word.parse().map(Some)
    }
    fn toml(&self) -> String {
        self.as_ref().map(Value::toml).unwrap_or_default()
    }
}

impl<T: Text> Value for Vec<T> {
    const KIND: Kind = Kind::List;
    fn parse(word: &str) -> Result<Self, String> {
        let items = word
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(str::parse).collect()
    }
    fn toml(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::toml).collect();
        format!("[{}]", items.join(", "))
    }
}

/// `value` if it lies within `range`.
pub(super) fn within<T: PartialOrd + fmt::Display>(
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        let (min, max) = range.into_inner();
        Err(format!("must be {min} to {max}, not {value}"))
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let numeric = match word.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => word.to_owned(),
        };
        let address = numeric.parse().map_err(|_| {
            format!(
                "{word:?} is not an address and a port, e.g. \"127.0.0.1:8080\" or \"[::1]:8080\""
            )
        })?;
        Ok(Self(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Text for Listen {}

/// A host name or IP address as a `Host` header has it, lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let name = word.to_ascii_lowercase();
        let bracketed = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let valid = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.len() <= 253 && name.split('.').all(is_label),
        };
        if valid {
            Ok(Self(name))
        } else {
            Err(format!(
                "{word:?} is not a host name, e.g. \"skep.example.org\" (no scheme, no port)"
            ))
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for HostName {}

/// An origin as browsers send it: `https://chat.example.org`, lower case, the scheme's own port left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    host: HostName,
}

impl Origin {
    /// As an `Origin` header has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host, without the port.
    pub fn host(&self) -> &HostName {
        &self.host
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        parse_origin(word).ok_or_else(|| {
            format!("{word:?} is not an origin, e.g. \"https://chat.example.org\" (scheme, host and port, no path)")
        })
    }
}

fn parse_origin(word: &str) -> Option<Origin> {
    let lower = word.to_ascii_lowercase();
    let lower = lower.strip_suffix('/').unwrap_or(&lower);
    let (scheme, authority) = lower.split_once("://")?;
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    // A colon inside brackets belongs to an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (
            host,
            Some(port.parse::<u16>().ok().filter(|&port| port > 0)?),
        ),
        _ => (authority, None),
    };
    let host: HostName = host.parse().ok()?;
    let text = match port {
        Some(port) if port != own_port => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    };
    Some(Origin { text, host })
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Text for Origin {}

/// An IP address, or a range of them: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether `address` is in it. An IPv4 address is the same one when it is written as an IPv6 one.
    pub fn contains(self, address: IpAddr) -> bool {
        let outside = 128 - self.prefix_in_v6();
        let shifted = |address: IpAddr| bits(address).checked_shr(outside).unwrap_or(0);
        shifted(address) == shifted(self.first)
    }

    fn prefix_in_v6(self) -> u32 {
        match self.first {
            IpAddr::V4(_) => 96 + u32::from(self.prefix),
            IpAddr::V6(_) => u32::from(self.prefix),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let first: Option<IpAddr> = address.parse().ok();
        let range = first.and_then(|first| {
            let prefix_max = if first.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Some(prefix_max), |digits| digits.parse().ok())?;
            (prefix <= prefix_max).then_some(Self { first, prefix })
        });
        range.ok_or_else(|| {
            format!("{word:?} is not an IP address or a range, e.g. \"10.0.0.7\" or \"10.0.0.0/8\"")
        })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl Text for AddressRange {}

/// A token bucket: `60/120` refills 60 a minute and holds 120; `off` has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// No limit.
    Off,
    /// A limit; neither number is 0.
    PerMinute {
        /// Refilled in a minute.
        rate: u32,
        /// Held at most.
        burst: u32,
    },
}

/// More than this a minute is no limit any more.
const RATE_MAX: u32 = 1_000_000;

impl FromStr for Rate {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "off" {
            return Ok(Self::Off);
        }
        let number = |digits: &str| {
            let number = u32::parse(digits).ok();
            number.filter(|number| (1..=RATE_MAX).contains(number))
        };
        let pair = word
            .split_once('/')
            .and_then(|(rate, burst)| Some((number(rate)?, number(burst)?)));
        match pair {
            Some((rate, burst)) => Ok(Self::PerMinute { rate, burst }),
            None => Err(format!(
                "{word:?} is not a rate: \"60/120\" is 60 a minute in bursts of up to 120 (1 to {RATE_MAX}), \"off\" is no limit"
            )),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::PerMinute { rate, burst } => write!(f, "{rate}/{burst}"),
        }
    }
}

impl Text for Rate {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refuses<T: Value + fmt::Debug>(words: &[&str]) {
        for word in words {
            let parsed = T::parse(word);
            assert!(parsed.is_err(), "{word:?} became {parsed:?}");
        }
    }

    #[test]
    fn integers_are_whole_and_fit() {
        assert_eq!(u32::parse("4294967295"), Ok(u32::MAX));
        assert!(u32::parse("4294967296").unwrap_err().contains("at most"));
        refuses::<u64>(&["", "-1", "+1", "1.5", "1e3", " 1", "0x10", "1_000", "١"]);
        assert_eq!(within(1, 1..=9), Ok(1));
        assert_eq!(within(9, 1..=9), Ok(9));
        assert_eq!(within(0, 1..=9).unwrap_err(), "must be 1 to 9, not 0");
        assert!(within(10, 1..=9).is_err());
    }

    #[test]
    fn listen_addresses_know_whether_they_are_loopback() {
        for word in [
            "127.0.0.1:0",
            "127.9.9.9:1",
            "[::1]:80",
            "localhost:8080",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(Listen::parse(word).unwrap().is_loopback(), "{word}");
        }
        for word in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            assert!(!Listen::parse(word).unwrap().is_loopback(), "{word}");
        }
        refuses::<Listen>(&[
            "",
            "8080",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:65536",
            "example.org:80",
            "localhost",
        ]);
    }

    #[test]
    fn origins_take_the_form_that_browsers_send() {
        for (word, text) in [
            ("https://Chat.Example.org", "https://chat.example.org"),
            ("https://chat.example.org/", "https://chat.example.org"),
            ("https://chat.example.org:443", "https://chat.example.org"),
            ("http://chat.example.org:443", "http://chat.example.org:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(Origin::parse(word).unwrap().as_str(), text);
        }
        refuses::<Origin>(&[
            "",
            "*",
            "null",
            "example.org",
            "ftp://example.org",
            "https://",
            "https://a/b",
            "https://a:0",
            "https://a:x",
            "https://a b",
            "https://u@a",
            "https://a:1:2",
            "https://-a",
            "https://a..b",
            "http://[::1",
        ]);
    }

    #[test]
    fn lists_skip_empty_items_and_refuse_bad_ones() {
        let list = Vec::<HostName>::parse(" a.example , B.example,,").unwrap();
        assert_eq!(list.toml(), r#"["a.example", "b.example"]"#);
        assert_eq!(Vec::<HostName>::parse("").unwrap(), []);
        refuses::<Vec<HostName>>(&["a.example, https://b", "a:80", "a.example/x"]);
    }

    #[test]
    fn ranges_hold_their_first_and_last_address_only() {
        let cases = [
            ("10.0.0.0/8", "10.0.0.0", true),
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "9.255.255.255", false),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("10.0.0.7", "::ffff:10.0.0.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "203.0.113.9", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
        ];
        for (range, address, inside) in cases {
            let range = AddressRange::parse(range).unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                inside,
                "{range} {address}"
            );
        }
        refuses::<AddressRange>(&["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "a/8"]);
    }

    #[test]
    fn rates_are_two_positive_numbers_or_off() {
        assert_eq!(
            Rate::parse("60/120"),
            Ok(Rate::PerMinute {
                rate: 60,
                burst: 120
            })
        );
        assert_eq!(Rate::parse("off"), Ok(Rate::Off));
        assert!(Rate::parse("1000000/1").is_ok());
        refuses::<Rate>(&[
            "",
            "60",
            "0/1",
            "1/0",
            "60/",
            "-1/2",
            "1/2/3",
            "1000001/1",
            "Off",
        ]);
    }
}
