//! Which worker a message fits best: BM25 over names and descriptions.
//!
//! Guessing wrong is worse than not guessing: the bee can do anything and the user can always say a name. So a worker is
//! chosen only when two words fit, or one of its name, and clearly better than anyone else's.

use std::collections::{BTreeMap, BTreeSet};

use super::routing::Candidate;
use crate::model::WorkerId;
use crate::model::text::{folded, is_unspaced};

/// BM25's usual constants: how soon a repeated term stops to count, and how much a long text is discounted.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Texts that are imagined besides the workers', with none of their terms: with two workers, rarity means nothing.
const IMAGINED_TEXTS: f64 = 10.0;
/// The least score of a match.
const SCORE_MIN: f64 = 2.0;
/// How many times the second best score the best one must be.
const MARGIN_MIN: f64 = 1.3;
/// Terms that message and worker must share; one that is in the worker's name counts as two.
const SHARED_TERMS_MIN: usize = 2;
/// Characters at the start of a message that are looked at.
const CONTENT_CHARS_MAX: usize = 4_000;
/// Characters of a word that count; what follows is mostly an ending (translate, translates, translation).
const TERM_CHARS_MAX: usize = 6;

/// The worker whose name and description fit best, if one fits well and clearly best.
pub(super) fn best_match(content: &str, workers: &[Candidate<'_>]) -> Option<WorkerId> {
    let start: String = content.chars().take(CONTENT_CHARS_MAX).collect();
    let query: BTreeSet<String> = terms(&start).into_iter().collect();
    if query.is_empty() || workers.is_empty() {
        return None;
    }
    let texts: Vec<Text> = workers
        .iter()
        .map(|worker| Text::new(worker, &query))
        .collect();
    let count = workers.len() as f64;
    let mean_length = (texts.iter().map(|text| text.length).sum::<f64>() / count).max(1.0);
    let mut with_term: BTreeMap<&str, f64> = BTreeMap::new();
    for term in texts.iter().flat_map(|text| text.frequencies.keys()) {
        *with_term.entry(term).or_default() += 1.0;
    }
    let score = |text: &Text| -> f64 {
        let terms = text.frequencies.iter().map(|(term, frequency)| {
            let with = with_term.get(term.as_str()).copied().unwrap_or(0.0);
            let rarity = (1.0 + (count + IMAGINED_TEXTS - with + 0.5) / (with + 0.5)).ln();
            let discount = K1 * (1.0 - B + B * text.length / mean_length);
            rarity * frequency * (K1 + 1.0) / (frequency + discount)
        });
        terms.sum()
    };
    let mut ranked: Vec<(f64, usize)> = texts.iter().map(score).zip(0..).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (best, index) = *ranked.first()?;
    let second = ranked.get(1).map_or(0.0, |ranked| ranked.0);
    let clear = best >= SCORE_MIN && best >= MARGIN_MIN * second;
    (clear && texts[index].shared >= SHARED_TERMS_MIN).then(|| workers[index].id)
}

/// A worker's name and description as far as they concern a message.
struct Text {
    length: f64,
    /// How often each of the message's terms occurs.
    frequencies: BTreeMap<String, f64>,
    shared: usize,
}

impl Text {
    fn new(worker: &Candidate<'_>, query: &BTreeSet<String>) -> Self {
        let name: BTreeSet<String> = terms(worker.name).into_iter().collect();
        let described = terms(worker.description);
        let length = (name.len() + described.len()) as f64;
        let mut frequencies = BTreeMap::new();
        for term in name.iter().cloned().chain(described) {
            if query.contains(&term) {
                *frequencies.entry(term).or_default() += 1.0;
            }
        }
        let weights = frequencies
            .keys()
            .map(|term| if name.contains(term) { 2 } else { 1 });
        let shared = weights.sum();
        Self {
            length,
            frequencies,
            shared,
        }
    }
}

/// The terms of a text: the beginnings of words, and pairs of characters where words are not parted by spaces.
fn terms(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in text.split(|character: char| !character.is_alphanumeric()) {
        for part in split_by_script(run) {
            let part: Vec<char> = part.chars().flat_map(folded).collect();
            if part.first().copied().is_some_and(is_unspaced) {
                let width = part.len().min(2);
                found.extend(part.windows(width).map(String::from_iter));
            } else {
                found.extend(stem(&part));
            }
        }
    }
    found
}

/// Parts a run of letters where the script changes between spaced and unspaced.
fn split_by_script(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let kind = is_unspaced(rest.chars().next()?);
        let end = rest
            .find(|character| is_unspaced(character) != kind)
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

/// A word's beginning; `None` for a single letter and for a word without a subject.
fn stem(word: &[char]) -> Option<String> {
    let whole: String = word.iter().collect();
    if word.len() < 2 || SUBJECTLESS.contains(&whole.as_str()) {
        return None;
    }
    let plural = word.len() > 3 && word.ends_with(&['s']) && !word.ends_with(&['s', 's']);
    let singular = &word[..word.len() - usize::from(plural)];
    Some(singular.iter().take(TERM_CHARS_MAX).collect())
}

/// English words that say nothing of what a message is about. Other languages do without: two terms must fit anyway.
const SUBJECTLESS: [&str; 96] = [
    "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been",
    "before", "but", "by", "can", "could", "did", "do", "does", "for", "from", "get", "give", "go",
    "good", "had", "has", "have", "hello", "help", "helps", "her", "hey", "hi", "him", "his",
    "how", "if", "in", "into", "is", "it", "its", "just", "let", "like", "make", "many", "may",
    "me", "more", "my", "need", "new", "no", "not", "now", "of", "ok", "on", "one", "or", "our",
    "out", "please", "should", "so", "some", "tell", "thank", "thanks", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "to", "up", "us", "use", "was", "we", "what",
    "when", "which", "who", "will", "with", "you", "your",
];
