//! A flat YAML mapping of strings.

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::Entries;
use super::error::{Fault, ReadError};
use super::out::Out;
use crate::kernel::Secret;

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    let mut nodes = Nodes::new(text);
    if nodes.begin()? {
        nodes.pairs(|_, line, key, value| {
            entries.key(line, key)?;
            entries.value(line, key, value.string(key)?)
        })?;
        nodes.end()?;
    }
    Ok(())
}

pub(super) fn write(entries: &[(&str, &str)], out: &mut impl Out) {
    for (key, value) in entries {
        put_key(key, out);
        out.put(" ");
        out.put_quoted(value);
        out.put("\n");
    }
    if entries.is_empty() {
        out.put("{}\n");
    }
}

/// Puts a key and its colon. Keys such as `NO` are quoted, because YAML 1.1 reads a boolean.
pub(super) fn put_key(key: &str, out: &mut impl Out) {
    if is_typed(key) {
        out.put_quoted(key);
    } else {
        out.put(key);
    }
    out.put(":");
}

/// The value of a pair.
pub(super) struct Node<'a> {
    line: usize,
    event: Event<'a>,
}

impl Node<'_> {
    /// The string, of the value of `key`.
    pub(super) fn string(self, key: &str) -> Result<Secret<String>, ReadError> {
        let Self { line, event } = self;
        let fault = match event {
            Event::Scalar(text, style, _, tag) => match kind(&text, style, tag.as_deref()) {
                Kind::String => return Ok(Secret::new(text.into_owned())),
                Kind::Typed => Fault::NotAString,
                Kind::Tagged => Fault::Alias,
            },
            Event::Alias(_) => Fault::Alias,
            _ => Fault::NotAString,
        };
        Err(ReadError::new(line, fault).of(key))
    }

    /// Whether it is a mapping, whose pairs come next.
    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.event, Event::MappingStart(..))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.event, Event::Scalar(text, ScalarStyle::Plain, _, None) if is_null(text))
    }
}

/// Reads a document of one mapping, node by node.
pub(super) struct Nodes<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Nodes<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(Parser::new_from_str(text))
    }

    fn next(&mut self) -> Result<Node<'a>, ReadError> {
        match self.0.next_event() {
            Some(Ok((event, span))) => {
                let line = span.start.line();
                Ok(Node { line, event })
            }
            Some(Err(error)) => Err(ReadError::new(error.marker().line(), Fault::Syntax)),
            None => Err(ReadError::new(1, Fault::Syntax)),
        }
    }

    /// Goes to the first pair of the mapping; `false` when there is nothing in the text.
    pub(super) fn begin(&mut self) -> Result<bool, ReadError> {
        loop {
            let node = self.next()?;
            match node.event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::MappingStart(..) => return Ok(true),
                Event::StreamEnd => return Ok(false),
                _ if node.is_null() => {
                    self.end()?;
                    return Ok(false);
                }
                _ => return Err(ReadError::new(node.line, Fault::NotAMapping)),
            }
        }
    }

    /// Reads the pairs up to the end of the mapping, and gives `each` the line of a key, the key and its value.
    pub(super) fn pairs(
        &mut self,
        mut each: impl FnMut(&mut Self, usize, &str, Node<'a>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        loop {
            let node = self.next()?;
            let key = match node.event {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(key, _, _, None) => key,
                Event::Alias(_) => return Err(ReadError::new(node.line, Fault::Alias)),
                _ => return Err(ReadError::new(node.line, Fault::Key)),
            };
            let value = self.next()?;
            each(self, node.line, &key, value)?;
        }
    }

    /// Skips what belongs to a value.
    pub(super) fn skip(&mut self, value: &Node<'_>) -> Result<(), ReadError> {
        let mut depth = depth(&value.event);
        while depth > 0 {
            depth += self::depth(&self.next()?.event);
        }
        Ok(())
    }

    /// Makes sure that nothing follows the mapping.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        loop {
            let node = self.next()?;
            match node.event {
                Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(()),
                _ => return Err(ReadError::new(node.line, Fault::SeveralDocuments)),
            }
        }
    }
}

fn depth(event: &Event<'_>) -> isize {
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..) => 1,
        Event::MappingEnd | Event::SequenceEnd => -1,
        _ => 0,
    }
}

/// What a scalar is to YAML 1.1 or 1.2.
enum Kind {
    String,
    /// A number, a boolean, null or a date, to one of them.
    Typed,
    /// Its tag says that it is something else.
    Tagged,
}

fn kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    match tag {
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Kind::String,
        Some(_) => Kind::Tagged,
        None if style == ScalarStyle::Plain && is_typed(text) => Kind::Typed,
        None => Kind::String,
    }
}

/// Whether a plain scalar is more than a string, to YAML 1.1 or 1.2.
fn is_typed(text: &str) -> bool {
    is_null(text) || is_bool(text) || is_number(text) || is_date(text) || matches!(text, "=" | "<<")
}

fn is_null(text: &str) -> bool {
    text.is_empty() || text == "~" || text.eq_ignore_ascii_case("null")
}

fn is_bool(text: &str) -> bool {
    const BOOLS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    BOOLS.iter().any(|known| known.eq_ignore_ascii_case(text))
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = [".inf", ".nan"].iter().any(|name| name.eq_ignore_ascii_case(unsigned));
    let based = [("0x", 16), ("0o", 8), ("0b", 2)].iter().any(|(prefix, base)| {
        let digits = unsigned.strip_prefix(prefix).unwrap_or_default();
        // No digit is needed: PyYAML takes `0x_` for a number.
        !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(*base))
    });
    let decimal = is_decimal(unsigned) || is_sexagesimal(unsigned);
    named || based || (decimal && !unsigned.starts_with('_'))
}

/// `1`, `1_000`, `1.5`, `.5`, `1.`, `1e-5`.
fn is_decimal(unsigned: &str) -> bool {
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits: Cow<'_, str> = match mantissa.split_once('.') {
        Some((whole, part)) => format!("{whole}{part}").into(),
        None => mantissa.into(),
    };
    has_digits(&digits) && has_digits(exponent)
}

/// `190:20:30`, a number of YAML 1.1.
fn is_sexagesimal(unsigned: &str) -> bool {
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let part_fits = part.is_empty() || has_digits(part);
    whole.contains(':') && part_fits && whole.split(':').all(has_digits)
}

/// `2026-01-31`, alone or with a time after it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let fits = |part: &str, max: usize| part.len() <= max && has_digits(part);
    let year = parts.next().is_some_and(|part| part.len() == 4 && fits(part, 4));
    let month = parts.next().is_some_and(|part| fits(part, 2));
    let day = parts
        .next()
        .map(|part| part.split(['T', 't', ' ', '\t']).next().unwrap_or_default());
    year && month && day.is_some_and(|part| fits(part, 2))
}

/// Digits and underscores, and at least one digit.
fn has_digits(text: &str) -> bool {
    text.chars().all(|c| c == '_' || c.is_ascii_digit()) && text.chars().any(|c| c != '_')
}
