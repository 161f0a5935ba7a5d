//! What a revision did, as its row tells it: each key with what became of it. Who watches an environment is told from that.
//!
//! The past is read from elsewhere: a version knows the revision that stored it, and `secret_keys` from which revision on a secret
//! has a key, or none.

use serde::{Deserialize, Serialize};

use super::editor::Outcome;
use crate::kernel::{Error, Result};

/// Keys that one row tells of at most. Whoever has to know of more reads the whole environment.
pub(super) const MAX_KEYS: usize = 10_000;

/// One secret that a revision changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) outcome: Outcome,
    /// Its version afterwards.
    pub(super) version: i64,
    /// Of a renamed secret the key that it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<String>,
}

/// The text of a change set; `None` when it is too long to be told.
pub(super) fn text(lines: &[Line]) -> Result<Option<String>> {
    if lines.len() > MAX_KEYS {
        return Ok(None);
    }
    serde_json::to_string(lines)
        .map(Some)
        .map_err(|fault| Error::internal(fault.to_string()))
}

/// Reads what [`text`] wrote.
pub(super) fn parse(text: &str) -> Result<Vec<Line>> {
    serde_json::from_str(text).map_err(|_| Error::internal("a change set is stored wrongly"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: Outcome, was: Option<&str>) -> Line {
        Line {
            key: "A".to_owned(),
            outcome,
            version: 3,
            was: was.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_told_is_what_was_written() {
        let lines: Vec<Line> = Outcome::ALL.map(|outcome| line(outcome, None)).into();
        let lines = [lines, vec![line(Outcome::Renamed, Some("B"))]].concat();
        assert_eq!(parse(&text(&lines).unwrap().unwrap()).unwrap(), lines);
        let text = text(&lines[..1]).unwrap().unwrap();
        assert_eq!(text, r#"[{"key":"A","outcome":"created","version":3}]"#);
    }

    #[test]
    fn too_much_is_not_told_and_nothing_is_made_up() {
        let many = vec![line(Outcome::Updated, None); MAX_KEYS + 1];
        assert_eq!(text(&many).unwrap(), None);
        assert!(text(&many[1..]).unwrap().is_some());
        for odd in ["", "{}", r#"[{"key":"A","outcome":"melted","version":3}]"#] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }
}
