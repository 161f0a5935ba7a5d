//! Files for `docker run --env-file`, by the rules of docker/cli `pkg/kvfile`: a line is a key, `=` and the value as it
//! stands; there is no quoting and no escaping. Space before the key is dropped; empty lines, and lines that begin with
//! `#`, are skipped; one CR before the line feed is dropped.

use super::Entries;
use super::error::{CannotHold, Fault, ReadError};
use super::out::Out;
use crate::kernel::Secret;

/// Longest line, bytes, its line feed not counted. Source: Go `bufio.MaxScanTokenSize`, less one.
const MAX_LINE: usize = 64 * 1024 - 1;

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    for (line, text) in (1..).zip(text.split('\n')) {
        let text = text.strip_suffix('\r').unwrap_or(text).trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        // Docker would take the value of a lone key from the environment it runs in; there is none here.
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| ReadError::new(line, Fault::NoValue))?;
        entries.key(line, key)?;
        entries.value(line, key, Secret::new(value.to_owned()))?;
    }
    Ok(())
}

pub(super) fn write(entries: &[(&str, &str)], out: &mut impl Out) -> Result<(), CannotHold> {
    for (key, value) in entries {
        if value.contains('\n') {
            return Err(CannotHold::new(key, "docker-env cannot hold a line feed"));
        }
        // Docker drops one CR before a line feed, so one is given to it.
        let end = if value.ends_with('\r') { "\r\n" } else { "\n" };
        if key.len() + "=".len() + value.len() + end.len() - "\n".len() > MAX_LINE {
            return Err(CannotHold::new(key, "docker-env cannot hold a line of 64 KiB or more"));
        }
        for part in [key, "=", value, end] {
            out.put(part);
        }
    }
    Ok(())
}
