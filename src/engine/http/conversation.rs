//! What a model is told: who it is, what was said, and what its tools answered, within its window.

use std::collections::VecDeque;

use serde_json::Value;

use super::answer::{Call, Thought};

/// A byte of text is at most this part of a token: English has four to a token, most else more than this.
const BYTES_PER_TOKEN: usize = 3;
/// What an image takes, whatever its size.
const IMAGE_TOKENS: usize = 1_500;
/// The part of the window that the answer may need.
const ANSWER_PART: usize = 4;
/// What is kept of a tool's answer when the window is full.
const OUTPUT_KEPT_BYTES: usize = 200;

/// One step of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// The user says something.
    User { text: String, images: Vec<Image> },
    /// The model says something.
    Model {
        text: String,
        thoughts: Vec<Thought>,
        calls: Vec<Call>,
    },
    /// What its tools answered, in the order of its calls.
    Tools(Vec<Output>),
}

/// A picture that the user attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) media_type: &'static str,
    pub(super) base64: String,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) id: String,
    pub(super) ok: bool,
    pub(super) text: String,
}

/// A tool that is offered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: Value,
}

/// A conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) system: String,
    pub(super) items: VecDeque<Item>,
    pub(super) tools: Vec<Offer>,
    /// How many items at the end are of this turn: the message and what followed it. They are never dropped.
    pub(super) current: usize,
}

impl Conversation {
    /// Adds what the user or the model said before this turn; two of the same in a row become one, since some models
    /// refuse anything but turns.
    pub(super) fn remember(&mut self, is_user: bool, said: &str) {
        match (self.items.back_mut(), is_user) {
            (Some(Item::User { text, .. }), true) | (Some(Item::Model { text, .. }), false) => {
                text.push_str("\n\n");
                text.push_str(said);
            }
            (_, true) => self.items.push_back(Item::User {
                text: said.to_owned(),
                images: Vec::new(),
            }),
            (_, false) => self.items.push_back(Item::Model {
                text: said.to_owned(),
                thoughts: Vec::new(),
                calls: Vec::new(),
            }),
        }
    }

    /// Adds a step of this turn.
    pub(super) fn push(&mut self, item: Item) {
        self.items.push_back(item);
        self.current += 1;
    }

    /// Makes it fit a window: the oldest turns go first, then the long answers of tools. Says what it did, if anything;
    /// `Err` if even that is not enough.
    pub(super) fn fit(&mut self, window: usize) -> Result<Option<String>, usize> {
        let room = window - window / ANSWER_PART;
        let fixed = tokens(self.system.len())
            + self
                .tools
                .iter()
                .map(|tool| tokens(tool.description.len() + tool.schema.to_string().len()))
                .sum::<usize>();
        let mut sum = fixed + self.items.iter().map(Item::tokens).sum::<usize>();
        let (mut turns, mut outputs) = (0, 0);
        while sum > room && self.items.len() > self.current {
            // A turn begins with what the user said.
            while self.items.len() > self.current {
                let Some(item) = self.items.pop_front() else {
                    break;
                };
                sum -= item.tokens();
                turns += usize::from(matches!(item, Item::User { .. }));
                if self.items.len() == self.current
                    || matches!(self.items.front(), Some(Item::User { .. }))
                {
                    break;
                }
            }
        }
        // The newest answers are what the model is about to use.
        let last = self.items.len().saturating_sub(1);
        for item in self.items.iter_mut().take(last) {
            let Item::Tools(answers) = item else { continue };
            for output in answers {
                if sum <= room {
                    break;
                }
                let before = tokens(output.text.len());
                if output.text.len() > 2 * OUTPUT_KEPT_BYTES {
                    let kept = crate::model::text::truncated(&output.text, OUTPUT_KEPT_BYTES);
                    output.text = format!("{kept}\n… left out, to make room");
                    outputs += 1;
                }
                sum -= before - tokens(output.text.len());
            }
        }
        if sum > room {
            return Err(sum);
        }
        Ok((turns + outputs > 0).then(|| {
            format!(
                "the chat is longer than the model's window of {window} tokens: left out its {turns} oldest turns and {outputs} old answers of tools"
            )
        }))
    }
}

impl Item {
    fn tokens(&self) -> usize {
        match self {
            Self::User { text, images } => tokens(text.len()) + images.len() * IMAGE_TOKENS,
            Self::Model {
                text,
                thoughts,
                calls,
            } => {
                let thoughts = thoughts.iter().map(|thought| thought.text.len());
                let calls = calls
                    .iter()
                    .map(|call| call.name.len() + call.arguments.len());
                tokens(text.len() + thoughts.chain(calls).sum::<usize>())
            }
            Self::Tools(outputs) => outputs.iter().map(|output| tokens(output.text.len())).sum(),
        }
    }
}

/// At least as many as there are, or nearly; plus what parts one item from the next.
fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN) + 4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(text: &str) -> Item {
        Item::User {
            text: text.to_owned(),
            images: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_turns_go_first_and_the_message_stays() {
        let mut conversation = Conversation {
            system: "brief".to_owned(),
            ..Conversation::default()
        };
        for n in 0..10 {
            conversation.remember(true, &format!("question {n} {}", "x".repeat(300)));
            conversation.remember(false, &format!("answer {n} {}", "x".repeat(300)));
        }
        conversation.push(user("now"));
        assert_eq!(conversation.fit(1_000_000).unwrap(), None);
        let note = conversation.fit(1_000).unwrap().unwrap();
        assert!(note.contains("its 7 oldest turns"), "{note}");
        assert_eq!(conversation.items.len(), 7);
        let Item::User { text, .. } = &conversation.items[0] else {
            panic!("a turn begins with the user");
        };
        assert!(text.starts_with("question 7"));
        assert_eq!(conversation.items.back(), Some(&user("now")));
    }

    #[test]
    fn long_answers_of_tools_are_cut_before_the_window_is_full() {
        let output = |text: String| {
            Item::Tools(vec![Output {
                id: "1".to_owned(),
                ok: true,
                text,
            }])
        };
        let mut conversation = Conversation::default();
        conversation.push(user("read it"));
        conversation.push(output("x".repeat(3_000)));
        conversation.push(output("y".repeat(600)));
        assert!(conversation.fit(1_000).unwrap().is_some());
        assert!(format!("{:?}", conversation.items[1]).len() < 400);
        assert!(conversation.fit(200).is_err());
    }

    /// Whatever has to go: the brief and the message stay, and each call keeps its answer.
    #[test]
    fn no_call_is_parted_from_its_answer_at_any_window() {
        let call = |id: &str| Call {
            id: id.to_owned(),
            name: "read_file".to_owned(),
            arguments: "{}".to_owned(),
            index: None,
            is_too_long: false,
        };
        let output = |id: &str| Output {
            id: id.to_owned(),
            ok: true,
            text: "x".repeat(900),
        };
        let full = || {
            let mut conversation = Conversation {
                system: "brief".to_owned(),
                ..Conversation::default()
            };
            for n in 0..5 {
                conversation.remember(true, &format!("question {n} {}", "x".repeat(200)));
                conversation.remember(false, &"x".repeat(200));
            }
            conversation.push(user("now"));
            for (one, two) in [("1", "2"), ("3", "4"), ("5", "6")] {
                conversation.push(Item::Model {
                    text: String::new(),
                    thoughts: Vec::new(),
                    calls: vec![call(one), call(two)],
                });
                conversation.push(Item::Tools(vec![output(one), output(two)]));
            }
            conversation
        };
        let mut fitted = 0;
        for window in (0..6_000).step_by(50) {
            let mut conversation = full();
            if conversation.fit(window).is_err() {
                continue;
            }
            fitted += 1;
            assert_eq!(conversation.system, "brief");
            let message = conversation
                .items
                .iter()
                .position(|item| *item == user("now"));
            let items: Vec<&Item> = conversation
                .items
                .iter()
                .skip(message.unwrap() + 1)
                .collect();
            assert_eq!(items.len(), 6, "{window}");
            for pair in items.chunks(2) {
                let [Item::Model { calls, .. }, Item::Tools(outputs)] = pair else {
                    panic!("a call without an answer at {window}");
                };
                let asked: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
                let told: Vec<&str> = outputs.iter().map(|output| output.id.as_str()).collect();
                assert_eq!(asked, told, "{window}");
            }
            assert!(matches!(
                conversation.items.front(),
                Some(Item::User { .. })
            ));
        }
        assert!(fitted > 10);
    }

    #[test]
    fn two_of_the_same_become_one() {
        let mut conversation = Conversation::default();
        for said in ["a", "b"] {
            conversation.remember(true, said);
        }
        assert_eq!(conversation.items, [user("a\n\nb")]);
    }
}
