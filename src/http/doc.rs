//! What a route says about itself: what it takes, what it answers, what it refuses. The OpenAPI document is made of this.
//!
//! What follows from the policy (401, 403, 413, 429 …) and from the path (404) is not said here: the document derives it.

use hyper::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::error::ErrorCode;
use super::router::Route;

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is said about a route beside its policy.
#[derive(Debug, Clone)]
pub struct RouteDoc {
    /// The path of its handler in the code, which names the operation.
    pub handler: &'static str,
    /// What may stand in the query.
    pub query: Vec<QueryDoc>,
    /// What it takes.
    pub body: Option<BodyDoc>,
    /// What it answers when all is well.
    pub answers: Vec<AnswerDoc>,
    /// What it refuses beyond what follows from its policy.
    pub refusals: Vec<ErrorCode>,
    /// Whether it answers page by page.
    pub is_paged: bool,
}

/// A parameter of the query.
#[derive(Debug, Clone)]
pub struct QueryDoc {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub says: &'static str,
    /// Its type.
    pub schema: SchemaOf,
    /// A value that does something sensible; only what has to be there has one.
    pub example: Option<&'static str>,
}

/// What a route takes.
#[derive(Debug, Clone)]
pub enum BodyDoc {
    /// JSON.
    Json {
        /// Its type.
        schema: SchemaOf,
        /// A body that does something sensible; `$NAME` in it is a variable of the reader's shell.
        example: &'static str,
        /// Whether there may be none.
        is_optional: bool,
    },
    /// A form with one file.
    File {
        /// The name of its part.
        part: &'static str,
    },
}

/// An answer when all is well.
#[derive(Debug, Clone)]
pub struct AnswerDoc {
    /// Its status.
    pub status: StatusCode,
    /// What is in it.
    pub content: Content,
}

/// What is in an answer.
#[derive(Debug, Clone)]
pub enum Content {
    /// JSON of a type.
    Json(SchemaOf),
    /// `{"status": …}` with this word.
    Status(&'static str),
    /// No body.
    Nothing,
    /// Bytes with a version: 304, ranges.
    File(&'static str),
    /// Bytes as they come.
    Bytes(&'static str),
    /// Events.
    Events(fn(&mut SchemaGenerator) -> Vec<EventDoc>),
}

/// An event of a stream.
#[derive(Debug, Clone)]
pub struct EventDoc {
    /// Its name; `message` is what has none.
    pub name: &'static str,
    /// Whether it has an id, by which a stream is taken up again.
    pub is_stored: bool,
    /// What it says.
    pub says: &'static str,
    /// Its data.
    pub data: Schema,
}

impl RouteDoc {
    pub(super) fn new(handler: &'static str) -> RouteDoc {
        RouteDoc {
            handler,
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            is_paged: false,
        }
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// How a line of the table says what its route takes and answers.
impl<S> Route<S> {
    /// Takes JSON of a type, such as this.
    pub fn takes<T: JsonSchema>(mut self, example: &'static str) -> Route<S> {
        self.doc.body = Some(BodyDoc::Json {
            schema: of::<T>,
            example,
            is_optional: false,
        });
        self
    }

    /// Takes JSON of a type, such as this, or no body at all.
    pub fn takes_optional<T: JsonSchema>(mut self, example: &'static str) -> Route<S> {
        self.doc.body = Some(BodyDoc::Json {
            schema: of::<T>,
            example,
            is_optional: true,
        });
        self
    }

    /// Takes a form with a file in a part of this name.
    pub fn takes_file(mut self, part: &'static str) -> Route<S> {
        self.doc.body = Some(BodyDoc::File { part });
        self
    }

    /// Reads this from the query.
    pub fn query<T: JsonSchema>(mut self, name: &'static str, says: &'static str) -> Route<S> {
        self.doc.query.push(QueryDoc {
            name,
            says,
            schema: of::<T>,
            example: None,
        });
        self
    }

    /// Needs this in the query, such as `example`.
    pub fn needs_query<T: JsonSchema>(
        mut self,
        name: &'static str,
        says: &'static str,
        example: &'static str,
    ) -> Route<S> {
        self.doc.query.push(QueryDoc {
            name,
            says,
            schema: of::<T>,
            example: Some(example),
        });
        self
    }

    /// Answers JSON of a type with this status.
    pub fn answers<T: JsonSchema>(self, status: u16) -> Route<S> {
        self.answer(status, Content::Json(of::<T>))
    }

    /// Answers a list page by page: `limit`, `cursor`, and a `Link` to the next one.
    pub fn lists<T: JsonSchema>(mut self) -> Route<S> {
        self.doc.is_paged = true;
        self.answers::<Vec<T>>(200)
    }

    /// Answers JSON of a type with this status, page by page as a list.
    pub fn pages<T: JsonSchema>(mut self, status: u16) -> Route<S> {
        self.doc.is_paged = true;
        self.answers::<T>(status)
    }

    /// Answers `{"status": word}`.
    pub fn says(self, status: u16, word: &'static str) -> Route<S> {
        self.answer(status, Content::Status(word))
    }

    /// Answers with this status and no body.
    pub fn empty(self, status: u16) -> Route<S> {
        self.answer(status, Content::Nothing)
    }

    /// Answers a file of this content type, with ranges and versions.
    pub fn serves(self, content_type: &'static str) -> Route<S> {
        self.answer(200, Content::File(content_type))
    }

    /// Answers bytes of this content type as they come.
    pub fn sends(self, content_type: &'static str) -> Route<S> {
        self.answer(200, Content::Bytes(content_type))
    }

    /// Answers these events until one side ends it.
    pub fn streams(self, events: fn(&mut SchemaGenerator) -> Vec<EventDoc>) -> Route<S> {
        self.answer(200, Content::Events(events))
    }

    /// Refuses with these codes beyond what follows from the policy.
    pub fn refuses(mut self, codes: &[ErrorCode]) -> Route<S> {
        self.doc.refusals.extend_from_slice(codes);
        self
    }

    fn answer(mut self, status: u16, content: Content) -> Route<S> {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        self.doc.answers.push(AnswerDoc { status, content });
        self
    }
}
