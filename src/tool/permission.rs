//! What an agent may do without being asked about: a worker's `permissions`.

use super::Access;

/// A worker's permission mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Permissions {
    /// It looks; for everything else the user is asked.
    Ask,
    /// It also changes files of its work directory and what is its own in Skep. The usual mode: that is what its
    /// directory is for, and nothing of it leaves this machine or starts a program.
    #[default]
    AllowEdits,
    /// It does whatever it can.
    AllowAll,
    /// It looks, and nobody is asked.
    ReadOnly,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is done.
    Allow,
    /// The user has to be asked.
    Ask,
    /// It is not done.
    Deny,
}

impl Permissions {
    /// The mode that a word of the API names; the empty one, and one that nobody knows, is the usual mode.
    pub fn parse(word: &str) -> Self {
        match word {
            "ask" => Self::Ask,
            "allow_all" => Self::AllowAll,
            "read_only" => Self::ReadOnly,
            _ => Self::AllowEdits,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AllowEdits => "allow_edits",
            Self::AllowAll => "allow_all",
            Self::ReadOnly => "read_only",
        }
    }

    /// What becomes of a call that does this to the world.
    pub fn decide(self, access: Access) -> Decision {
        match (self, access) {
            (_, Access::Read) | (Self::AllowAll, _) | (Self::AllowEdits, Access::Write) => {
                Decision::Allow
            }
            (Self::ReadOnly, _) => Decision::Deny,
            (Self::Ask, _) | (Self::AllowEdits, Access::Send | Access::Run) => Decision::Ask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_allows_what_it_says() {
        use Decision::{Allow, Ask, Deny};
        let all = [Access::Read, Access::Write, Access::Send, Access::Run];
        for (word, decisions) in [
            ("ask", [Allow, Ask, Ask, Ask]),
            ("allow_edits", [Allow, Allow, Ask, Ask]),
            ("", [Allow, Allow, Ask, Ask]),
            ("allow_all", [Allow, Allow, Allow, Allow]),
            ("read_only", [Allow, Deny, Deny, Deny]),
        ] {
            let mode = Permissions::parse(word);
            assert_eq!(all.map(|access| mode.decide(access)), decisions, "{word}");
            assert!(word.is_empty() || mode.as_str() == word);
        }
    }
}
