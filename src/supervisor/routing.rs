//! Who answers a message: a pure function of the message, the workers and the chat.

use super::matching::best_match;
use crate::model::text::{folded, is_unspaced};
use crate::model::{Routing, WorkerId};

/// What is known of a message and its chat. Ids of `pinned` and `last` that are no candidate's are passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// The message's text.
    pub content: &'a str,
    /// The worker that the message asks for; the caller knows that it exists.
    pub worker_id: Option<WorkerId>,
    /// The worker that the chat is pinned to.
    pub pinned: Option<WorkerId>,
    /// The worker that was asked last in this chat, or answered since.
    pub last: Option<WorkerId>,
}

/// A worker that could answer.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: &'a str,
    /// What it is good at.
    pub description: &'a str,
}

/// Who answers, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The worker; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// Why.
    pub routing: Routing,
    /// The message without the name at its start; what the engine is asked. The stored message keeps the name.
    pub prompt: &'a str,
}

/// Decides who answers; the order of precedence is the one of the API.
pub fn route<'a>(question: Question<'a>, workers: &[Candidate<'_>]) -> Decision<'a> {
    let decide = |worker_id, routing, prompt| Decision {
        worker_id,
        routing,
        prompt,
    };
    let known =
        |id: Option<WorkerId>| id.filter(|id| workers.iter().any(|worker| worker.id == *id));
    let content = question.content;
    let mention = mentioned(content, workers);
    if let Some(id) = question.worker_id {
        let prompt = mention.filter(|mention| mention.0 == Some(id));
        return decide(
            Some(id),
            Routing::Asked,
            prompt.map_or(content, |mention| mention.1),
        );
    }
    if let Some((id, prompt)) = mention {
        return decide(id, Routing::Mention, prompt);
    }
    if let Some(id) = known(question.pinned) {
        return decide(Some(id), Routing::Pinned, content);
    }
    if let Some(id) = known(question.last) {
        return decide(Some(id), Routing::Last, content);
    }
    if let Some(id) = best_match(content, workers) {
        return decide(Some(id), Routing::Match, content);
    }
    decide(None, Routing::Default, content)
}

/// The message without the name of the agent that answers it at its start: what the engine is asked.
pub fn without_mention<'a>(content: &'a str, name: &str) -> &'a str {
    let candidate = Candidate {
        id: WorkerId::from_u128(1),
        name,
        description: "",
    };
    mentioned(content, &[candidate]).map_or(content, |mention| mention.1)
}

/// What the bee is called.
const BEE: &str = "bee";

/// The agent that is named at the start, and what follows; a name alone is the whole message. The longest name wins.
fn mentioned<'a>(
    content: &'a str,
    workers: &[Candidate<'_>],
) -> Option<(Option<WorkerId>, &'a str)> {
    let text = content.trim_start();
    let names = workers.iter().map(|worker| (Some(worker.id), worker.name));
    let found = names.chain([(None, BEE)]).filter_map(|(id, name)| {
        let rest = match text.strip_prefix(['@', '＠']) {
            Some(marked) => after_name(marked, name).filter(|rest| ends_word(name, rest))?,
            None => after_name(text, name).filter(|rest| without_separator(rest).is_some())?,
        };
        Some((id, rest))
    });
    let (id, rest) = found.min_by_key(|(_, rest)| rest.len())?;
    let rest = without_separator(rest).unwrap_or(rest).trim_start();
    Some((id, if rest.is_empty() { content } else { rest }))
}

/// What follows `name` in `text`, ignoring case.
fn after_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut expected = name.chars().flat_map(folded).peekable();
    expected.peek()?;
    for (at, character) in text.char_indices() {
        if expected.peek().is_none() {
            return Some(&text[at..]);
        }
        for part in folded(character) {
            if expected.next() != Some(part) {
                return None;
            }
        }
    }
    expected.peek().is_none().then_some("")
}

fn without_separator(rest: &str) -> Option<&str> {
    rest.trim_start().strip_prefix([',', ':', '，', '：', '、'])
}

/// Whether a name that was marked with `@` ends here, and not in the middle of another one: `@Ann` is not in `@Anna`,
/// `@Ann-Kathrin` or `@ann/tools`. Scripts without spaces go on at once.
fn ends_word(name: &str, rest: &str) -> bool {
    let mut following = rest.chars();
    let (next, after) = (following.next(), following.next());
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    if name.chars().next_back().is_some_and(is_unspaced) || next.is_some_and(is_unspaced) {
        return true;
    }
    let joins = next.is_some_and(|character| "-_.'’/@+".contains(character));
    let goes_on = is_word(next) || next == Some('_') || (joins && is_word(after));
    !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> WorkerId {
        WorkerId::from_u128(number)
    }

    /// Workers 1, 2, 3 … by name and description.
    fn workers<'a>(described: &[(&'a str, &'a str)]) -> Vec<Candidate<'a>> {
        let numbered = (1..).zip(described);
        numbered
            .map(|(number, &(name, description))| Candidate {
                id: id(number),
                name,
                description,
            })
            .collect()
    }

    fn named<'a>(names: &[&'a str]) -> Vec<Candidate<'a>> {
        workers(&names.iter().map(|&name| (name, "")).collect::<Vec<_>>())
    }

    fn ask<'a>(content: &'a str, workers: &[Candidate<'_>]) -> Decision<'a> {
        route(
            Question {
                content,
                ..Question::default()
            },
            workers,
        )
    }

    const TEAM: [(&str, &str); 5] = [
        (
            "Ada",
            "Reviews pull requests and finds bugs in Rust and Python code",
        ),
        (
            "Tolstoi",
            "Translates texts between English, French and Russian",
        ),
        ("Weather", "Looks up forecasts"),
        (
            "Finance",
            "Keeps the books: invoices, taxes, expense reports in CSV and PDF",
        ),
        ("小明", "把文档翻译成法语，写周报和会议纪要"),
    ];

    #[test]
    fn the_first_rule_that_applies_decides() {
        let workers = named(&["Ada", "Bob", "Cyd", "Dan"]);
        let all = Question {
            content: "@Bob hi",
            worker_id: Some(id(1)),
            pinned: Some(id(3)),
            last: Some(id(4)),
        };
        let decided = |question| {
            let decision = route(question, &workers);
            (decision.worker_id, decision.routing)
        };
        assert_eq!(decided(all), (Some(id(1)), Routing::Asked));
        let all = Question {
            worker_id: None,
            ..all
        };
        assert_eq!(decided(all), (Some(id(2)), Routing::Mention));
        let all = Question {
            content: "hi",
            ..all
        };
        assert_eq!(decided(all), (Some(id(3)), Routing::Pinned));
        let all = Question {
            pinned: None,
            ..all
        };
        assert_eq!(decided(all), (Some(id(4)), Routing::Last));
        let all = Question { last: None, ..all };
        assert_eq!(decided(all), (None, Routing::Default));
        let all = Question {
            content: "is dan there",
            ..all
        };
        assert_eq!(decided(all), (Some(id(4)), Routing::Match));
    }

    #[test]
    fn a_worker_that_is_gone_is_passed_over() {
        let question = Question {
            content: "hi",
            pinned: Some(id(9)),
            last: Some(id(1)),
            worker_id: None,
        };
        assert_eq!(route(question, &named(&["Ada"])).routing, Routing::Last);
        assert_eq!(route(question, &[]).routing, Routing::Default);
    }

    #[test]
    fn a_name_at_the_start_is_a_mention() {
        let workers = named(&[
            "Ada",
            "Ada Lovelace",
            "Ann",
            "Éva",
            "小明",
            "Straße",
            "Νίκος",
            "a.b",
            "민수",
            "Q&A",
        ]);
        for (content, number, prompt) in [
            ("@Ada look", 1, "look"),
            ("  @ada\nlook", 1, "look"),
            ("@ADA, look", 1, "look"),
            ("@Ada: look", 1, "look"),
            ("Ada, look", 1, "look"),
            ("ada: look", 1, "look"),
            ("Ada : look", 1, "look"),
            ("@Ada", 1, "@Ada"),
            ("Ada:", 1, "Ada:"),
            ("@Ada!", 1, "!"),
            ("@Ada. Look", 1, ". Look"),
            ("@Ada Lovelace look", 2, "look"),
            ("Ada\u{a0}Lovelace, look", 2, "look"),
            ("@Ada Lovelaces", 1, "Lovelaces"),
            ("@éva look", 4, "look"),
            ("ÉVA, look", 4, "look"),
            ("@小明 看", 5, "看"),
            ("@小明看一下", 5, "看一下"),
            ("＠小明，看", 5, "看"),
            ("小明：看", 5, "看"),
            ("小明、看", 5, "看"),
            ("STRASSE, look", 6, "look"),
            ("@ΝΊΚΟΣ look", 7, "look"),
            ("@A.B look", 8, "look"),
            ("@민수야 봐", 9, "야 봐"),
            ("@Q&A look", 10, "look"),
        ] {
            let expected = Decision {
                worker_id: Some(id(number)),
                routing: Routing::Mention,
                prompt,
            };
            assert_eq!(ask(content, &workers), expected, "{content:?}");
        }
    }

    #[test]
    fn what_only_looks_like_a_name_is_none() {
        let workers = named(&["Ann", "A", "angular"]);
        for content in [
            "@Anna look",
            "@Ann-Kathrin",
            "@Ann_2",
            "@ann.example",
            "@Ann's bike",
            "@angular/core",
            "@@Ann",
            "@",
            "",
            "see @Annie",
            "annex: a",
            "@ Ann",
            "a look",
            "Anna, look",
            "@anN1",
            "@Ann@host",
        ] {
            assert_ne!(
                ask(content, &workers).routing,
                Routing::Mention,
                "{content:?}"
            );
        }
    }

    #[test]
    fn the_bee_can_be_named_too() {
        let question = Question {
            content: "@Bee look",
            last: Some(id(1)),
            ..Question::default()
        };
        let decision = route(question, &named(&["Ada"]));
        assert_eq!(
            (decision.worker_id, decision.routing, decision.prompt),
            (None, Routing::Mention, "look")
        );
        assert_eq!(ask("@beehive look", &[]).routing, Routing::Default);
    }

    #[test]
    fn a_worker_that_is_asked_for_does_not_read_its_own_name() {
        let question = |content| Question {
            content,
            worker_id: Some(id(1)),
            ..Question::default()
        };
        let workers = named(&["Ada", "Bob"]);
        assert_eq!(route(question("@Ada look"), &workers).prompt, "look");
        assert_eq!(route(question("@Bob look"), &workers).prompt, "@Bob look");
    }

    #[test]
    fn a_message_goes_to_the_worker_it_fits() {
        let team = workers(&TEAM);
        for (content, number) in [
            ("Can you review this pull request?", 1),
            ("there is a bug in my python code", 1),
            ("please translate this text into French", 2),
            ("a translation from Russian to English", 2),
            ("How is the weather tomorrow?", 3),
            ("how many taxes are in these invoices", 4),
            ("finance question", 4),
            ("请把这个文档翻译一下", 5),
            ("帮我写会议纪要", 5),
        ] {
            let decision = ask(content, &team);
            assert_eq!(
                (decision.worker_id, decision.routing),
                (Some(id(number)), Routing::Match),
                "{content:?}"
            );
            assert_eq!(decision.prompt, content);
        }
    }

    #[test]
    fn a_message_that_fits_nobody_clearly_goes_to_the_bee() {
        let team = workers(&TEAM);
        for content in [
            "hello",
            "Hello!",
            "hi there, how are you?",
            "thanks",
            "ok",
            "what can you do for me",
            "你好",
            "？",
            "...",
            "1",
            "make me a sandwich",
            "and in the",
            "which books do you like",
            "write a poem about the sea",
            "@nobody look",
        ] {
            let decision = ask(content, &team);
            assert_eq!(
                (decision.worker_id, decision.routing),
                (None, Routing::Default),
                "{content:?}"
            );
        }
        let greeter = workers(&[(
            "Greeter",
            "Says hello to the world and helps you with all of it",
        )]);
        assert_eq!(ask("hello", &greeter).worker_id, None);
        assert_eq!(
            ask("hello, what is up with all of you", &greeter).worker_id,
            None
        );
        let twins = workers(&[
            ("Left", "translates French texts"),
            ("Right", "translates French texts"),
        ]);
        assert_eq!(ask("translate this French text", &twins).worker_id, None);
    }

    /// A few thousand made-up messages and teams: whatever they are, the decision is one of those that can be.
    #[test]
    fn every_decision_is_possible() {
        const PIECES: [&str; 20] = [
            "@",
            "Ada",
            "ada",
            " ",
            ",",
            ":",
            "小明",
            "明",
            "\u{301}",
            "ß",
            "İ",
            "ﬁ",
            "\n",
            "-",
            "bee",
            "x",
            "ᾳ",
            "👩‍💻",
            "\0",
            "review",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        for _ in 0..5_000 {
            let mut text = |pieces: usize| {
                (0..pieces)
                    .map(|_| PIECES[below(PIECES.len())])
                    .collect::<String>()
            };
            let (names, described, content) = (
                [text(1), text(2), text(3)],
                [text(1), text(4), text(9)],
                text(8),
            );
            let pairs: Vec<_> = names
                .iter()
                .map(String::as_str)
                .zip(described.iter().map(String::as_str))
                .collect();
            let team = workers(&pairs);
            let decision = ask(&content, &team);
            assert!(content.ends_with(decision.prompt), "{content:?}");
            match decision.routing {
                Routing::Mention => assert!(!content.is_empty()),
                Routing::Match => {
                    assert!(decision.worker_id.is_some() && decision.prompt == content)
                }
                Routing::Default => {
                    assert!(decision.worker_id.is_none() && decision.prompt == content)
                }
                other => panic!("{content:?} became {other:?}"),
            }
            let mut reversed = team.clone();
            reversed.reverse();
            let distinct = names[0] != names[1] && names[1] != names[2] && names[0] != names[2];
            let same_key =
                |a: &str, b: &str| a.chars().flat_map(folded).eq(b.chars().flat_map(folded));
            let alike = same_key(&names[0], &names[1])
                || same_key(&names[1], &names[2])
                || same_key(&names[0], &names[2]);
            if distinct && !alike && !names.iter().any(|name| same_key(name, BEE)) {
                assert_eq!(ask(&content, &reversed), decision, "{content:?} {team:?}");
            }
        }
    }

    #[test]
    fn long_messages_and_many_workers_are_no_burden() {
        let description = "review pull requests ".repeat(200);
        let mut team: Vec<Candidate<'_>> = workers(&TEAM);
        team.extend((10..200).map(|number| Candidate {
            id: id(number),
            name: "w",
            description: &description,
        }));
        let content = "review 小明 ".repeat(40_000);
        assert_eq!(ask(&content, &team).prompt.len(), content.len());
    }
}
