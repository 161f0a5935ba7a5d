//! Sets of secrets as text. Reading never guesses: what two readers of a format take differently is refused. Writing
//! is exact: a value that the format's own readers would not get back byte for byte is refused, and nothing is written.

mod docker_env;
mod dotenv;
mod error;
mod json;
mod k8s_secret;
mod out;
mod scan;
mod shell;
mod yaml;

#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use self::error::{CannotHold, Fault, ReadError};
use self::out::{Length, Out};
use super::key::{MAX_KEY_LEN, MAX_VALUE_BYTES, is_key};
use crate::kernel::Secret;

/// A text format that holds a set of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// What `dotenv` of npm, `python-dotenv` and Docker Compose all read the same.
    Dotenv,
    /// A flat object of strings.
    Json,
    /// A flat mapping of strings.
    Yaml,
    /// `export` lines for a POSIX shell.
    Shell,
    /// A file for `docker run --env-file`.
    DockerEnv,
    /// A Kubernetes Secret manifest.
    K8sSecret,
}

impl Format {
    pub const ALL: &'static [Self] = &[
        Self::Dotenv,
        Self::Json,
        Self::Yaml,
        Self::Shell,
        Self::DockerEnv,
        Self::K8sSecret,
    ];

    /// The name as published: `docker-env`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dotenv => "dotenv",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Shell => "shell",
            Self::DockerEnv => "docker-env",
            Self::K8sSecret => "k8s-secret",
        }
    }

    /// The format of that published name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == text)
    }

    /// The media type of a text in the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Dotenv | Self::Shell | Self::DockerEnv => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Yaml | Self::K8sSecret => "application/yaml",
        }
    }

    /// What a file in the format is usually called.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Dotenv => ".env",
            Self::Json => "secrets.json",
            Self::Yaml => "secrets.yaml",
            Self::Shell => "secrets.sh",
            Self::DockerEnv => "docker.env",
            Self::K8sSecret => "secret.yaml",
        }
    }
}

/// A key and its value, as read.
pub struct Entry {
    pub key: String,
    pub value: Secret<String>,
}

/// Reads a set of secrets, in the order of the text.
///
/// # Errors
/// Where the text is not in the format, names a key twice, or holds what is no key or no value. Never quotes a value.
pub fn read(format: Format, text: &str) -> Result<Vec<Entry>, ReadError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Entries::default();
    match format {
        Format::Dotenv => dotenv::read(text, &mut entries),
        Format::Json => json::read(text, &mut entries),
        Format::Yaml => yaml::read(text, &mut entries),
        Format::Shell => shell::read(text, &mut entries),
        Format::DockerEnv => docker_env::read(text, &mut entries),
        Format::K8sSecret => k8s_secret::read(text, &mut entries),
    }?;
    Ok(entries.list)
}

/// Writes a set of secrets, in the order given. `name` is what a Kubernetes Secret is called; other formats have no
/// place for it. The text is made in one allocation, so wiping it leaves no copy behind.
///
/// # Errors
/// The first entry that the format cannot hold exactly.
pub fn write<'a>(
    format: Format,
    entries: impl Iterator<Item = (&'a str, &'a str)>,
    name: &str,
) -> Result<String, CannotHold> {
    let entries: Vec<_> = entries.collect();
    // The first pass checks everything and measures; so the second neither fails nor grows.
    let mut length = Length::default();
    put(format, &entries, name, &mut length)?;
    let mut text = String::with_capacity(length.bytes());
    put(format, &entries, name, &mut text)?;
    Ok(text)
}

fn put(format: Format, entries: &[(&str, &str)], name: &str, out: &mut impl Out) -> Result<(), CannotHold> {
    for (key, value) in entries {
        if !is_key(key) {
            let shown: String = key.escape_debug().take(MAX_KEY_LEN).collect();
            return Err(CannotHold::new(
                &shown,
                "no format can hold this key: it is not a valid one",
            ));
        }
        if value.contains('\0') {
            return Err(CannotHold::new(key, "no format can hold U+0000"));
        }
    }
    match format {
        Format::Dotenv => dotenv::write(entries, out),
        Format::Json => {
            json::write(entries, out);
            Ok(())
        }
        Format::Yaml => {
            yaml::write(entries, out);
            Ok(())
        }
        Format::Shell => shell::write(entries, out),
        Format::DockerEnv => docker_env::write(entries, out),
        Format::K8sSecret => k8s_secret::write(entries, name, out),
    }
}

/// What has been read so far.
#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    seen: HashSet<String>,
}

impl Entries {
    /// Takes note of a key, before its value is read.
    fn key(&mut self, line: usize, key: &str) -> Result<(), ReadError> {
        if !is_key(key) {
            return Err(ReadError::new(line, Fault::Key));
        }
        if !self.seen.insert(key.to_owned()) {
            return Err(ReadError::new(line, Fault::Duplicate).of(key));
        }
        Ok(())
    }

    /// Adds the value of a key that [`Self::key`] took.
    fn value(&mut self, line: usize, key: &str, value: Secret<String>) -> Result<(), ReadError> {
        let fault = |fault| Err(ReadError::new(line, fault).of(key));
        if value.expose().contains('\0') {
            return fault(Fault::Nul);
        }
        if value.expose().len() > MAX_VALUE_BYTES {
            return fault(Fault::TooLong);
        }
        let key = key.to_owned();
        self.list.push(Entry { key, value });
        Ok(())
    }
}
