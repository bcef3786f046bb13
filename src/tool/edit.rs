//! Changing a part of a file, and what a change looks like to people.

use std::fmt::{self, Write};

use imara_diff::{
    Algorithm, Diff, InternedInput, Interner, Token, UnifiedDiffConfig, UnifiedDiffPrinter,
};
use serde::Deserialize;

use super::beneath::{Beneath, RelativePath, read_up_to};
use super::files::{FileWritten, WRITE_BYTES_MAX};
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};
use crate::model::text::truncated;

/// What is kept of a diff.
pub const DIFF_BYTES_MAX: usize = 12 * 1024;

/// Replaces a text in a file. Data: [`FileWritten`].
pub const EDIT: Tool = Tool {
    name: "edit_file",
    description: "Replaces a text in a file of the work directory. The old text must be there exactly once, unless `all` is set.",
    access: Access::Write,
    params: &[
        Param::required(
            "path",
            Kind::Text,
            "The file, relative to the work directory.",
        ),
        Param::required(
            "old",
            Kind::Text,
            "The text to replace, exactly as it is in the file.",
        ),
        Param::required("new", Kind::Text, "What stands there afterwards."),
        Param::optional("all", Kind::Flag, "Whether to replace every place."),
    ],
    call: |cx, args| Box::pin(edit(cx, args)),
};

#[derive(Deserialize)]
struct Edit {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    all: bool,
}

async fn edit(cx: &Context, args: serde_json::Value) -> Result<ToolOutput, ToolError> {
    let Edit {
        path,
        old,
        new,
        all,
    } = parse(args)?;
    let path = RelativePath::parse(&path)?;
    if old.is_empty() {
        return Err(ToolError::InvalidArguments(
            "the old text is empty; write_file makes a new file".to_owned(),
        ));
    }
    let work_dir = cx.work_dir.clone();
    let (places, written) = blocking(move || {
        let beneath = Beneath::open(&work_dir)?;
        let before = text_of(&beneath, &path)?;
        let places = before.matches(&old).count();
        if places == 0 {
            return Err(ToolError::NotFound(format!(
                "the old text is not in `{path}`; read the file again"
            )));
        }
        if places > 1 && !all {
            return Err(ToolError::Refused(format!(
                "the old text is in `{path}` {places} times; give more of what is around it, or set `all`"
            )));
        }
        let after = before.replace(&old, &new);
        if after.len() > WRITE_BYTES_MAX {
            return Err(ToolError::Refused(format!(
                "`{path}` would be longer than {WRITE_BYTES_MAX} bytes"
            )));
        }
        beneath.replace(&path, after.as_bytes())?;
        let written = FileWritten {
            path: path.to_string(),
            bytes: after.len() as u64,
            diff: Some(diff(&path.to_string(), &before, &after)),
        };
        Ok((places, written))
    })
    .await?;
    let text = format!(
        "changed {} in {places} places ({} bytes)",
        written.path, written.bytes
    );
    Ok(ToolOutput::new(text, &written))
}

/// The whole text of a file that can be written back without losing anything.
pub(super) fn text_of(beneath: &Beneath, path: &RelativePath) -> Result<String, ToolError> {
    let (mut file, _) = beneath.file(path)?;
    let bytes = read_up_to(&mut file, WRITE_BYTES_MAX as u64 + 1, path)?;
    if bytes.len() > WRITE_BYTES_MAX {
        return Err(ToolError::Refused(format!(
            "`{path}` is longer than the {WRITE_BYTES_MAX} bytes that can be changed at once"
        )));
    }
    String::from_utf8(bytes).map_err(|_| ToolError::Refused(format!("`{path}` is not text")))
}

/// What changed, as `diff -u` shows it.
pub(crate) fn diff(path: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let input = InternedInput::new(before, after);
    // Histogram and the search that it falls back to are bounded: a long way is not looked at to its end.
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let lines = Lines(&input.interner);
    let hunks = diff.unified_diff(&lines, UnifiedDiffConfig::default(), &input);
    let text = format!("--- {path}\n+++ {path}\n{hunks}");
    match truncated(&text, DIFF_BYTES_MAX) {
        whole if whole.len() == text.len() => text,
        part => format!("{part}\n… {} bytes of diff in all", text.len()),
    }
}

/// Prints hunks as `diff -u` does.
struct Lines<'a>(&'a Interner<&'a str>);

impl Lines<'_> {
    fn line(&self, f: &mut impl Write, sign: char, token: Token) -> fmt::Result {
        let line = self.0[token];
        match line.strip_suffix('\n') {
            Some(line) => writeln!(f, "{sign}{line}"),
            None => writeln!(f, "{sign}{line}\n\\ No newline at end of file"),
        }
    }
}

impl UnifiedDiffPrinter for Lines<'_> {
    fn display_header(
        &self,
        mut f: impl Write,
        before: u32,
        after: u32,
        before_length: u32,
        after_length: u32,
    ) -> fmt::Result {
        // Lines count from 1; no line is behind the one before it.
        let range = |line: u32, length: u32| match length {
            0 => format!("{line},0"),
            1 => format!("{}", line + 1),
            _ => format!("{},{length}", line + 1),
        };
        let (before, after) = (range(before, before_length), range(after, after_length));
        writeln!(f, "@@ -{before} +{after} @@")
    }

    fn display_context_token(&self, mut f: impl Write, token: Token) -> fmt::Result {
        self.line(&mut f, ' ', token)
    }

    fn display_hunk(&self, mut f: impl Write, before: &[Token], after: &[Token]) -> fmt::Result {
        for &token in before {
            self.line(&mut f, '-', token)?;
        }
        for &token in after {
            self.line(&mut f, '+', token)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of `diff -u`.
    #[test]
    fn a_diff_reads_like_that_of_diff() {
        let numbers = |range: std::ops::Range<u32>| -> String {
            range.map(|number| format!("{number}\n")).collect()
        };
        let before = numbers(1..21);
        let after = before.replace("\n4\n", "\nfour\n").replace("20\n", "20");
        for (before, after, hunks) in [
            (before.as_str(), before.as_str(), ""),
            ("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"),
            ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
            ("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n"),
            (
                "a",
                "a\n",
                "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n",
            ),
            (
                &before,
                &after,
                "@@ -1,7 +1,7 @@\n 1\n 2\n 3\n-4\n+four\n 5\n 6\n 7\n@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n\
                 +20\n\\ No newline at end of file\n",
            ),
        ] {
            let head = if hunks.is_empty() {
                ""
            } else {
                "--- x\n+++ x\n"
            };
            assert_eq!(diff("x", before, after), format!("{head}{hunks}"));
        }
    }

    /// Nothing in common, and as long as a file may be: still at once.
    #[test]
    fn a_long_diff_is_cut_and_says_so() {
        let line = |letter: char| move |number: usize| format!("{letter}{number}\n");
        let before: String = (0..100_000).map(line('a')).collect();
        let after: String = (0..100_000).map(line('b')).collect();
        let text = diff("x", &before, &after);
        assert!(text.len() < DIFF_BYTES_MAX + 100, "{}", text.len());
        assert!(text.ends_with("bytes of diff in all"), "{}", text.len());
    }
}
