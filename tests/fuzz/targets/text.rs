//! Text that people and models write: Markdown that is shown, messages that are routed and understood, and names.

use skep::engine::builtin::understand::understand;
use skep::http::sse;
use skep::model::{WorkerId, text as values};
use skep::render;
use skep::supervisor::routing::{Candidate, Question, route};

/// Elements and the attributes each may have. Nothing here can run, load from elsewhere, or be styled.
const ELEMENTS: [(&str, &[&str]); 28] = [
    ("a", &["href", "rel", "target", "title"]),
    ("blockquote", &[]),
    ("br", &[]),
    ("code", &["class", "data-meta"]),
    ("del", &[]),
    ("em", &[]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("img", &["alt", "src", "title"]),
    ("input", &["checked", "disabled", "type"]),
    ("li", &[]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &[]),
    ("span", &["class"]),
    ("strong", &[]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["align"]),
    ("th", &["align"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
];

/// What a piece of code may be coloured as.
const COLOURS: [&str; 10] = [
    "c-added",
    "c-comment",
    "c-function",
    "c-keyword",
    "c-meta",
    "c-number",
    "c-property",
    "c-removed",
    "c-string",
    "c-type",
];

/// What is rendered holds nothing that runs, opens only what may be opened, and is not much longer than its source.
pub fn markdown(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes);
    let html = render::html(&source);
    assert_harmless(&html);
    assert_eq!(html, render::html(&source), "the same text, the same page");
    assert!(
        html.len() <= 64 * source.len() + (4 << 20),
        "{} bytes become {}",
        source.len(),
        html.len()
    );
}

/// Reads HTML as a strict tokenizer and fails on what is not known to be harmless.
pub fn assert_harmless(html: &str) {
    let mut rest = html;
    while let Some(at) = rest.find(['<', '\0']) {
        assert!(rest.as_bytes()[at] == b'<', "a zero byte in {html:?}");
        let end = rest[at..].find('>').map(|end| at + end);
        let end = end.unwrap_or_else(|| panic!("a tag that does not end in {html:?}"));
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let (tag, is_end) = match tag.strip_prefix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.split(' ').next().unwrap_or_default();
        let known = ELEMENTS.iter().find(|(known, _)| *known == name);
        let (_, allowed) = known.unwrap_or_else(|| panic!("<{tag}> in {html:?}"));
        let mut attributes = tag[name.len()..].trim_start();
        assert!(!is_end || attributes.is_empty(), "</{tag}> in {html:?}");
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").unwrap_or((attributes, ""));
            let (value, after) = value
                .split_once('"')
                .unwrap_or_else(|| panic!("<{tag}> in {html:?}"));
            assert!(allowed.contains(&key), "{key} of <{tag}> in {html:?}");
            match key {
                "href" => assert!(opens(value), "{value:?} is opened in {html:?}"),
                "src" => assert!(value.starts_with("/api/local/"), "{value:?} is loaded"),
                "class" if name == "span" => {
                    assert!(COLOURS.contains(&value), "{value:?} colours code")
                }
                _ => {}
            }
            attributes = after.trim_start();
        }
    }
}

fn opens(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    ["https://", "http://", "mailto:", "/api/local/"]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// A message is routed and understood without harm, what the engine is asked is the end of it, and a name that is
/// accepted is a name.
pub fn message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let content = text.as_ref();
    let id = |n: u128| WorkerId::from_u128(n);
    let worker = |n: u128, name: &'static str, description: &'static str| Candidate {
        id: id(n),
        name,
        description,
    };
    let workers = [
        worker(1, "Ada", "writes programs in Rust and tests them"),
        worker(2, "ßtraße", "fährt Straßen ab, İstanbul"),
        worker(3, "翻译", "把中文翻译成英文"),
        worker(4, "Ada Lovelace", "mathematics"),
    ];
    let question = Question {
        content,
        ..Question::default()
    };
    let decision = route(question, &workers);
    assert!(content.ends_with(decision.prompt), "{content:?}");
    assert_eq!(decision, route(question, &workers), "the same every time");

    let _ = format!("{:?}", understand(content));

    let session = values::session_name(content);
    for name in [values::worker_name(content), session]
        .into_iter()
        .flatten()
    {
        assert!(!name.is_empty() && name == name.trim());
        assert!(
            !name
                .chars()
                .any(|c| c.is_control() || values::is_direction(c))
        );
        assert_eq!(values::session_name(&name), Ok(name));
    }

    // One event, whatever is in it: it cannot end early, nor become two.
    let frame = sse::frame(Some(content), Some(content), content);
    let frame = std::str::from_utf8(&frame).expect("text");
    let inner = frame.strip_suffix("\n\n").expect("it ends");
    assert!(
        !inner.contains("\n\n") && !inner.contains('\r'),
        "{inner:?}"
    );
    let is_field = |line: &str| {
        ["id: ", "event: ", "data: "]
            .iter()
            .any(|f| line.starts_with(f))
    };
    assert!(inner.split('\n').all(is_field), "{inner:?}");
    let data: Vec<&str> = inner
        .split('\n')
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(
        data.join("\n"),
        content.replace("\r\n", "\n").replace('\r', "\n")
    );
    let comment = sse::comment(content);
    assert_eq!(comment.iter().filter(|byte| **byte == b'\n').count(), 2);
}
