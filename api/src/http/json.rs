//! One pass over a JSON body before anything is built of it. It recurses no deeper than [`MAX_DEPTH`].

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;
/// Longest name of a member that is repeated to the caller, bytes.
const MAX_NAME_LEN: usize = 64;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no JSON; the place counts from one.
    Syntax {
        line: usize,
        column: usize,
    },
    TooDeep,
    /// An object has two members of one name: readers differ in which one counts.
    DuplicateKey,
    /// U+0000, which PostgreSQL cannot store.
    Nul,
}

/// # Errors
/// The first flaw.
pub fn check(bytes: &[u8]) -> Result<(), Flaw> {
    let flaw = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let scanned = Scan { depth: 0, flaw: &flaw }
        .deserialize(&mut json)
        .and_then(|()| json.end());
    scanned.map_err(|error| {
        flaw.get().unwrap_or(Flaw::Syntax {
            line: error.line(),
            column: error.column(),
        })
    })
}

/// Where the first text with U+0000 stands in a body: `filters.keys[1]`. `None` for one in a name, and for a body that
/// cannot be read to its end.
pub fn place_of_nul(bytes: &[u8]) -> Option<String> {
    nul_within(&serde_json::from_slice(bytes).ok()?)
}

fn nul_within(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(joined(&format!("[{index}]"), &nul_within(item)?))),
        // What a caller calls a member may be anything: such a place is told no closer.
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let inner = nul_within(member)?;
            Some(if is_plain(name) {
                joined(name, &inner)
            } else {
                String::new()
            })
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a name is short and plain enough to repeat.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= MAX_NAME_LEN && name.bytes().all(plain)
}

/// The path of a place within another: `filters` and `keys[1]` are `filters.keys[1]`.
pub fn joined(outer: &str, inner: &str) -> String {
    let dot = if inner.is_empty() || inner.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{outer}{dot}{inner}")
}

/// Visits a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Scan<'a> {
    depth: usize,
    flaw: &'a Cell<Option<Flaw>>,
}

impl Scan<'_> {
    fn fail<E: Error>(self, flaw: Flaw) -> E {
        self.flaw.set(Some(flaw));
        E::custom("flaw")
    }

    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            Err(self.fail(Flaw::TooDeep))
        } else {
            Ok(Self {
                depth: self.depth + 1,
                ..self
            })
        }
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(self.fail(Flaw::Nul))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.fail(Flaw::Nul));
            }
            if !seen.insert(key) {
                return Err(self.fail(Flaw::DuplicateKey));
            }
            members.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn ordinary_json_passes() {
        for text in [
            r#"{"a":[1,-2,3.5,true,null,"\u00e9"],"b":{"a":{}}}"#,
            "1",
            "\"x\"",
            " [] ",
            &nested(MAX_DEPTH),
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_and_a_hundred_thousand_levels_do_not_overflow() {
        assert_eq!(check(nested(MAX_DEPTH + 1).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(check("[".repeat(100_000).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(check(r#"{"a":"#.repeat(100_000).as_bytes()), Err(Flaw::TooDeep));
    }

    #[test]
    fn members_are_unique_however_they_are_spelled() {
        assert_eq!(check(br#"{"role":"viewer","role":"owner"}"#), Err(Flaw::DuplicateKey));
        assert_eq!(check(br#"[{"role":1,"r\u006fle":2}]"#), Err(Flaw::DuplicateKey));
        assert_eq!(check(br#"[{"role":1},{"role":2}]"#), Ok(()));
    }

    #[test]
    fn nul_is_refused_in_values_and_names() {
        assert_eq!(check(br#"{"a":"x\u0000y"}"#), Err(Flaw::Nul));
        assert_eq!(check(br#"{"a\u0000":1}"#), Err(Flaw::Nul));
        assert_eq!(check(br#"{"a":"\\u0000"}"#), Ok(()));
    }

    #[test]
    fn nul_is_placed_by_the_names_of_the_api_and_by_none_of_the_callers_making() {
        let place = |text: &str| place_of_nul(text.as_bytes());
        assert_eq!(place(r#"{"name":"a","slug":"x\u0000y"}"#).as_deref(), Some("slug"));
        let nested = r#"{"filters":{"keys":["a","\u0000"]},"name":"\u0000"}"#;
        assert_eq!(place(nested).as_deref(), Some("filters.keys[1]"));
        assert_eq!(place(r#"[{"a":"\u0000"}]"#).as_deref(), Some("[0].a"));
        assert_eq!(place(r#"{"secrets":{"A B":"\u0000"}}"#).as_deref(), Some("secrets"));
        for text in [r#"{"a\u0000":1}"#, r#"{"a":"\u0000""#, r#""x""#] {
            assert_eq!(place(text), None, "{text}");
        }
        assert_eq!(place(r#""\u0000""#).as_deref(), Some(""));
    }

    #[test]
    fn broken_json_is_placed() {
        assert_eq!(check(b"{\"a\":1,\n}"), Err(Flaw::Syntax { line: 2, column: 1 }));
        for text in ["", "{", "[1 2]", "{} {}", "nul", "'a'", "1e999", "\"\\ud800\""] {
            assert!(matches!(check(text.as_bytes()), Err(Flaw::Syntax { .. })), "{text}");
        }
    }
}
