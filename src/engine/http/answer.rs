//! One answer of a model while it arrives, whoever's protocol it is in.

use super::super::EngineEvent;
use super::super::cli::Reply;
use crate::model::text::truncated;

/// Text and thoughts of one answer.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The arguments of one call; a file of the largest size fits.
pub const ARGUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Calls in one answer.
pub const CALLS_MAX: usize = 64;
/// An engine's word in a call: its id, the tool.
const WORD_BYTES_MAX: usize = 256;

/// A tool that the model calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// The protocol's number of it within the answer.
    pub(super) index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, as far as the model can write it.
    pub(super) arguments: String,
    /// Whether there were more than [`ARGUMENT_BYTES_MAX`]; then none are kept.
    pub(super) is_too_long: bool,
}

/// A thought with the signature that Anthropic wants back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thought {
    pub(super) text: String,
    pub(super) signature: String,
}

/// Why an answer is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server says so in mid-answer.
    Server(String),
    /// It passes a limit.
    TooLong(String),
}

/// What has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) thoughts: Vec<Thought>,
    pub(super) calls: Vec<Call>,
    pub(super) model: Option<String>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    /// Why it ended, in the protocol's word.
    pub(super) finish: Option<String>,
    /// The protocol's last word was said.
    pub(super) is_over: bool,
    pub(super) fault: Option<Fault>,
    bytes: usize,
}

impl Answer {
    pub(super) fn say(&mut self, piece: &str, reply: &mut Reply, events: &mut Vec<EngineEvent>) {
        if self.takes(piece.len()) {
            self.text.push_str(piece);
            reply.text(piece, events);
        }
    }

    pub(super) fn think(&mut self, piece: &str, events: &mut Vec<EngineEvent>) {
        if piece.is_empty() || !self.takes(piece.len()) {
            return;
        }
        if self.thoughts.is_empty() {
            self.thoughts.push(Thought::default());
        }
        if let Some(thought) = self.thoughts.last_mut() {
            thought.text.push_str(piece);
        }
        events.push(EngineEvent::Thinking {
            text: piece.to_owned(),
        });
    }

    /// The next piece of the signature of the last thought.
    pub(super) fn sign(&mut self, piece: &str) {
        if self.takes(piece.len())
            && let Some(thought) = self.thoughts.last_mut()
        {
            thought.signature.push_str(piece);
        }
    }

    /// The next piece of a call: of the one with this id, else with this number, else of the last one. An id that is
    /// new begins a call, also where a server gives every call the same number.
    pub(super) fn call(&mut self, index: Option<u64>, id: &str, name: &str, arguments: &str) {
        let known = match (id, index) {
            ("", None) => self.calls.len().checked_sub(1),
            ("", Some(_)) => self.calls.iter().rposition(|call| call.index == index),
            (id, _) => self.calls.iter().rposition(|call| {
                call.id == id || (call.id.is_empty() && index.is_some() && call.index == index)
            }),
        };
        let at = known.unwrap_or(self.calls.len());
        if at == CALLS_MAX {
            return self.fail(Fault::TooLong(format!(
                "the model called more than {CALLS_MAX} tools at once"
            )));
        }
        if known.is_none() {
            self.calls.push(Call {
                index,
                ..Call::default()
            });
        }
        let call = &mut self.calls[at];
        for (word, given) in [(&mut call.id, id), (&mut call.name, name)] {
            if word.is_empty() {
                truncated(given, WORD_BYTES_MAX).clone_into(word);
            }
        }
        if call.arguments.len() + arguments.len() > ARGUMENT_BYTES_MAX {
            call.is_too_long = true;
            call.arguments = String::new();
        }
        if !call.is_too_long {
            call.arguments.push_str(arguments);
        }
    }

    /// What the server or a limit says first is what counts.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn takes(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes > ANSWER_BYTES_MAX {
            self.fail(Fault::TooLong(format!(
                "the model's answer has more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        self.fault.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(pieces: &[(Option<u64>, &str, &str, &str)]) -> Vec<(String, String)> {
        let mut answer = Answer::default();
        for (index, id, name, arguments) in pieces {
            answer.call(*index, id, name, arguments);
        }
        let calls = answer.calls.into_iter();
        calls.map(|call| (call.name, call.arguments)).collect()
    }

    #[test]
    fn calls_are_put_together_whatever_a_server_numbers() {
        let expected = [("a", "{1}"), ("b", "{2}")]
            .map(|(name, arguments)| (name.to_owned(), arguments.to_owned()));
        let (zero, one) = (Some(0), Some(1));
        for pieces in [
            [
                (zero, "x", "a", "{"),
                (zero, "", "", "1}"),
                (one, "y", "b", "{"),
                (one, "", "", "2}"),
            ],
            [
                (zero, "x", "a", "{"),
                (one, "y", "b", "{"),
                (zero, "", "", "1}"),
                (one, "", "", "2}"),
            ],
            [
                (zero, "x", "a", "{1"),
                (zero, "", "", "}"),
                (zero, "y", "b", "{2"),
                (zero, "", "", "}"),
            ],
            [
                (None, "x", "a", "{"),
                (None, "x", "a", "1}"),
                (None, "y", "b", "{"),
                (None, "y", "", "2}"),
            ],
            [
                (None, "x", "a", "{"),
                (None, "", "", "1}"),
                (None, "y", "b", "{"),
                (None, "", "", "2}"),
            ],
        ] {
            assert_eq!(calls(&pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn every_limit_holds_at_the_limit() {
        let mut answer = Answer::default();
        answer.call(None, "x", "a", &"1".repeat(ARGUMENT_BYTES_MAX));
        assert!(!answer.calls[0].is_too_long);
        answer.call(None, "", "", "1");
        assert!(answer.calls[0].is_too_long && answer.calls[0].arguments.is_empty());
        for n in 1..CALLS_MAX {
            answer.call(None, &n.to_string(), "a", "{}");
        }
        assert!(answer.fault.is_none());
        answer.call(None, "one more", "a", "{}");
        assert!(answer.fault.is_some() && answer.calls.len() == CALLS_MAX);

        let mut answer = Answer::default();
        let (mut reply, mut events) = (Reply::default(), Vec::new());
        answer.say(&"x".repeat(ANSWER_BYTES_MAX), &mut reply, &mut events);
        assert!(answer.fault.is_none());
        answer.think("x", &mut events);
        assert!(answer.fault.is_some() && events.len() == 1);
    }
}
