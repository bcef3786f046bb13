use super::*;
use crate::model::text::truncated;

const ATTRIBUTES: [&str; 14] = [
    "align", "alt", "checked", "class", FILE, "disabled", "href", "rel", "src", "start", "target",
    "title", "type", "",
];

const COLOURS: [&str; 10] = [
    "c-keyword",
    "c-string",
    "c-comment",
    "c-number",
    "c-function",
    "c-type",
    "c-property",
    "c-meta",
    "c-added",
    "c-removed",
];

/// Reads the output as a strict tokenizer would and fails on whatever is not on the list.
fn assert_harmless(input: &str, html: &str) {
    let shown = truncated(input, 200);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = rest[at + 1..].trim_start_matches('/');
        let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
        let (name, mut tag) = rest.split_at(name_end);
        assert!(
            TAGS.contains(&name) || name == "span",
            "<{name}> from {shown:?}: {html}"
        );
        while let Some(attribute) = tag.strip_prefix(' ') {
            let (key, value) = attribute.split_once("=\"").unwrap_or_default();
            assert!(ATTRIBUTES.contains(&key), "{key:?} from {shown:?}: {html}");
            let (value, after) = value.split_once('"').unwrap_or_default();
            match key {
                "href" => assert!(may_open(value), "href {value:?} from {shown:?}"),
                "src" => assert!(is_own_file(value), "src {value:?} from {shown:?}"),
                "class" if name == "span" => assert!(COLOURS.contains(&value), "{html}"),
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
        format!(r#"<a href="{url}" target="_blank" rel="noopener noreferrer nofollow">{text}</a>"#)
    };
    for (markdown, expected) in [
        ("# A *b* **c** ~~d~~ `e`", "<h1>A <em>b</em> <strong>c</strong> <del>d</del> <code>e</code></h1>".to_owned()),
        ("a\nb", "<p>a<br>\nb</p>".into()),
        ("```rust\na < b\n```", "<pre><code class=\"language-rust\">a &lt; b\n</code></pre>".into()),
        ("```rust,ignore\na\n```", "<pre><code class=\"language-rust\">a\n</code></pre>".into()),
        ("```js {1,3}\na\n```", "<pre><code class=\"language-js\">a\n</code></pre>".into()),
        ("``` {.rust}\na\n```", "<pre><code class=\"language-rust\">a\n</code></pre>".into()),
        ("```rust:src/main.rs\na\n```", "<pre><code class=\"language-rust\" data-meta=\"src/main.rs\">a\n</code></pre>".into()),
        ("```?\na\n```", "<pre><code>a\n</code></pre>".into()),
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
        "```rust:a\"><script>alert(1)</script>\na\n```",
        "```rust title='a\" onmouseover=alert(1)//><img>'\na\n```",
        "~~~rust title=\"<pre><code class='language-js'>\"\n<b>\n~~~",
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
    assert!(is_language("language-c++") && is_language(&format!("language-{}", "a".repeat(32))));
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

const HOSTILE_PIECES: [&str; 58] = [
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
];

/// Each of these has made some Markdown renderer run out of time, stack or memory.
#[test]
fn hostile_sizes_end_soon_and_small() {
    let n = MARKDOWN_BYTES_MAX;
    let mut cases: Vec<String> = HOSTILE_PIECES
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

/// What stands in for a character reference while the sanitiser works is text like any other.
#[test]
fn references_come_back_as_they_were() {
    for (markdown, shown) in [
        ("a & b < c > d", "<p>a &amp; b &lt; c &gt; d</p>"),
        ("`&lt;b&gt;`", "<p><code>&amp;lt;b&amp;gt;</code></p>"),
        (
            "\u{fdd0}lt; & \u{fdd1}b\u{fdd2}",
            "<p>\u{fffd}lt; &amp; \u{fffd}b\u{fffd}</p>",
        ),
        ("&#xfdd1;b&#xfdd2; &", "<p>\u{fffd}b\u{fffd} &amp;</p>"),
        (
            "```c:a<b&c.h\nx\n```",
            "<pre><code class=\"language-c\" data-meta=\"a&lt;b&amp;c.h\">x\n</code></pre>",
        ),
    ] {
        assert_eq!(html(markdown).trim_end(), shown, "{markdown:?}");
    }
    let link = html("[a](https://a.example/?b=1&c=<2>)");
    assert!(
        link.contains("href=\"https://a.example/?b=1&amp;c="),
        "{link}"
    );
}
