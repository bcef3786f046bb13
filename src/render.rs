//! Markdown to HTML that is safe to put into the console's page, whoever wrote it.
//!
//! Owns what a message may look like. Must never know who asks, nor touch the disk or the network. Two walls: the
//! document is rebuilt from its syntax tree, in which raw HTML is text and addresses are checked, and what comes out
//! passes an allow-list that trusts nothing before it. Start reading at [`html`].

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use comrak::arena_tree::NodeEdge;
use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, Options, format_html, try_parse_document};

/// Longer texts are shown as they are. The sanitiser's time grows with the square of the number of `&` in one text;
/// at this size the worst text takes a fraction of a second, and prose of this length fills a hundred pages.
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
/// files. What is too large or too deep is shown as it is, in one `<pre>`. Never fails and never panics. A long text
/// takes tens of milliseconds: not a thing to do between two awaits.
pub fn html(markdown: &str) -> String {
    match rendered(markdown) {
        Some(html) => SANITISER.clean(&html).to_string(),
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
    format_html(root, &OPTIONS, &mut html).ok()?;
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
    // A chat's line break is meant.
    options.render.hardbreaks = true;
    options
});

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
        ("code", &["class"]),
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

fn allowed_attribute<'u>(tag: &str, name: &str, value: &'u str) -> Option<Cow<'u, str>> {
    let allowed = match (tag, name) {
        ("a", "href") => may_open(value),
        ("img", "src") => is_own_file(value),
        ("input", "type") => value == "checkbox",
        ("code", "class") => is_language(value),
        ("ol", "start") => value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit()),
        ("td" | "th", "align") => matches!(value, "left" | "center" | "right"),
        _ => true,
    };
    allowed.then_some(Cow::Borrowed(value))
}

fn is_language(class: &str) -> bool {
    let name = class.strip_prefix("language-").unwrap_or_default();
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-_.#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::truncated;

    const ATTRIBUTES: [&str; 13] = [
        "align", "alt", "checked", "class", "disabled", "href", "rel", "src", "start", "target",
        "title", "type", "",
    ];

    /// Reads the output as a strict tokenizer would and fails on whatever is not on the list.
    fn assert_harmless(input: &str, html: &str) {
        let shown = truncated(input, 200);
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            rest = rest[at + 1..].trim_start_matches('/');
            let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
            let (name, mut tag) = rest.split_at(name_end);
            assert!(TAGS.contains(&name), "<{name}> from {shown:?}: {html}");
            while let Some(attribute) = tag.strip_prefix(' ') {
                let (key, value) = attribute.split_once("=\"").unwrap_or_default();
                assert!(ATTRIBUTES.contains(&key), "{key:?} from {shown:?}: {html}");
                let (value, after) = value.split_once('"').unwrap_or_default();
                match key {
                    "href" => assert!(may_open(value), "href {value:?} from {shown:?}"),
                    "src" => assert!(is_own_file(value), "src {value:?} from {shown:?}"),
                    _ => {}
                }
                tag = after;
            }
            assert!(tag.starts_with('>'), "{tag:?} from {shown:?}: {html}");
            rest = tag;
        }
    }

    #[test]
    fn markdown_of_the_github_kind_is_rendered() {
        let link = |url: &str, text: &str| {
            format!(
                r#"<a href="{url}" target="_blank" rel="noopener noreferrer nofollow">{text}</a>"#
            )
        };
        for (markdown, expected) in [
            ("# A *b* **c** ~~d~~ `e`", "<h1>A <em>b</em> <strong>c</strong> <del>d</del> <code>e</code></h1>".to_owned()),
            ("a\nb", "<p>a<br>\nb</p>".into()),
            ("```rust\na < b\n```", "<pre><code class=\"language-rust\">a &lt; b\n</code></pre>".into()),
            ("3. a\n4. b", "<ol start=\"3\">\n<li>a</li>\n<li>b</li>\n</ol>".into()),
            ("- [x] a", "<ul>\n<li><input type=\"checkbox\" checked=\"\" disabled=\"\"> a</li>\n</ul>".into()),
            ("|a|\n|:-:|\n|b|", "<table>\n<thead>\n<tr>\n<th align=\"center\">a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td align=\"center\">b</td>\n</tr>\n</tbody>\n</table>".into()),
            ("[a](https://b.example)", format!("<p>{}</p>", link("https://b.example", "a"))),
            ("https://b.example", format!("<p>{}</p>", link("https://b.example", "https://b.example"))),
            ("ada@b.example", format!("<p>{}</p>", link("mailto:ada@b.example", "ada@b.example"))),
            ("[f](/api/local/sessions/1/media/a.pdf)", format!("<p>{}</p>", link("/api/local/sessions/1/media/a.pdf", "f"))),
            ("> a\n\n---", "<blockquote>\n<p>a</p>\n</blockquote>\n<hr>".into()),
            ("<b>&amp;</b>", "<p>&lt;b&gt;&amp;&lt;/b&gt;</p>".into()),
            ("", String::new()),
        ] {
            assert_eq!(html(markdown).trim_end(), expected, "{markdown:?}");
            assert_harmless(markdown, &html(markdown));
        }
    }

    #[test]
    fn a_page_loads_images_of_its_own_server_only() {
        let own = "/api/local/sessions/1/media/a.png";
        assert_eq!(
            html(&format!("![x]({own})")),
            format!("<p><img src=\"{own}\" alt=\"x\"></p>\n")
        );
        for (markdown, text) in [
            ("![x](https://evil.example/a.png)", ">x</a>"),
            (
                "![](https://evil.example/a.png)",
                ">https://evil.example/a.png</a>",
            ),
            (
                "[![x](https://evil.example/a.png)](https://b.example)",
                ">x</a>",
            ),
            (
                "![[x](https://b.example)](https://evil.example/a.png)",
                ">x</a>",
            ),
            ("![x](//evil.example/a.png)", "<p>x</p>"),
            ("![x](a.png)", "<p>x</p>"),
            ("![x](data:image/png;base64,AAAA)", "<p>x</p>"),
            ("![x](/api/me/password)", "<p>x</p>"),
            ("![x](/api/local/../auth/logout)", "<p>x</p>"),
            ("![x](/api/local/%2E%2e/auth/logout)", "<p>x</p>"),
            ("![x](/api/local/..\\auth)", "<p>x</p>"),
            ("![x](/api/local//evil.example)", "<p>x</p>"),
            ("![x](/api/local/a?token=1)", "<p>x</p>"),
        ] {
            let html = html(markdown);
            assert!(
                !html.contains("<img") && html.contains(text),
                "{markdown:?}: {html}"
            );
            assert!(html.matches("<a ").count() <= 1, "{markdown:?}: {html}");
        }
    }

    #[test]
    fn addresses_that_run_or_leave_are_only_text() {
        for url in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java&#x0A;script:alert(1)",
            "&#106;avascript:alert(1)",
            "javascript&colon;alert(1)",
            "vbscript:x",
            "data:text/html,<script>alert(1)</script>",
            "file:///etc/passwd",
            "blob:https://a",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "relative/path",
            "#code=1",
            "?x",
            "ftp://a",
            "tel:1",
            "https:evil",
            "&#1;javascript:alert(1)",
            " javascript:alert(1)",
            "about:blank",
        ] {
            for markdown in [
                format!("[a](<{url}>)"),
                format!("[a]({url})"),
                format!("[a]\n\n[a]: {url}"),
                format!("<{url}>"),
            ] {
                let html = html(&markdown);
                assert!(!html.contains("href"), "{markdown:?}: {html}");
                assert_harmless(&markdown, &html);
            }
        }
    }

    #[test]
    fn hostile_markup_never_becomes_markup() {
        for input in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(1)>",
            "<iframe src=//a>",
            "<a href='javascript:alert(1)'>x</a>",
            "<style>*{display:none}</style>",
            "<math><mi//xlink:href=\"data:x\">",
            "<details open ontoggle=alert(1)>",
            "<form action=//a><input name=x>",
            "<base href=//a>",
            "<object data=x>",
            "<p style=\"background:url(//a)\">",
            "<meta http-equiv=refresh content=0>",
            "<!--><img src=x onerror=alert(1)>-->",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "</pre></code><script>x</script>",
            "```html\n</code></pre><script>alert(1)</script>\n```",
            "```\" onmouseover=alert(1) x=\"\na\n```",
            "```<script>\na\n```",
            "    <script>alert(1)</script>",
            "`<img src=x onerror=alert(1)>`",
            "[a](https://b \"x\\\" onmouseover=\\\"alert(1)\")",
            "[a](https://b 'x\" onmouseover=\"alert(1)')",
            "[a](https://b/\"onmouseover=alert(1)//)",
            "![x\" onerror=\"alert(1)](https://a)",
            "![x\" onerror=\"alert(1)](/api/local/a)",
            "![a](/api/local/a\"onerror=alert(1))",
            "[<img src=x onerror=alert(1)>](https://a)",
            "|<script>|\n|-|\n|<img src=x onerror=alert(1)>|",
            "<https://a/\"onclick=alert(1)>",
            "https://a/\"onclick=alert(1)",
            "https://a/<script>alert(1)</script>",
            "www.a.b/'onclick='x",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "&#60;script&#62;alert(1)",
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "\0<script\0>alert(1)</script>",
            "<![CDATA[<script>alert(1)</script>]]>",
            "<?php x ?>",
            "<!DOCTYPE x>",
            "<x onclick=alert(1)>",
            "<%73cript>",
            "\u{202e}<script>",
            "<ſcript>alert(1)</ſcript>",
            "<a\thref=x\nonclick=y>",
            "<textarea><script>",
            "<title></title>",
        ] {
            let html = html(input);
            assert_harmless(input, &html);
            assert!(
                !html.contains("<script") && !html.contains("<style"),
                "{input:?}: {html}"
            );
        }
    }

    /// The second wall holds alone: it is given what the first one would never let through.
    #[test]
    fn the_sanitiser_trusts_nothing() {
        for input in [
            "<a href=\"javascript:x\" onclick=x style=x class=x id=x name=x>a</a>",
            "<img src=https://a srcset=x onerror=x>",
            "<code class=\"language-a b\">",
            "<code class=\"x\">",
            "<input type=text name=x value=y formaction=z>",
            "<td align=\"x\">",
            "<ol start=-1>",
            "<div style=x>",
            "<svg><script>x</script></svg>",
            "<a target=_self rel=opener>x</a>",
        ] {
            let html = SANITISER.clean(input).to_string();
            assert_harmless(input, &html);
            for word in [
                "on",
                "style",
                "class",
                "id=",
                "name",
                "text",
                "_self",
                "\"opener",
                "srcset",
                "javascript",
            ] {
                assert!(
                    !html.contains(&format!(" {word}")) && !html.contains(&format!("\"{word}\"")),
                    "{input}: {html}"
                );
            }
        }
        assert!(
            is_language("language-c++") && is_language(&format!("language-{}", "a".repeat(32)))
        );
        assert!(!is_language("language-") && !is_language(&format!("language-{}", "a".repeat(33))));
    }

    #[test]
    fn what_is_too_large_is_shown_as_it_is() {
        let fits = format!("*{}*", "a".repeat(MARKDOWN_BYTES_MAX - 2));
        assert!(html(&fits).starts_with("<p><em>a"));
        let larger = format!("<*{}*", "a".repeat(MARKDOWN_BYTES_MAX - 2));
        let shown = html(&larger);
        assert!(shown.starts_with("<pre>&lt;*a") && shown.ends_with("a*</pre>"));
    }

    #[test]
    fn what_is_too_deep_is_shown_as_it_is() {
        // The document, its quotes, the paragraph and its text.
        let quotes = |depth: usize| html(&format!("{} a", ">".repeat(depth)));
        assert!(quotes(DEPTH_MAX - 3).starts_with("<blockquote>"));
        assert!(quotes(DEPTH_MAX - 2).starts_with("<pre>"));
    }

    /// Each of these has made some Markdown renderer run out of time, stack or memory.
    #[test]
    fn hostile_sizes_end_soon_and_small() {
        let n = MARKDOWN_BYTES_MAX;
        let mut cases: Vec<String> = [
            "[",
            "]",
            "![",
            "[a](",
            "[a](<",
            "[]",
            "[[]",
            "*",
            "_ ",
            "**a ",
            "*a_b ",
            "*a* ",
            "~~a ",
            "`a",
            "> ",
            ">",
            "- ",
            "1. ",
            "#",
            "<",
            "<a ",
            "<!--",
            "<![CDATA[",
            "<?",
            "<a@b.c>",
            "&",
            "&#",
            "&amp;",
            "\\",
            "|",
            "|-",
            "a|\n-|\n",
            "www.",
            "http://a.",
            "a@b.c",
            "a@",
            ":",
            "\n",
            "\r",
            "\t",
            " ",
            "\0",
            "é",
            "a\n===\n",
            "***\n",
            "```\n",
            "[a]: b\n",
            "[a][b] ",
            "- [ ] a\n",
            "![a](b)",
            "[![a](b)](c)",
            "a  \n",
            "[^1]",
            "\"'",
            "http://a((",
            "www.a.b)))",
            "http://a.b&amp;;",
            "[a](b \"c",
        ]
        .into_iter()
        .map(|piece| piece.repeat(n / piece.len()))
        .collect();
        cases.extend([
            format!(
                "|{}|\n|{}|\n{}",
                "a|".repeat(700),
                "-|".repeat(700),
                "|\n".repeat(n / 3)
            ),
            format!("[a]: /{}\n\n{}", "u".repeat(n / 3), "[a] ".repeat(n / 8)),
            format!("{}a{}", "**a *b ".repeat(n / 20), "* b** ".repeat(n / 20)),
            format!("{}{}", "[".repeat(n / 2), "](a)".repeat(n / 8)),
            format!("{} a\n{}", ">".repeat(5000), "a\n".repeat(n / 3)),
            format!("{} a\n", ">".repeat(500)).repeat(n / 502),
            format!("{}a\n{}", "- ".repeat(5000), "\n".repeat(n / 2)),
            (0..300)
                .map(|i| format!("{}- a\n", "  ".repeat(i)))
                .collect(),
            (0..400)
                .map(|i| format!("{}\n", "`".repeat(i + 3)))
                .collect(),
            (0..400)
                .map(|i| format!("{} ", "`".repeat(i + 1)))
                .collect(),
            (0..9_000).map(|i| format!("[a{i}]: x\n")).collect(),
        ]);
        for case in &cases {
            let case = truncated(case, n);
            let html = html(case);
            assert!(
                html.len() <= 48 * n,
                "{:?} became {} bytes",
                truncated(case, 40),
                html.len()
            );
        }
    }
}
