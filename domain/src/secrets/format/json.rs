//! A flat JSON object of strings.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Entries;
use super::error::{Fault, ReadError};
use super::out::Out;
use crate::kernel::Secret;

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    if !text.trim_start().starts_with('{') {
        return Err(ReadError::new(1, Fault::NotAMapping));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut fault = ReadError::new(1, Fault::Syntax);
    let flat = Flat {
        entries,
        fault: &mut fault,
    };
    let read = json.deserialize_map(flat).and_then(|()| json.end());
    read.map_err(|error| ReadError {
        line: error.line().max(1),
        ..fault
    })
}

pub(super) fn write(entries: &[(&str, &str)], out: &mut impl Out) {
    let mut before = "{\n  ";
    for (key, value) in entries {
        out.put(before);
        out.put_quoted(key);
        out.put(": ");
        out.put_quoted(value);
        before = ",\n  ";
    }
    out.put(if entries.is_empty() { "{}\n" } else { "\n}\n" });
}

/// Reads the object. What is wrong is left in `fault`, since an error of serde has no place for it.
struct Flat<'a> {
    entries: &'a mut Entries,
    fault: &'a mut ReadError,
}

impl<'de> Visitor<'de> for Flat<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { entries, fault } = self;
        // The lines named here stand in for the one that serde_json finds.
        let mut refuse = |found: ReadError| {
            *fault = found;
            A::Error::custom("refused")
        };
        while let Some(key) = map.next_key::<String>()? {
            entries.key(1, &key).map_err(&mut refuse)?;
            let raw: &RawValue = map.next_value()?;
            let value = value(raw.get()).map_err(|fault| refuse(ReadError::new(1, fault).of(&key)))?;
            entries.value(1, &key, value).map_err(&mut refuse)?;
        }
        Ok(())
    }
}

fn value(json: &str) -> Result<Secret<String>, Fault> {
    if !json.starts_with('"') {
        return Err(Fault::NotAString);
    }
    serde_json::from_str(json).map(Secret::new).map_err(|_| Fault::Syntax)
}
