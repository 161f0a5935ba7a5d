//! `.env` files. There is no one grammar. What is written is read the same by `dotenv` of npm, `python-dotenv` and
//! Docker Compose; what is read is the dialect that they share, and where they differ, what most of them do:
//!
//! - An escape in double quotes is undone, as Python and Compose do; npm undoes `\n` and `\r` only.
//! - In single quotes, `\'` is a quote and every other backslash is itself.
//! - `$` is text. What it might expand to is not in the file.

use zeroize::Zeroizing;

use super::Entries;
use super::error::{CannotHold, Fault, ReadError};
use super::out::Out;
use super::scan::Scan;
use crate::kernel::Secret;

pub(super) fn read(text: &str, entries: &mut Entries) -> Result<(), ReadError> {
    let text = unix_lines(text);
    let mut scan = Scan::new(&text);
    loop {
        scan.take_while(char::is_whitespace);
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

/// CRLF and CR become LF, inside of quotes too: all readers do so.
fn unix_lines(text: &str) -> Zeroizing<String> {
    let mut unix = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((line, tail)) = rest.split_once('\r') {
        unix.push_str(line);
        unix.push('\n');
        rest = tail.strip_prefix('\n').unwrap_or(tail);
    }
    unix.push_str(rest);
    unix
}

fn assignment(scan: &mut Scan<'_>, entries: &mut Entries) -> Result<(), ReadError> {
    let line = scan.line();
    let is_inner = |c: char| !c.is_whitespace() && c != '=';
    let mut key = scan.take_while(is_inner);
    if key == "export" && scan.blanks() {
        key = scan.take_while(is_inner);
    }
    scan.blanks();
    if !scan.eat('=') {
        return Err(ReadError::new(line, Fault::NoValue));
    }
    entries.key(line, key)?;
    let has_blanks = scan.blanks();
    let value = match scan.peek() {
        Some(quote @ ('\'' | '"' | '`')) => quoted(scan, quote),
        Some(_) | None => unquoted(scan.take_line(), has_blanks),
    };
    let value = value.map_err(|fault| ReadError::new(line, fault).of(key))?;
    entries.value(line, key, value)
}

/// Reads a value in quotes, and what is left of its line.
fn quoted(scan: &mut Scan<'_>, quote: char) -> Result<Secret<String>, Fault> {
    scan.eat(quote);
    let mut is_escaped = false;
    let is_end = |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        is_escaped = c == '\\' && quote != '`' && !was_escaped;
        c == quote && !was_escaped
    };
    let end = scan.rest().find(is_end).ok_or(Fault::Unterminated)?;
    let value = Secret::new(unescaped(scan.take(end), quote));
    scan.eat(quote);
    let after = scan.take_line().trim_start();
    if after.is_empty() || after.starts_with('#') {
        Ok(value)
    } else {
        Err(Fault::AfterValue)
    }
}

fn unescaped(inside: &str, quote: char) -> String {
    // Never longer than it was, so it does not grow and leave a copy behind.
    let mut value = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' || quote == '`' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some(escaped) => match meaning(escaped, quote) {
                Some(c) => value.push(c),
                None => value.extend([c, escaped]),
            },
            None => value.push(c),
        }
    }
    value
}

/// What a character after a backslash stands for, if not for itself and the backslash.
fn meaning(escaped: char, quote: char) -> Option<char> {
    match (quote, escaped) {
        ('\'', '\'') => Some('\''),
        ('"', '"' | '\\' | '$') => Some(escaped),
        ('"', 'n') => Some('\n'),
        ('"', 'r') => Some('\r'),
        ('"', 't') => Some('\t'),
        ('"', 'a') => Some('\u{7}'),
        ('"', 'b') => Some('\u{8}'),
        ('"', 'v') => Some('\u{b}'),
        ('"', 'f') => Some('\u{c}'),
        _ => None,
    }
}

/// Reads a value without quotes: the rest of the line, up to a comment. Some end it at any `#`, others only where space
/// is before that.
fn unquoted(line: &str, has_blanks: bool) -> Result<Secret<String>, Fault> {
    let value = match line.find('#').and_then(|at| line.split_at_checked(at)) {
        None => line,
        Some(("", _)) if has_blanks => "",
        Some((before, _)) if before.ends_with(char::is_whitespace) => before,
        Some(_) => return Err(Fault::Ambiguous),
    };
    Ok(Secret::new(value.trim_end().to_owned()))
}

pub(super) fn write(entries: &[(&str, &str)], out: &mut impl Out) -> Result<(), CannotHold> {
    for (key, value) in entries {
        if *key == "__proto__" {
            return Err(CannotHold::new(key, "dotenv cannot hold this key: npm dotenv loses it"));
        }
        let (quote, value) = spelled(value).map_err(|reason| CannotHold::new(key, reason))?;
        for part in [key, "=", quote, &value, quote, "\n"] {
            out.put(part);
        }
    }
    Ok(())
}

/// The quote to put around a value, and the value as it stands inside. All three readers must get the value back:
///
/// - In single quotes all is text, but npm has no `\'`, and Python makes one backslash of two.
/// - In double quotes npm undoes `\n` and `\r` only, and Compose expands every `$`.
/// - Without quotes backslashes are text, but space at the ends, `#`, `$` and line breaks are not.
/// - Python expands `${…}` everywhere.
fn spelled(value: &str) -> Result<(&'static str, Zeroizing<String>), &'static str> {
    if has_reference(value) {
        return Err("dotenv cannot hold `${…}`: python-dotenv would expand it");
    }
    if fits_single_quotes(value) {
        return Ok(("'", Zeroizing::new(value.to_owned())));
    }
    if !value.contains(['"', '\\', '$']) {
        return Ok(("\"", with_escaped_cr(value)));
    }
    if fits_no_quotes(value) {
        return Ok(("", Zeroizing::new(value.to_owned())));
    }
    Err(
        "dotenv cannot hold this mix of quotes, backslashes, `$`, `#`, spaces and line breaks: no quoting of it is read the same by all readers",
    )
}

fn fits_single_quotes(value: &str) -> bool {
    !value.contains(['\'', '\r']) && !value.contains(r"\\") && !value.ends_with('\\')
}

fn fits_no_quotes(value: &str) -> bool {
    let starts = !value.starts_with(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`'));
    let ends = !value.ends_with(char::is_whitespace);
    // JavaScript takes U+2028 and U+2029 for ends of lines, and U+FEFF for space.
    let is_syntax = |c: char| matches!(c, '#' | '$' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let is_text = |c: char| !is_syntax(c) && (c == '\t' || !c.is_control());
    starts && ends && value.chars().all(is_text)
}

fn with_escaped_cr(value: &str) -> Zeroizing<String> {
    let more = value.bytes().filter(|b| *b == b'\r').count();
    let mut escaped = Zeroizing::new(String::with_capacity(value.len() + more));
    let mut before = "";
    for line in value.split('\r') {
        escaped.push_str(before);
        escaped.push_str(line);
        before = "\\r";
    }
    escaped
}

/// Whether python-dotenv finds something to expand: `${`, a name without `:` and `}`, perhaps `:-` and a default, `}`.
fn has_reference(value: &str) -> bool {
    let mut rest = value;
    while let Some((_, name)) = rest.split_once("${") {
        rest = name.trim_start_matches(|c| c != ':' && c != '}');
        if rest.starts_with('}') {
            return true;
        }
        if rest.starts_with(":-") {
            return rest.contains('}');
        }
    }
    false
}
