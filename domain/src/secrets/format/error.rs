//! What can be wrong with a text, and what a format cannot hold.

use std::fmt;

/// What is wrong with a text. None of it quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    Syntax,
    Key,
    Duplicate,
    NoValue,
    Unterminated,
    AfterValue,
    Ambiguous,
    Expansion,
    NotAString,
    NotAMapping,
    SeveralDocuments,
    Alias,
    NotASecret,
    NotBase64,
    NotUtf8,
    Nul,
    TooLong,
}

impl Fault {
    /// Machine-readable: `duplicate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Key => "invalid_key",
            Self::Duplicate => "duplicate",
            Self::NoValue => "no_value",
            Self::Unterminated => "unterminated",
            Self::AfterValue => "after_value",
            Self::Ambiguous => "ambiguous",
            Self::Expansion => "expansion",
            Self::NotAString => "not_a_string",
            Self::NotAMapping => "not_a_mapping",
            Self::SeveralDocuments => "several_documents",
            Self::Alias => "alias",
            Self::NotASecret => "not_a_secret",
            Self::NotBase64 => "not_base64",
            Self::NotUtf8 => "not_utf8",
            Self::Nul => "nul",
            Self::TooLong => "too_long",
        }
    }

    /// For people: what it must be.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Syntax => "this is not in the format",
            Self::Key => {
                "a key must be 1 to 255 of A-Z, a-z, 0-9, `_`, `.` and `-`, begin with a letter or `_`, and be one that the format can hold"
            }
            Self::Duplicate => "the key is there twice; keep one",
            Self::NoValue => "a key must be followed by `=` and a value",
            Self::Unterminated => "the closing quote is missing",
            Self::AfterValue => "nothing but a comment may follow the value on its line; quote the value if it goes on",
            Self::Ambiguous => "a `#` in a value without quotes is read in different ways; quote the value",
            Self::Expansion => "the shell would expand or interpret this; put the value in single quotes",
            Self::NotAString => "the value must be a string; put it in quotes",
            Self::NotAMapping => "the text must be one flat mapping of keys to strings",
            Self::SeveralDocuments => "the text must be one document",
            Self::Alias => "aliases and tags are not supported; write the value out",
            Self::NotASecret => "the text must be one manifest of `apiVersion: v1` and `kind: Secret`",
            Self::NotBase64 => "a value under `data` must be base64",
            Self::NotUtf8 => "the value must be UTF-8 text",
            Self::Nul => "the value must not contain U+0000",
            Self::TooLong => "the value must have at most 65536 bytes",
        }
    }
}

/// Where and why a text cannot be read. It can be shown and logged: it never quotes what was read, except a key that
/// is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// Counted from 1.
    pub line: usize,
    /// The key that it is about, where that is known and well-formed.
    pub key: Option<String>,
    pub fault: Fault,
}

impl ReadError {
    pub(super) fn new(line: usize, fault: Fault) -> Self {
        Self { line, key: None, fault }
    }

    /// `key` is a well-formed key.
    pub(super) fn of(self, key: &str) -> Self {
        let key = Some(key.to_owned());
        Self { key, ..self }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, fault } = self;
        write!(f, "line {line}")?;
        if let Some(key) = key {
            write!(f, ", key {key}")?;
        }
        write!(f, ": {}", fault.message())
    }
}

impl std::error::Error for ReadError {}

/// An entry that a format cannot hold exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotHold {
    pub key: String,
    /// For people: what cannot be held. Never quotes the value.
    pub reason: &'static str,
}

impl CannotHold {
    pub(super) fn new(key: &str, reason: &'static str) -> Self {
        let key = key.to_owned();
        Self { key, reason }
    }
}
