//! What is said about notes.

use super::super::request::Request;
use super::super::words::{Words, unquoted};

pub fn note(mut words: Words<'_>) -> Request {
    while words.eat(&[
        "down", "that", "to", "this", "a", "note", "of", "saying", "about",
    ]) {}
    match words.rest().trim_start_matches([':', '-', ' ']) {
        "" => Request::Incomplete {
            example: "note: buy milk",
        },
        text => Request::AddNote {
            text: unquoted(text).to_owned(),
        },
    }
}

pub fn remove_note(mut words: Words<'_>) -> Request {
    words.skip_fillers();
    while words.eat(&["note", "memo", "number", "about", "that"]) {}
    match words.subject().trim_start_matches('#') {
        "" | "everything" | "all" | "notes" | "it" => Request::Incomplete {
            example: "forget note 2",
        },
        which => Request::RemoveNote {
            which: which.to_owned(),
        },
    }
}
