//! Lines of `export KEY='value'` for a POSIX shell to read with `.`. What is read is assignments of literal text: a
//! shell would run anything else, and this does not.

use super::Entries;
use super::error::{CannotHold, Fault, ReadError};
use super::out::Out;
use super::scan::Scan;
use crate::kernel::Secret;

/// Variables that dash or bash keep for themselves: an assignment is ignored, refused, or computed, which could run a
/// command found in the value.
const KEPT_BY_SHELLS: [&str; 27] = [
    "_",
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
];

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    let mut scan = Scan::new(text);
    loop {
        scan.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
        if scan.peek().is_none() {
            return Ok(());
        }
        if scan.peek() == Some('#') {
            scan.take_line();
            continue;
        }
        assignment(&mut scan, entries)?;
    }
}

fn assignment(scan: &mut Scan<'_>, entries: &mut Entries) -> Result<(), ReadError> {
    let line = scan.line();
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut key = scan.take_while(is_inner);
    if key == "export" && scan.blanks() {
        key = scan.take_while(is_inner);
    }
    if !is_name(key) {
        return Err(ReadError::new(line, Fault::Key));
    }
    if !scan.eat('=') {
        return Err(ReadError::new(line, Fault::NoValue));
    }
    entries.key(line, key)?;
    let value = word(scan).map_err(|fault| ReadError::new(scan.line(), fault).of(key))?;
    let has_blanks = scan.blanks();
    if has_blanks && scan.peek() == Some('#') {
        scan.take_line();
    }
    if !at_line_end(scan) {
        return Err(ReadError::new(scan.line(), Fault::AfterValue).of(key));
    }
    entries.value(line, key, value)
}

fn at_line_end(scan: &Scan<'_>) -> bool {
    let rest = scan.rest();
    rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n")
}

/// Reads pieces in quotes and without, up to the end of the word.
fn word(scan: &mut Scan<'_>) -> Result<Secret<String>, Fault> {
    let mut pieces = Vec::new();
    loop {
        if scan.eat('\'') {
            let end = scan.rest().find('\'').ok_or(Fault::Unterminated)?;
            pieces.push(scan.take(end));
            scan.eat('\'');
        } else if scan.eat('"') {
            in_double_quotes(scan, &mut pieces)?;
        } else if scan.eat('\\') {
            let bytes = scan.peek().ok_or(Fault::Unterminated)?.len_utf8();
            let escaped = scan.take(bytes);
            if escaped != "\n" {
                pieces.push(escaped);
            }
        } else {
            let plain = scan.take_while(is_plain);
            if plain.is_empty() {
                break;
            }
            pieces.push(plain);
        }
    }
    let ends = at_line_end(scan) || scan.peek().is_some_and(|c| matches!(c, ' ' | '\t'));
    if ends {
        // One allocation, so that nothing is left behind.
        Ok(Secret::new(pieces.concat()))
    } else {
        Err(Fault::Expansion)
    }
}

fn in_double_quotes<'a>(scan: &mut Scan<'a>, pieces: &mut Vec<&'a str>) -> Result<(), Fault> {
    loop {
        pieces.push(scan.take_while(|c| !matches!(c, '"' | '\\' | '$' | '`')));
        if scan.eat('"') {
            return Ok(());
        }
        let backslash = match scan.peek().ok_or(Fault::Unterminated)? {
            '\\' => scan.take(1),
            _ => return Err(Fault::Expansion),
        };
        match scan.peek().ok_or(Fault::Unterminated)? {
            '\n' => drop(scan.take(1)),
            '"' | '\\' | '$' | '`' => pieces.push(scan.take(1)),
            _ => pieces.push(backslash),
        }
    }
}

/// A character that stands for itself without quotes, in every shell and place.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_@%+=:,./-#".contains(c) || (!c.is_ascii() && !c.is_whitespace())
}

pub(super) fn write(entries: &[(&str, &str)], out: &mut impl Out) -> Result<(), CannotHold> {
    for (key, value) in entries {
        if !is_name(key) {
            return Err(CannotHold::new(key, "shell cannot hold a key with `.` or `-`"));
        }
        if KEPT_BY_SHELLS.contains(key) {
            return Err(CannotHold::new(
                key,
                "shell cannot hold this key: shells keep the variable for themselves",
            ));
        }
        for part in ["export ", key, "='"] {
            out.put(part);
        }
        let mut before = "";
        for piece in value.split('\'') {
            out.put(before);
            out.put(piece);
            before = r"'\''";
        }
        out.put("'\n");
    }
    Ok(())
}

/// The name of a shell variable.
fn is_name(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    key.bytes().next().is_some_and(|b| !b.is_ascii_digit()) && key.bytes().all(inner)
}
