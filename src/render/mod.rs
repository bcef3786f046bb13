//! Markdown to HTML that is safe to put into the console's page, whoever wrote it.
//!
//! Owns what a message may look like. Must never know who asks, nor touch the disk or the network. Two walls: the
//! document is rebuilt from its syntax tree, in which raw HTML is text and addresses are checked, and what comes out
//! passes an allow-list that trusts nothing before it. Only then is code coloured, which adds fixed marks to text and
//! changes nothing else. Start reading at [`html`].

mod code;
mod fence;
mod languages;
mod lexer;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use comrak::arena_tree::NodeEdge;
use comrak::nodes::{Node, NodeValue};
use comrak::options::Plugins;
use comrak::{Arena, Options, format_html_with_plugins, try_parse_document};

use fence::{Fence, InOrder, LANGUAGE_BYTES_MAX};

/// Longer texts are shown as they are. At this size the worst text takes a tenth of a second, and prose of this length
/// fills a hundred pages.
pub const MARKDOWN_BYTES_MAX: usize = 128 * 1024;
/// Deeper documents are an attack, on the renderer here or on the one in the browser.
const DEPTH_MAX: usize = 120;
/// Elements of a document; a table can have far more cells than its text has bytes.
const NODES_MAX: usize = 50_000;
/// Work of the parser, in its own steps of a line, an inline or a node, for each byte and at least.
const STEPS_PER_BYTE_MAX: usize = 8;
const STEPS_MIN: usize = 100_000;
/// How often the parser asks whether to go on.
const STEPS_PER_QUESTION: usize = 256;
/// Where the user's own files are served; everything else is another site.
const OWN_FILES: &str = "/api/local/";

/// The Markdown as HTML: GitHub's dialect, raw HTML shown as text, links opened apart, images only of the chat's own
/// files, code in colours. What is too large or too deep is shown as it is, in one `<pre>`. Never fails and never panics. A long text
/// takes tens of milliseconds: not a thing to do between two awaits.
pub fn html(markdown: &str) -> String {
    match rendered(markdown) {
        Some(html) => code::coloured(&sanitised(&html)).into_owned(),
        None => format!("<pre>{}</pre>", escaped(markdown)),
    }
}

fn rendered(markdown: &str) -> Option<String> {
    if markdown.len() > MARKDOWN_BYTES_MAX {
        return None;
    }
    let arena = Arena::new();
    let steps_max = STEPS_MIN + STEPS_PER_BYTE_MAX * markdown.len();
    let questions = Cell::new(0);
    let exhausted = || {
        questions.update(|asked| asked + 1);
        questions.get() * STEPS_PER_QUESTION > steps_max
    };
    let root = try_parse_document(&arena, markdown, &OPTIONS, &exhausted).ok()?;
    let links = inspect(root)?;
    for (node, in_link) in links {
        restrict(&arena, node, in_link);
    }
    let mut html = String::new();
    let mut plugins = Plugins::default();
    plugins.render.codefence_syntax_highlighter = Some(&InOrder);
    format_html_with_plugins(root, &OPTIONS, &mut html, &plugins).ok()?;
    Some(html)
}

/// Every link and image with whether it stands inside of another one; `None` when the document is too large or deep.
fn inspect(root: Node<'_>) -> Option<Vec<(Node<'_>, bool)>> {
    let (mut nodes, mut depth, mut open_links) = (0, 0, 0);
    let mut links = Vec::new();
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(node) => {
                nodes += 1;
                depth += 1;
                if nodes > NODES_MAX || depth > DEPTH_MAX {
                    return None;
                }
                if is_link(node) {
                    links.push((node, open_links > 0));
                    open_links += 1;
                } else if let NodeValue::CodeBlock(block) = &mut node.data_mut().value {
                    block.info = plain_info(&block.info);
                }
            }
            NodeEdge::End(node) => {
                depth -= 1;
                open_links -= usize::from(is_link(node));
            }
        }
    }
    Some(links)
}

/// An info string as the writer of HTML takes it: the language, and behind a space what it calls the file.
fn plain_info(info: &str) -> String {
    let Fence { language, file } = Fence::of(info);
    match file {
        Some(file) => format!("{language} {file}"),
        None => language.to_owned(),
    }
}

fn is_link(node: Node<'_>) -> bool {
    matches!(node.data().value, NodeValue::Link(_) | NodeValue::Image(_))
}

/// Leaves a link or an image only what it may do: an image from elsewhere becomes a link to it, for a page that loads
/// it would tell a stranger who reads what; an address that may not be opened leaves its text.
fn restrict<'a>(arena: &'a Arena<'a>, node: Node<'a>, in_link: bool) {
    let (is_image, target) = match &node.data().value {
        NodeValue::Image(link) => (true, (**link).clone()),
        NodeValue::Link(link) => (false, (**link).clone()),
        _ => return,
    };
    if is_image && is_own_file(&target.url) {
        return;
    }
    if in_link || !may_open(&target.url) {
        while let Some(child) = node.first_child() {
            node.insert_before(child);
        }
        node.detach();
    } else if is_image {
        if node.first_child().is_none() {
            let text = NodeValue::Text(target.url.clone().into());
            node.append(arena.alloc(text.into()));
        }
        node.data_mut().value = NodeValue::Link(Box::new(target));
    }
}

fn may_open(url: &str) -> bool {
    let begins = |start: &str| {
        let head = url.get(..start.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    begins("https://") || begins("http://") || begins("mailto:") || is_own_file(url)
}

/// Whether it is a path below [`OWN_FILES`] in every browser's eyes.
fn is_own_file(url: &str) -> bool {
    let climbs = || url.contains("..") || url.to_ascii_lowercase().contains("%2e");
    url.starts_with(OWN_FILES)
        && !climbs()
        && !url.contains("//")
        && !url.contains(['\\', '?', '#'])
        && !url.chars().any(char::is_control)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.tasklist = true;
    options.render.escape = true;
    options.render.full_info_string = true;
    // A chat's line break is meant.
    options.render.hardbreaks = true;
    options
});

/// Where the writer of HTML puts what stands behind a block's language.
const FILE: &str = "data-meta";

const TAGS: [&str; 27] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "img",
    "input",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let attributes: [(&str, &[&str]); 7] = [
        ("a", &["href", "title"]),
        ("code", &["class", FILE]),
        ("img", &["alt", "src", "title"]),
        ("input", &["checked", "type"]),
        ("ol", &["start"]),
        ("td", &["align"]),
        ("th", &["align"]),
    ];
    let attributes: HashMap<&str, HashSet<&str>> = attributes
        .into_iter()
        .map(|(tag, names)| (tag, names.iter().copied().collect()))
        .collect();
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(TAGS))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(attributes)
        .generic_attributes(HashSet::new())
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        // Two set on one element would come in random order, and the same text shall be the same bytes.
        .set_tag_attribute_value("input", "disabled", "")
        .attribute_filter(allowed_attribute);
    builder
});

/// A character reference is a hundred times as much work for the sanitiser as a character, and many `&` in one text take
/// the square of that: it is given each as one character that no text has. What is put back in its place is the same
/// reference, which is text wherever it stands.
const REFERENCES: [(&str, char); 3] = [
    ("&amp;", '\u{fdd0}'),
    ("&lt;", '\u{fdd1}'),
    ("&gt;", '\u{fdd2}'),
];

fn sanitised(html: &str) -> String {
    if !html.contains('&') {
        return SANITISER.clean(html).to_string();
    }
    let is_stand_in = |c: char| REFERENCES.iter().any(|(_, stand_in)| *stand_in == c);
    let mut given = html.replace(is_stand_in, "\u{fffd}");
    for (reference, stand_in) in REFERENCES {
        given = given.replace(reference, stand_in.encode_utf8(&mut [0; 4]));
    }
    let mut clean = SANITISER.clean(&given).to_string();
    for (reference, stand_in) in REFERENCES {
        clean = clean.replace(stand_in, reference);
    }
    clean
}

fn allowed_attribute<'u>(tag: &str, name: &str, value: &'u str) -> Option<Cow<'u, str>> {
    let allowed = match (tag, name) {
        ("a", "href") => may_open(value),
        ("img", "src") => is_own_file(value),
        ("input", "type") => value == "checkbox",
        ("code", "class") => is_language(value),
        ("code", FILE) => fence::is_shown(value),
        ("ol", "start") => value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit()),
        ("td" | "th", "align") => matches!(value, "left" | "center" | "right"),
        _ => true,
    };
    allowed.then_some(Cow::Borrowed(value))
}

fn is_language(class: &str) -> bool {
    let name = class.strip_prefix("language-").unwrap_or_default();
    (1..=LANGUAGE_BYTES_MAX).contains(&name.len()) && name.chars().all(fence::is_of_language)
}

#[cfg(test)]
mod code_tests;
#[cfg(test)]
mod tests;
