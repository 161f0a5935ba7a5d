//! Entity tags: of one secret its version, of an environment its revision and what the caller may see of it.

use domain::kernel::{Problem, ProblemCode};

use super::problem::ApiError;

/// The tag of a version: `"3"`.
pub fn of_version(version: i64) -> String {
    format!("\"{version}\"")
}

/// The tag of what a caller sees of an environment. The digest of the scope is part of it: else "nothing changed" would
/// tell a caller about what it may not see, and a role that was given would not show.
pub fn of_environment(revision: i64, scope: &[u8; 32]) -> String {
    let (short, _) = scope.split_at(12);
    format!("\"{revision}-{}\"", hex::encode(short))
}

/// The version that `If-Match` names.
///
/// # Errors
/// `malformed_request` for anything but one quoted number.
pub fn version(if_match: &str) -> Result<i64, ApiError> {
    let number = if_match
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|text| text.parse().ok());
    let detail = "`If-Match` takes the version in quotes, such as \"3\".";
    number.ok_or_else(|| Problem::new(ProblemCode::MalformedRequest, detail).into())
}

/// Whether `If-None-Match` names the tag. Source: RFC 9110 §13.1.2, weak comparison.
pub fn matches(if_none_match: Option<&str>, tag: &str) -> bool {
    if_none_match.is_some_and(|header| {
        header
            .split(',')
            .map(|candidate| candidate.trim().trim_start_matches("W/"))
            .any(|candidate| candidate == "*" || candidate == tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        assert!(matches(Some("\"1\", W/\"3\""), "\"3\""));
        assert!(matches(Some("*"), "\"3\""));
        assert!(!matches(Some("3"), "\"3\""));
        assert!(!matches(None, "\"3\""));
    }

    #[test]
    fn revision_and_scope_are_part_of_the_tag() {
        let tag = of_environment(7, &[1; 32]);
        assert_eq!(tag, "\"7-010101010101010101010101\"");
        assert_ne!(tag, of_environment(8, &[1; 32]));
        assert_ne!(tag, of_environment(7, &[2; 32]));
    }

    #[test]
    fn if_match_is_one_quoted_number() {
        assert_eq!(version("\"12\"").ok(), Some(12));
        for bad in ["12", "\"\"", "\"x\"", "*", "W/\"12\"", "\"1\",\"2\""] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
