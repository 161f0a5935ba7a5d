//! A Kubernetes Secret manifest of type `Opaque`. Written with base64 under `data`; `stringData` is read too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Entries;
use super::error::{CannotHold, Fault, ReadError};
use super::out::Out;
use super::yaml::{Node, Nodes, put_key};
use crate::kernel::Secret;

/// Longest key, and longest name. Source: Kubernetes, `validation.DNS1123SubdomainMaxLength`.
const MAX_NAME: usize = 253;
/// Most bytes of values. Source: Kubernetes, `core.MaxSecretSize`.
const MAX_BYTES: usize = 1024 * 1024;

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    let mut manifest = Manifest {
        entries,
        seen: Vec::new(),
        is_v1: false,
        is_secret: false,
    };
    let mut nodes = Nodes::new(text);
    if !nodes.begin()? {
        return Err(ReadError::new(1, Fault::NotASecret));
    }
    nodes.pairs(|nodes, line, field, value| manifest.field(nodes, line, field, value))?;
    nodes.end()?;
    if manifest.is_v1 && manifest.is_secret {
        Ok(())
    } else {
        Err(ReadError::new(1, Fault::NotASecret))
    }
}

pub(super) fn write(entries: &[(&str, &str)], name: &str, out: &mut impl Out) -> Result<(), CannotHold> {
    out.put("apiVersion: v1\nkind: Secret\nmetadata:\n  name: ");
    out.put_quoted(&resource_name(name));
    out.put("\ntype: Opaque\ndata:");
    out.put(if entries.is_empty() { " {}\n" } else { "\n" });
    let mut bytes = 0;
    for (key, value) in entries {
        if key.len() > MAX_NAME {
            return Err(CannotHold::new(
                key,
                "k8s-secret cannot hold a key of more than 253 characters",
            ));
        }
        bytes += value.len();
        if bytes > MAX_BYTES {
            return Err(CannotHold::new(
                key,
                "k8s-secret cannot hold more than 1 MiB of values; it is full at this key",
            ));
        }
        out.put("  ");
        put_key(key, out);
        out.put(" \"");
        out.put(&Zeroizing::new(STANDARD.encode(value)));
        out.put("\"\n");
    }
    Ok(())
}

/// A name that Kubernetes takes: lower-case letters, digits, `-` and `.`, a letter or digit at either end.
fn resource_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let lower = name.chars().map(|c| c.to_ascii_lowercase());
    let name: String = lower.map(|c| if fits(c) { c } else { '-' }).take(MAX_NAME).collect();
    // Labels between dots must not begin or end with `-` either.
    let labels = name.split('.').map(|label| label.trim_matches('-'));
    let name = labels.filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".");
    if name.is_empty() { "secrets".to_owned() } else { name }
}

/// A manifest while it is read.
struct Manifest<'a> {
    entries: &'a mut Entries,
    /// Fields of the top level that were there.
    seen: Vec<String>,
    is_v1: bool,
    is_secret: bool,
}

impl Manifest<'_> {
    fn field<'a>(&mut self, nodes: &mut Nodes<'a>, line: usize, field: &str, value: Node<'a>) -> Result<(), ReadError> {
        if self.seen.iter().any(|seen| seen == field) {
            return Err(ReadError::new(line, Fault::Duplicate));
        }
        self.seen.push(field.to_owned());
        match field {
            "apiVersion" => self.is_v1 = value.string(field)?.expose() == "v1",
            "kind" => self.is_secret = value.string(field)?.expose() == "Secret",
            "data" => self.values(nodes, line, &value, |text| decoded(&text))?,
            "stringData" => self.values(nodes, line, &value, Ok)?,
            _ => nodes.skip(&value)?,
        }
        Ok(())
    }

    fn values(
        &mut self,
        nodes: &mut Nodes<'_>,
        line: usize,
        values: &Node<'_>,
        text_of: fn(Secret<String>) -> Result<Secret<String>, Fault>,
    ) -> Result<(), ReadError> {
        if values.is_null() {
            return Ok(());
        }
        if !values.is_mapping() {
            return Err(ReadError::new(line, Fault::NotAMapping));
        }
        nodes.pairs(|_, line, key, value| {
            self.entries.key(line, key)?;
            let text = text_of(value.string(key)?).map_err(|fault| ReadError::new(line, fault).of(key))?;
            self.entries.value(line, key, text)
        })
    }
}

/// Line breaks inside base64 are skipped, as Kubernetes does.
fn decoded(base64: &Secret<String>) -> Result<Secret<String>, Fault> {
    let mut compact = Zeroizing::new(String::with_capacity(base64.expose().len()));
    compact.extend(base64.expose().chars().filter(|c| !matches!(c, '\r' | '\n')));
    let bytes = STANDARD.decode(compact.as_bytes()).map_err(|_| Fault::NotBase64)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Fault::NotUtf8)
        }
    }
}
