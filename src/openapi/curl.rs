//! An operation as a command line that does it.
//!
//! It works as it is in a shell where `$ORIGIN` and `$TOKEN` are set, and whatever its path and body name in capitals.

use hyper::Method;

use crate::http::Route;
use crate::http::doc::{BodyDoc, Content};

pub(super) fn source<S>(route: &Route<S>) -> String {
    let Route {
        method,
        policy,
        doc,
        ..
    } = route;
    let content = doc.answers.first().map(|answer| &answer.content);
    let mut words = vec!["curl -sS --fail-with-body".to_owned()];
    if matches!(content, Some(Content::Events(_))) {
        words[0].push_str(" -N");
    }
    if *method != Method::GET {
        words[0].push_str(&format!(" -X {method}"));
    }
    words[0].push_str(&format!(" \"$ORIGIN{}\"", address(route)));
    if !policy.public {
        words.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    match &doc.body {
        Some(BodyDoc::Json { example, .. }) => {
            words.push("-H 'Content-Type: application/json'".to_owned());
            words.push(format!("-d {}", quoted(example)));
        }
        Some(BodyDoc::File { part }) => words.push(format!("-F \"{part}=@$FILE\"")),
        None => {}
    }
    match content {
        Some(Content::Bytes(_)) => words.push("-OJ".to_owned()),
        Some(Content::File("*/*")) => words.push("-O".to_owned()),
        _ => {}
    }
    words.join(" \\\n  ")
}

/// The path with `$WORKER_ID` for `{worker_id}`, and what its query needs.
fn address<S>(route: &Route<S>) -> String {
    let path = route.values().fold(route.pattern.to_owned(), |path, name| {
        path.replace(&format!("{{{name}}}"), &format!("${}", name.to_uppercase()))
    });
    let query = route.doc.query.iter();
    let pairs: Vec<String> = query
        .filter_map(|query| Some(format!("{}={}", query.name, query.example?)))
        .collect();
    match pairs.is_empty() {
        true => path,
        false => format!("{path}?{}", pairs.join("&")),
    }
}

/// In single quotes, but for `$NAME`, which the shell is to replace.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let name = &rest[at + 1..];
        let end = name
            .find(|c: char| !c.is_ascii_uppercase() && c != '_')
            .unwrap_or(name.len());
        out.push_str(&rest[..at].replace('\'', "'\\''"));
        out.push_str(&format!("'\"${}\"'", &name[..end]));
        rest = &name[end..];
    }
    out.push_str(&rest.replace('\'', "'\\''"));
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_sees_the_json_and_its_own_variables() {
        assert_eq!(quoted(r#"{"a": "it's"}"#), r#"'{"a": "it'\''s"}'"#);
        assert_eq!(quoted(r#"{"a": "$CODE"}"#), r#"'{"a": "'"$CODE"'"}'"#);
    }
}
