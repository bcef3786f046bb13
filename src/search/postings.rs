//! In which documents a term stands: chunks of at most a few hundred bytes, oldest document first.
//!
//! A document takes the distance from the one before as a LEB128 number, and a byte for how often the term stands in it
//! and how long it is.

/// A chunk that has grown to this is not added to any more.
pub const CHUNK_BYTES_MAX: usize = 512;

/// How BM25 weighs: how soon a repeated term stops to count, and how much a long text is discounted.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Terms of a text that is neither favoured nor discounted.
const LENGTH_MEAN: f32 = 48.0;
/// Both halves of the byte end here.
const NIBBLE_MAX: u32 = 15;

/// A document's number, and what the term means to it.
pub type Posting = (u32, u8);

/// What a term means to a document in which it stands `count` times among `length` terms.
pub fn weight(count: u32, length: u32) -> u8 {
    let count = count.clamp(1, NIBBLE_MAX);
    let length = length.max(1).ilog2().min(NIBBLE_MAX);
    u8::try_from(count << 4 | length).unwrap_or(u8::MAX)
}

/// The part of BM25 that does not depend on how rare the term is.
pub fn score(weight: u8) -> f32 {
    let count = f32::from(weight >> 4);
    let length = f32::from(1u16 << (weight & 0xf)) * 1.5;
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / LENGTH_MEAN))
}

/// Adds documents to a chunk that begins with document `first`; tells how many fitted. They come after those it holds.
pub fn extend(chunk: &mut Vec<u8>, first: u32, postings: &[Posting]) -> usize {
    let mut last = decode(chunk, first)
        .last()
        .map_or(first, |posting| posting.0);
    for (count, &(document, weight)) in postings.iter().enumerate() {
        if chunk.len() >= CHUNK_BYTES_MAX {
            return count;
        }
        let mut distance = document.saturating_sub(last);
        while distance >= 0x80 {
            chunk.push(distance as u8 | 0x80);
            distance >>= 7;
        }
        chunk.push(distance as u8);
        chunk.push(weight);
        last = document;
    }
    postings.len()
}

/// The documents of a chunk. Bytes that are none end it.
pub fn decode(chunk: &[u8], first: u32) -> impl Iterator<Item = Posting> {
    let mut bytes = chunk.iter().copied();
    let mut document = first;
    std::iter::from_fn(move || {
        let mut distance = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = bytes.next()?;
            distance |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                document = document.checked_add(distance)?;
                return Some((document, bytes.next()?));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn documents_survive_their_chunk() {
        let documents: Vec<Posting> = [5, 6, 200, 70_000, 1 << 30, u32::MAX]
            .map(|document| (document, (document % 251) as u8))
            .to_vec();
        let mut chunk = Vec::new();
        assert_eq!(extend(&mut chunk, 5, &documents[..3]), 3);
        assert_eq!(extend(&mut chunk, 5, &documents[3..]), 3);
        assert_eq!(decode(&chunk, 5).collect::<Vec<_>>(), documents);
    }

    #[test]
    fn a_full_chunk_takes_no_more() {
        let documents: Vec<Posting> = (0..1000).map(|document| (document, 1)).collect();
        let mut chunk = Vec::new();
        let fitted = extend(&mut chunk, 0, &documents);
        assert_eq!(fitted, CHUNK_BYTES_MAX / 2);
        assert_eq!(extend(&mut chunk, 0, &documents[fitted..]), 0);
        assert_eq!(decode(&chunk, 0).count(), fitted);
    }

    #[test]
    fn bytes_that_are_no_chunk_end_it() {
        for bytes in [
            &[0xff; 9][..],
            &[0x80],
            &[1],
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1],
        ] {
            assert!(decode(bytes, u32::MAX).count() <= 1, "{bytes:?}");
        }
    }

    #[test]
    fn often_and_short_weigh_more() {
        assert!(score(weight(3, 50)) > score(weight(1, 50)));
        assert!(score(weight(1, 10)) > score(weight(1, 500)));
        assert!(score(weight(u32::MAX, u32::MAX)).is_finite() && score(weight(0, 0)) > 0.0);
    }
}
