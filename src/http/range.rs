//! The `Range` header, for one range of bytes.

/// What a `Range` header asks of something `length` bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it: no header, one we do not serve (several ranges, another unit), or one that is no range at all.
    Whole,
    /// The bytes from `start` to `end`, inclusive.
    Part {
        /// The first byte.
        start: u64,
        /// The last byte.
        end: u64,
    },
    /// A well-formed range none of whose bytes exist: 416.
    Unsatisfiable,
}

impl Range {
    /// Reads the header. A malformed one is ignored, as RFC 9110 asks.
    pub fn parse(header: Option<&str>, length: u64) -> Range {
        header
            .and_then(|text| parse(text, length))
            .unwrap_or(Range::Whole)
    }
}

fn parse(text: &str, length: u64) -> Option<Range> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match suffix.min(length) {
            0 => Range::Unsatisfiable,
            suffix => Range::Part {
                start: length - suffix,
                end: length - 1,
            },
        });
    }
    let start = number(first)?;
    let end = match last {
        "" => u64::MAX,
        last => number(last)?,
    };
    if end < start {
        return None;
    }
    Some(match start < length {
        true => Range::Part {
            start,
            end: end.min(length - 1),
        },
        false => Range::Unsatisfiable,
    })
}

/// A number of digits alone. One too large for us is larger than any file.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |start, end| Range::Part { start, end };
        for (header, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-9", part(0, 9)),
            ("bytes=0-99", part(0, 9)),
            ("bytes=5-", part(5, 9)),
            ("Bytes = 2-3", part(2, 3)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=9-99999999999999999999999", part(9, 9)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=3-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("0-1", Range::Whole),
        ] {
            assert_eq!(Range::parse(Some(header), 10), expected, "{header}");
        }
        assert_eq!(Range::parse(None, 10), Range::Whole);
        assert_eq!(Range::parse(Some("bytes=0-"), 0), Range::Unsatisfiable);
        assert_eq!(Range::parse(Some("bytes=-1"), 0), Range::Unsatisfiable);
    }
}
