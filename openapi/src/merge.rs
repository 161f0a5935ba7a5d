//! Reads JSON in which an object key may be printed twice, and joins the two objects.
//!
//! poem-openapi prints one `paths` entry per `#[OpenApi] impl`. Two impls that share a path print its key twice, and an
//! ordinary parser silently drops the first.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Largest magnitude at which every whole `f64` is exact, hence may be written as an integer.
const MAX_EXACT_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Parses `text`, joining objects under a repeated key and writing whole numbers as integers.
///
/// # Errors
/// Broken JSON, or a key declared twice that cannot be joined.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Merged>(text).map(|merged| merged.0)
}

/// Moves the entries of `new` into `old`; answers the first key that both hold.
pub fn join(old: &mut Map<String, Value>, new: Map<String, Value>) -> Result<(), String> {
    for (key, value) in new {
        if old.contains_key(&key) {
            return Err(key);
        }
        old.insert(key, value);
    }
    Ok(())
}

struct Merged(Value);

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MergedVisitor)
    }
}

struct MergedVisitor;

impl<'de> Visitor<'de> for MergedVisitor {
    type Value = Merged;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Merged, E> {
        Ok(Merged(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Merged, E> {
        Ok(Merged(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Merged, E> {
        Ok(Merged(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Merged, E> {
        Ok(Merged(number(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Merged, E> {
        Ok(Merged(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Merged, E> {
        Ok(Merged(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Merged, A::Error> {
        let mut array = Vec::new();
        while let Some(Merged(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Merged(array.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Merged, A::Error> {
        let mut map = Map::new();
        while let Some((key, Merged(value))) = entries.next_entry::<String, Merged>()? {
            match (map.get_mut(&key), value) {
                (None, value) => {
                    map.insert(key, value);
                }
                (Some(Value::Object(old)), Value::Object(new)) => {
                    join(old, new).map_err(|inner| de::Error::custom(format!("`{key}` declares `{inner}` twice")))?;
                }
                (Some(_), _) => return Err(de::Error::custom(format!("`{key}` is declared twice"))),
            }
        }
        Ok(Merged(map.into()))
    }
}

/// `1.0` as `1`: poem-openapi keeps every bound as a float.
fn number(value: f64) -> Value {
    if value.fract() == 0.0
        && value.abs() < MAX_EXACT_WHOLE
        && let Ok(whole) = format!("{value:.0}").parse::<i64>()
    {
        return whole.into();
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn joins_methods_of_a_path_printed_twice() {
        let joined = parse(r#"{"/a":{"get":{"x":1}},"/b":{},"/a":{"post":{"x":2}}}"#).unwrap();
        assert_eq!(joined, json!({"/a": {"get": {"x": 1}, "post": {"x": 2}}, "/b": {}}));
    }

    #[test]
    fn refuses_a_true_duplicate() {
        let error = parse(r#"{"/a":{"get":{"x":1}},"/a":{"get":{"x":1}}}"#).unwrap_err();
        assert!(error.to_string().contains("`/a` declares `get` twice"), "{error}");
        let error = parse(r#"{"a":1,"a":{}}"#).unwrap_err();
        assert!(error.to_string().contains("`a` is declared twice"), "{error}");
    }

    #[test]
    fn writes_whole_numbers_as_integers() {
        let text = parse("[1.0, -0.0, 1.5, -3.0, 1e300, 18446744073709551615]")
            .unwrap()
            .to_string();
        assert_eq!(text, "[1,0,1.5,-3,1e+300,18446744073709551615]");
    }

    #[test]
    fn keeps_the_order_of_keys() {
        assert_eq!(
            parse(r#"{"z":1,"a":2,"m":null}"#).unwrap().to_string(),
            r#"{"z":1,"a":2,"m":null}"#
        );
    }
}
