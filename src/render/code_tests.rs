//! What code looks like, and that colouring it changes nothing else.

#![allow(clippy::unwrap_used)]

use super::code::{SPANS_MAX, coloured};
use super::languages;
use super::lexer::Lexer;
use super::{MARKDOWN_BYTES_MAX, html};

fn block(language: &str, code: &str) -> String {
    html(&format!("````{language}\n{code}\n````"))
}

/// What is coloured of a block, as `class:text` parted by `|`.
fn marks(language: &str, code: &str) -> String {
    let html = block(language, code);
    let mut marks = html.split("<span class=\"c-").skip(1).map(|mark| {
        let (class, rest) = mark.split_once("\">").unwrap();
        format!("{class}:{}", rest.split_once("</span>").unwrap().0)
    });
    let first = marks.next().unwrap_or_default();
    marks.fold(first, |all, mark| all + "|" + &mark)
}

fn uncoloured(html: &str) -> String {
    let mut parts = html.split("<span class=\"c-");
    let first = parts.next().unwrap().to_owned();
    let all = parts.fold(first, |all, part| all + part.split_once("\">").unwrap().1);
    all.replace("</span>", "")
}

#[test]
fn code_is_coloured_by_its_language() {
    for (language, code, expected) in [
        (
            "rust",
            "/// Doc\npub fn a<'b>(c: &'b str) -> Option<u8> { println!(\"x\\\"{}\", 'd', 0xff_u8, 1..2) }",
            "comment:/// Doc|keyword:pub|keyword:fn|type:str|type:Option|type:u8|function:println|string:\"x\\\"{}\"|string:'d'|number:0xff_u8|number:1|number:2",
        ),
        (
            "rs",
            "r#\"a\"b\"# '\\u{1F600}' 'é'",
            "string:r#\"a\"b\"#|string:'\\u{1F600}'|string:'é'",
        ),
        (
            "python",
            "@cache\ndef f(x: int = None):\n    \"\"\"Two\n    lines\"\"\"\n    return x  # why",
            "meta:@cache|keyword:def|function:f|type:int|number:None|string:\"\"\"Two\n    lines\"\"\"|keyword:return|comment:# why",
        ),
        (
            "ts",
            "const a: string = `x${b}\n`; // c\nnew Map()",
            "keyword:const|type:string|string:`x${b}\n`|comment:// c|keyword:new|function:Map",
        ),
        (
            "bash",
            "if [ -n \"$A\" ]; then echo $HOME --for x#y; fi # z\ncurl a:80/b",
            "keyword:if|string:\"$A\"|keyword:then|keyword:echo|property:$HOME|keyword:fi|comment:# z|number:80",
        ),
        (
            "json",
            "{\"a\": [1, true, \"b\"]}",
            "property:\"a\"|number:1|number:true|string:\"b\"",
        ),
        (
            "toml",
            "# c\n[a.b]\nc-d = \"e\" # f\ng = 2026-11-23",
            "comment:# c|property:c-d|string:\"e\"|comment:# f|property:g|number:2026-11-23",
        ),
        (
            "yaml",
            "a-b: don't\nc: http://d # e\n'f': 3",
            "property:a-b|property:c|comment:# e|property:'f'|number:3",
        ),
        (
            "sql",
            "SELECT count(*) from a WHERE b = 'it''s' -- c",
            "keyword:SELECT|function:count|keyword:from|keyword:WHERE|string:'it'|string:'s'|comment:-- c",
        ),
        (
            "css",
            "a:hover .b { color: #fff; margin: 2px } /* c */",
            "type:.b|property:color|number:#fff|property:margin|number:2px|comment:/* c */",
        ),
        (
            "html",
            "<!-- a --><p class=\"b\" hidden>it's 1 &lt; 2</p>",
            "comment:&lt;!-- a --&gt;|keyword:&lt;p|property:class|string:\"b\"|property:hidden|keyword:&lt;/p",
        ),
        (
            "diff",
            "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same",
            "meta:--- a|meta:+++ b|meta:@@ -1 +1 @@|removed:-old|added:+new",
        ),
        (
            "c",
            "#include <a.h>\nint main(void) { return 'x'; }",
            "meta:#include|type:int|function:main|type:void|keyword:return|string:'x'",
        ),
        (
            "go",
            "func (a *B) C() error { return nil }",
            "keyword:func|type:B|function:C|type:error|keyword:return|number:nil",
        ),
        (
            "lua",
            "--[[ a\nb ]] local c",
            "comment:--[[ a\nb ]]|keyword:local",
        ),
        (
            "Dockerfile",
            "FROM rust:1.95 AS build",
            "keyword:FROM|number:1.95|keyword:AS",
        ),
        ("text", "if \"a\"", ""),
        ("", "if \"a\"", ""),
        ("unheard-of", "if \"a\"", ""),
    ] {
        assert_eq!(marks(language, code), expected, "{language}");
    }
}

#[test]
fn only_blocks_that_name_a_known_language_are_coloured() {
    for markdown in [
        "`let a = 1`",
        "    let a = 1;",
        "```\nlet a = 1;\n```",
        "let a = 1;",
        "[a](https://b.example '<pre><code class=\"language-rust\">let a = 1')",
        "<pre><code class=\"language-rust\">let a = 1;</code></pre>",
    ] {
        assert!(!html(markdown).contains("<span"), "{markdown}");
    }
    let quoted = html("> - a\n>   ```rust\n>   let\n>   ```\n\n```js\nlet\n```");
    assert_eq!(
        quoted
            .matches("<span class=\"c-keyword\">let</span>")
            .count(),
        2
    );
}

/// Without the marks it is what the sanitiser let through, whatever the code and wherever it breaks off.
#[test]
fn colouring_adds_marks_and_changes_nothing_else() {
    let pieces = [
        "&amp;",
        "&lt;",
        "&gt;",
        "&nbsp;",
        "&amp;lt;",
        "\"",
        "'",
        "`",
        "\\",
        "/*",
        "*/",
        "//",
        "#",
        "é",
        "\u{1F41D}",
        "\n",
        " ",
        "a",
        "1",
        ".",
        "-",
        "+",
        "@",
        "$",
        "&lt;!--",
        "--&gt;",
        "r#\"",
        "\"\"\"",
        ":",
        "=",
        "(",
        "]]",
        "0x",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for language in [
        "rust",
        "python",
        "ts",
        "bash",
        "powershell",
        "json",
        "yaml",
        "toml",
        "sql",
        "css",
        "html",
        "diff",
        "lua",
        "c",
        "php",
        "haskell",
    ] {
        for _ in 0..300 {
            let mut code = String::new();
            for _ in 0..40 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                code.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let html = format!(
                "<p>a</p><pre><code class=\"language-{language}\">{code}</code></pre>&amp;"
            );
            assert_eq!(uncoloured(&coloured(&html)), html);
        }
    }
}

/// So that a block that is being written does not flicker.
#[test]
fn what_is_added_at_the_end_changes_only_the_last_mark() {
    const LAST_BYTES: usize = 16;
    let source = include_str!("lexer.rs");
    for language in [
        "rust", "python", "ts", "bash", "json", "yaml", "html", "diff",
    ] {
        let language = languages::find(language).unwrap();
        let source = &source[..source.floor_char_boundary(3000)];
        let whole: Vec<_> = Lexer::new(language, source).collect();
        for end in (0..source.len()).filter(|end| source.is_char_boundary(*end)) {
            let mut part: Vec<_> = Lexer::new(language, &source[..end]).collect();
            part.pop();
            part.retain(|(_, range)| range.end + LAST_BYTES < end);
            assert_eq!(part, whole[..part.len()], "after {end} bytes");
        }
    }
}

#[test]
fn a_document_has_so_many_marks_and_no_more() {
    let spans = |html: String| html.matches("<span").count();
    let numbers = |count: usize| "1 ".repeat(count);
    assert_eq!(spans(block("rust", &numbers(SPANS_MAX))), SPANS_MAX);
    let more = block("rust", &numbers(SPANS_MAX + 1));
    assert!(more.ends_with("<span class=\"c-number\">1</span> 1 \n</code></pre>\n"));
    let two = format!("```js\n{}\n```\n\n```rust\nlet a\n```", numbers(SPANS_MAX));
    assert!(html(&two).ends_with("<pre><code class=\"language-rust\">let a\n</code></pre>\n"));
    assert_eq!(spans(html(&two)), SPANS_MAX);
}

/// Each of these has made some lexer read a text again for each of its pieces. In this size that takes minutes.
#[test]
fn hostile_code_takes_the_time_of_its_length() {
    #[rustfmt::skip]
    let pieces = [
        "'", "\"", "\"\"\"", "r#\"", "`", "\\", "/*", "&lt;!--", "&lt;", "&lt;/", "--[[", "[[", "a", "a ", "a  ", "a:", "a\t",
        "1", "1.", "$", "@a", "#", " #", "-", "+\n", "'a", "\"a\" ", "&lt;a b='", "\n", "&amp;", "é",
    ];
    for language in ["rust", "bash", "json", "html", "diff", "lua"] {
        for piece in pieces {
            let code = piece.repeat(MARKDOWN_BYTES_MAX / piece.len());
            let html = format!("<pre><code class=\"language-{language}\">{code}</code></pre>");
            let shown = coloured(&html);
            assert!(shown.matches("<span").count() <= SPANS_MAX);
            assert!(shown.len() <= html.len() + 40 * SPANS_MAX);
        }
    }
}
