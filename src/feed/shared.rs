//! What the store answered last, for the next reader that asks the same: everybody who follows a chat does.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Event;
use crate::store::events::Scope;

/// Stored events with their ids.
pub type Events = Arc<[(u64, Arc<Event>)]>;

/// What a reader asks the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Which events.
    pub scope: Scope,
    /// After which one.
    pub position: u64,
    /// Of which version of the store; of the next one the answer may be another.
    pub version: u64,
}

/// The last answer; only one, so that it costs the same however many are followed.
#[derive(Default)]
pub struct LastAnswer(Mutex<Option<(Question, Events)>>);

impl LastAnswer {
    /// The answer, which is asked for unless it is the last one. No lock is held meanwhile: whoever asks something else
    /// does not wait.
    pub fn get_or_ask<E>(
        &self,
        question: Question,
        ask: impl FnOnce() -> Result<Events, E>,
    ) -> Result<Events, E> {
        let last = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, events)) = &*last()
            && *asked == question
        {
            return Ok(events.clone());
        }
        let events = ask()?;
        *last() = Some((question, events.clone()));
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;

    use super::*;
    use crate::model::EventBody;

    fn events(id: u64) -> Result<Events, Infallible> {
        let event = Event {
            session_id: None,
            execution_id: None,
            at: 0,
            body: EventBody::Session,
        };
        Ok(Arc::from([(id, Arc::new(event))]))
    }

    #[test]
    fn the_same_question_is_asked_once_and_another_one_anew() {
        let last = LastAnswer::default();
        let question = Question {
            scope: Scope::All,
            position: 1,
            version: 2,
        };
        let first = last.get_or_ask(question, || events(2)).unwrap();
        let second = last
            .get_or_ask(question, || unreachable!())
            .unwrap_or_else(|never: Infallible| match never {});
        assert!(Arc::ptr_eq(&first, &second));
        for other in [
            Question {
                position: 0,
                ..question
            },
            Question {
                version: 3,
                ..question
            },
            Question {
                scope: Scope::Session(crate::model::SessionId::from_u128(1)),
                ..question
            },
        ] {
            assert_eq!(last.get_or_ask(other, || events(7)).unwrap()[0].0, 7);
        }
        assert_eq!(last.get_or_ask(question, || events(8)).unwrap()[0].0, 8);
    }
}
