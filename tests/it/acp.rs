//! Agents that speak the Agent Client Protocol: whatever one does, its turn ends and says why.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use skep::engine::permission::{Ask, Asker, Decide, Verdict};
use skep::engine::settings::{EngineKind, EngineSettings};
use skep::engine::{EngineEvent, Stop};
use skep::execution_log::Stream;
use skep::tool::{Decision, Permissions};

use crate::process::{Bench, Done};
use crate::support::{Setup, processes};

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_agent.sh");

/// The mode decides; whoever would have to be asked takes their time.
struct Mode(Permissions);

impl Decide for Mode {
    fn decide(&self, ask: Ask) -> BoxFuture<'_, Verdict> {
        match self.0.decide(ask.access) {
            Decision::Allow => Box::pin(std::future::ready(Verdict::AllowedByMode)),
            Decision::Ask => Box::pin(std::future::pending()),
            Decision::Deny => Box::pin(std::future::ready(Verdict::DeniedByMode(self.0))),
        }
    }
}

fn settings(manner: &str) -> EngineSettings {
    EngineSettings {
        kind: Some(EngineKind::Acp),
        argv: ["/bin/sh", AGENT, manner].map(str::to_owned).to_vec(),
        ..EngineSettings::default()
    }
}

fn agent(manner: &str, prompt: &str) -> Bench {
    let mut bench = Bench::of(settings(manner));
    bench.turn.prompt = prompt.to_owned();
    bench.turn.media.clear();
    bench
}

async fn turn(prompt: &str) -> Done {
    agent("", prompt).run().await
}

fn printed(done: &Done) -> String {
    String::from_utf8_lossy(&done.log()).into_owned()
}

#[tokio::test]
async fn a_turn_is_a_session_a_reply_and_a_result() {
    let done = turn("say hello").await;
    assert_eq!(done.outcome, Ok(()));
    let session = EngineEvent::Session {
        id: "s1".to_owned(),
        model: None,
    };
    let text = EngineEvent::Text {
        text: "hello".to_owned(),
    };
    assert_eq!(
        done.events,
        [session, text, EngineEvent::Result { text: None }]
    );
}

#[tokio::test]
async fn what_an_agent_shows_of_its_work_becomes_events() {
    let done = turn("tools").await;
    assert_eq!(done.outcome, Ok(()));
    let shown: Vec<String> = done.events[1..]
        .iter()
        .map(|event| match event {
            EngineEvent::Text { text } => format!("text {text:?}"),
            EngineEvent::Thinking { text } => format!("thinking {text}"),
            EngineEvent::ToolCall { name, args, .. } => format!("call {name} {args}"),
            EngineEvent::ToolResult { ok, output, .. } => format!("answer {ok} {output:?}"),
            EngineEvent::Usage(usage) => format!(
                "usage {:?} {:?} {:?}",
                usage.input_tokens, usage.output_tokens, usage.cost_usd
            ),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "thinking hmm",
            r#"call plan {"entries":[{"content":"first","priority":"high","status":"pending"}]}"#,
            r#"answer true """#,
            r#"text "before""#,
            r#"call edit {"path":"a.txt"}"#,
            r#"answer true "--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-one\n+two\n\n[terminal term1]""#,
            r#"text "\n\nafter""#,
            "usage None None Some(0.5)",
            "usage Some(7) Some(11) Some(0.5)",
            "Result { text: None }",
        ]
    );
}

/// A session that begins is told who it is, one that goes on only what is new; the message stands by itself.
#[tokio::test]
async fn the_briefing_is_told_once() {
    for (resume, is_news, is_told) in [
        (None, false, true),
        (Some("s1"), false, false),
        (Some("s1"), true, true),
    ] {
        let mut bench = agent("", "parrot");
        bench.turn.resume = resume.map(str::to_owned);
        bench.turn.is_news = is_news;
        bench.turn.media = vec!["/a b.png".into()];
        let text = bench.run().await.text();
        assert_eq!(text.contains("Be brief."), is_told, "{resume:?}: {text}");
        assert!(text.contains("{'text':'parrot','type':'text'}"), "{text}");
        assert!(text.contains("'uri':'file:///a%20b.png'"), "{text}");
    }
}

#[tokio::test]
async fn a_session_goes_on_where_the_agent_can() {
    for (manner, notes) in [
        ("", ""),
        ("resumes", ""),
        ("late", ""),
        ("forgetful", "cannot go on with a session"),
        ("lost", "is gone; starting a fresh one"),
        ("dies", "is gone; starting a fresh one"),
    ] {
        let mut bench = agent(manner, "say hello");
        bench.turn.resume = Some("s1".to_owned());
        let done = bench.run().await;
        assert_eq!(done.outcome, Ok(()), "{manner}");
        // What was said in an earlier turn and is shown again is no part of this one's reply.
        assert_eq!(done.text(), "hello", "{manner}");
        assert!(
            printed(&done).contains(notes),
            "{manner}: {}",
            printed(&done)
        );
    }
}

#[tokio::test]
async fn a_model_is_chosen_among_those_that_the_agent_offers() {
    for (manner, model, answered) in [
        ("models", Some("other"), Ok("model other")),
        ("options", Some("other"), Ok("model other")),
        ("models", Some("own"), Ok("model own")),
        ("models", None, Ok("model own")),
        ("", Some("other"), Ok("model own")),
        ("models", Some("third"), Err("it has own, other")),
    ] {
        let mut bench = agent(manner, "model");
        bench.turn.model = model.map(str::to_owned);
        let done = bench.run().await;
        match answered {
            Ok(text) => assert_eq!(done.text(), text, "{manner} {model:?}"),
            Err(why) => assert!(done.error().message.contains(why), "{}", done.error()),
        }
    }
}

#[tokio::test]
async fn an_agent_that_wants_a_sign_in_says_how_or_is_given_it() {
    let done = agent("locked", "say hello").run().await;
    assert_eq!(done.error().code, "not_signed_in");
    assert!(
        done.error().message.contains("A key (key)"),
        "{}",
        done.error()
    );
    let mut settings = settings("locked");
    settings.auth_method = Some("key".to_owned());
    let mut bench = Bench::of(settings);
    bench.turn.prompt = "say hello".to_owned();
    bench.turn.media.clear();
    assert_eq!(bench.run().await.text(), "hello");
}

#[tokio::test]
async fn an_agent_that_fails_fails_with_its_reason() {
    for (manner, prompt, code, says) in [
        ("old", "say hello", "engine_error", "speaks version 0"),
        ("nameless", "say hello", "engine_error", "without an id"),
        ("", "silent", "no_answer", "without a word"),
        ("", "refusal", "refused", "refused"),
        ("", "die", "exited", "it broke"),
        ("", "torn", "no_answer", "without an answer"),
        ("", "deaf", "no_answer", "stopped reading"),
        ("", "long 9000000", "engine_error", "too long"),
    ] {
        let done = agent(manner, prompt).run().await;
        let error = done.error();
        assert_eq!(error.code, code, "{prompt}: {error}");
        assert!(error.message.contains(says), "{prompt}: {error}");
    }
    assert_eq!(turn("die").await.text(), "half an answer");
    let done = turn("length").await;
    assert_eq!(
        (done.outcome.clone(), done.text()),
        (Ok(()), "half".to_owned())
    );
    assert!(printed(&done).contains("[skep] the agent stopped: max tokens"));
}

#[tokio::test]
async fn what_is_no_message_or_out_of_order_does_not_count() {
    for prompt in ["noise", "disorder"] {
        let done = turn(prompt).await;
        assert_eq!(
            (done.outcome.clone(), done.text()),
            (Ok(()), "kept".to_owned()),
            "{prompt}"
        );
        let results = done.events.iter();
        let results = results.filter(|event| matches!(event, EngineEvent::Result { .. }));
        assert_eq!(results.count(), 1, "{prompt}");
        assert!(
            done.events
                .iter()
                .all(|event| !matches!(event, EngineEvent::Session { id, .. } if id != "s1"))
        );
    }
}

#[tokio::test]
async fn a_flood_and_a_long_line_are_read_through() {
    for prompt in ["flood 50000", "long 3000000"] {
        let done = turn(prompt).await;
        assert_eq!(
            (done.outcome.clone(), done.text()),
            (Ok(()), "after it".to_owned()),
            "{prompt}"
        );
        assert!(done.printed(Stream::Stdout).len() > 50_000);
    }
}

/// What waits for an agent that does not read is bounded, and so is the run.
#[tokio::test]
async fn an_agent_that_asks_and_never_reads_is_ended() {
    let mut bench = agent("", "greedy");
    bench.log_bytes_max = 8 << 20;
    let done = bench.run().await;
    assert!(
        ["log_full", "engine_error"].contains(&&*done.error().code),
        "{}",
        done.error()
    );
}

#[tokio::test]
async fn a_method_that_is_not_offered_is_answered_so() {
    let text = turn("unknown").await.text();
    assert!(
        text.contains("'code':-32601") && text.contains("'id':'u1'"),
        "{text}"
    );
}

#[tokio::test]
async fn an_agent_has_the_files_of_its_work_directory() {
    let bench = agent("", "file");
    std::fs::write(bench.turn.work_dir.join("there.txt"), "found").unwrap();
    std::fs::write(bench.turn.work_dir.join("../out.txt"), "secret").unwrap();
    let done = bench.run().await;
    let text = done.text();
    assert!(text.contains("content:found"), "{text}");
    assert!(
        text.contains("outside the work directory") && !text.contains("secret"),
        "{text}"
    );
    let made = std::fs::read_to_string(bench.turn.work_dir.join("made/by.txt")).unwrap();
    assert_eq!(made, "written");
    assert!(printed(&done).contains("for the agent"));
}

#[tokio::test]
async fn a_permission_is_answered_as_the_worker_has_it() {
    for (mode, kind, option) in [
        ("allow_all", "execute", "'optionId':'yes'"),
        ("allow_edits", "edit", "'optionId':'yes'"),
        ("read_only", "edit", "'optionId':'no'"),
        ("read_only", "search", "'optionId':'yes'"),
    ] {
        let mut bench = agent("", &format!("may {kind}"));
        bench.asker = Asker::new(Arc::new(Mode(Permissions::parse(mode))));
        let done = bench.run().await;
        assert!(
            done.text().contains(option),
            "{mode} {kind}: {}",
            done.text()
        );
        // The call is shown although it never began.
        let is_call = |event: &EngineEvent| matches!(event, EngineEvent::ToolCall { name, .. } if name == "Do it");
        assert!(done.events.iter().any(is_call), "{mode} {kind}");
        assert!(printed(&done).contains("[skep] permission for Do it: "));
    }
}

/// Told in its own language first, and then in the system's.
#[tokio::test]
async fn a_turn_that_is_cancelled_ends_at_once_and_leaves_nothing() {
    for prompt in ["wait", "wait execute", "stubborn"] {
        let mut bench = agent("", prompt);
        bench.asker = Asker::new(Arc::new(Mode(Permissions::Ask)));
        let mut told = None;
        let done = bench
            .run_with(|event, stop| {
                if matches!(event, EngineEvent::Text { .. }) {
                    told = Some(Instant::now());
                    stop.send_replace(Some(Stop::Cancelled));
                }
            })
            .await;
        assert_eq!(
            (done.outcome.clone(), done.text()),
            (Ok(()), "waiting".to_owned()),
            "{prompt}"
        );
        assert!(
            !done
                .events
                .iter()
                .any(|event| matches!(event, EngineEvent::Result { .. }))
        );
        let said = String::from_utf8(done.printed(Stream::Stdout)).unwrap();
        assert_eq!(
            said.contains("\"cancelled\""),
            prompt != "stubborn",
            "{said}"
        );
        assert_eq!(
            processes::of_execution(&bench.turn.execution_id.to_string()),
            [0; 0]
        );
        let took = told.unwrap().elapsed();
        assert!(took < Duration::from_secs(20), "{prompt}: {took:?}");
    }
}

/// The answer is there; an agent that stays is ended, and the turn is complete.
#[tokio::test]
async fn an_agent_that_does_not_end_is_ended() {
    let done = turn("linger").await;
    assert_eq!(
        (done.outcome.clone(), done.text()),
        (Ok(()), "answered".to_owned())
    );
}

#[tokio::test]
async fn a_chat_with_an_agent_goes_on_with_its_session() {
    let engine = format!("[engines.mine]\nkind = \"acp\"\nargv = [\"/bin/sh\", {AGENT:?}]\n");
    let server = Setup::settings(&engine).start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "mine").await;
    let first = user.ask(&chat, "say hello").await;
    assert_eq!(
        (first.status(), first.text()),
        ("completed", "hello"),
        "{}",
        first.error()
    );
    assert_eq!(first.execution["engine_session_id"], "s1");
    let second = user.ask(&chat, "say again").await;
    assert_eq!((second.status(), second.text()), ("completed", "again"));
    let log = user.log(second.execution["id"].as_str().unwrap()).await;
    let log = String::from_utf8(log.body).unwrap();
    assert!(log.contains("said in an earlier turn"), "{log}");
}
