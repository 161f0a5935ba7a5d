//! What a key and a value may look like.

use crate::kernel::{Problem, Result};

/// Longest key, characters. Source: design of the API, limits.
pub const MAX_KEY_LEN: usize = 255;
/// Largest value, bytes, before sealing. Source: design of the API, limits.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Largest comment, bytes, before sealing. Source: design of the API, limits.
pub const MAX_COMMENT_BYTES: usize = 1024;

/// A key: `[A-Za-z_][A-Za-z0-9_.-]{0,254}`.
pub fn is_key(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let inner = |b: u8| first(b) || b.is_ascii_digit() || b == b'.' || b == b'-';
    text.len() <= MAX_KEY_LEN && text.bytes().next().is_some_and(first) && text.bytes().all(inner)
}

/// # Errors
/// `invalid_field` naming `key`.
pub fn check_key(text: &str) -> Result<()> {
    if is_key(text) {
        return Ok(());
    }
    Err(Problem::field(
        "key",
        "format",
        "must be 1 to 255 of A-Z, a-z, 0-9, `_`, `.` and `-`, and begin with a letter or `_`",
    )
    .into())
}

/// The same for one of many keys. A key that is none is named by its place: it may be a secret in the wrong field.
///
/// # Errors
/// `invalid_field` naming `field[index]`.
pub fn check_key_named(field: &'static str, index: usize, text: &str) -> Result<()> {
    if is_key(text) {
        return Ok(());
    }
    let message = "a key must be 1 to 255 of A-Z, a-z, 0-9, `_`, `.` and `-`, and begin with a letter or `_`";
    Err(Problem::field(format!("{field}[{index}]"), "format", message).into())
}

/// # Errors
/// `invalid_field` naming `value` or `comment`; never quotes them.
pub fn check_texts(value: &str, comment: &str) -> Result<()> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Problem::field("value", "too_long", "must have at most 65536 bytes").into());
    }
    if comment.len() > MAX_COMMENT_BYTES {
        return Err(Problem::field("comment", "too_long", "must have at most 1024 bytes").into());
    }
    for (field, text) in [("value", value), ("comment", comment)] {
        if text.contains('\0') {
            return Err(Problem::field(field, "format", "must not contain U+0000").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_environment_variable_names_and_a_little_more() {
        for good in ["A", "_", "DB_URL", "a.b-c", &"K".repeat(255)] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "1A", "-A", ".A", "A B", "A=B", "Ä", "A\n", "A/B", &"K".repeat(256)] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
