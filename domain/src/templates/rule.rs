//! What a value under a key must be like, and holding values to it.

use regex::{Regex, RegexBuilder};
use sea_orm::FromQueryResult;

use super::fault::{Breach, Fault};
use super::scope::Scope;
use crate::kernel::{Error, Problem, Result};

/// Longest pattern, characters.
const MAX_PATTERN_LEN: usize = 200;
/// Largest pattern once compiled, bytes: it bounds what matching costs, which grows with it and with the value and with
/// nothing else. `\w`, which knows all of Unicode, takes about a fifth of it.
const MAX_PROGRAM_BYTES: usize = 256 * 1024;

/// What an environment must have under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub key: String,
    /// Whether it must be there, and not empty.
    pub required: bool,
    /// Where it holds.
    pub scope: Scope,
    /// A regular expression that is found somewhere in the value.
    pub pattern: Option<String>,
    /// The value is one of these; empty = any.
    pub allowed: Vec<String>,
    /// Characters, at least.
    pub min_length: Option<i64>,
    /// Characters, at most.
    pub max_length: Option<i64>,
}

/// The columns of a rule.
#[derive(FromQueryResult)]
pub(super) struct RuleRow {
    pub(super) key: String,
    pub(super) required: bool,
    pub(super) environments: String,
    pub(super) pattern: Option<String>,
    pub(super) allowed_values: String,
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
}

impl Rule {
    pub(super) fn read(row: RuleRow) -> Result<Self> {
        let RuleRow {
            key,
            required,
            environments,
            pattern,
            allowed_values,
            min_length,
            max_length,
        } = row;
        let broken = || Error::internal(format!("the template key {key} is stored wrongly"));
        Ok(Self {
            required,
            scope: Scope::from_json(&environments).ok_or_else(broken)?,
            pattern,
            allowed: serde_json::from_str(&allowed_values).map_err(|_| broken())?,
            min_length,
            max_length,
            key,
        })
    }

    /// Makes it ready for values: compiling a pattern costs more than matching it.
    ///
    /// # Errors
    /// [`Error::Internal`] for a pattern that was stored and does not compile.
    pub fn checker(&self) -> Result<Checker<'_>> {
        let pattern = self.pattern.as_deref().map(compiled).transpose();
        let broken = |_| Error::internal(format!("the pattern of the template key {} does not compile", self.key));
        Ok(Checker {
            rule: self,
            pattern: pattern.map_err(broken)?,
        })
    }
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_PROGRAM_BYTES)
        .build()
}

/// Whether a pattern is one: it matches in time that is linear in the value, so it has no look-around and no
/// back-references.
///
/// # Errors
/// `invalid_field` naming `pattern`.
pub(super) fn check_pattern(pattern: &str) -> Result<()> {
    let wrong = |reason: &'static str, message: &'static str| Err(Problem::field("pattern", reason, message).into());
    if pattern.chars().count() > MAX_PATTERN_LEN {
        return wrong("too_long", "must have at most 200 characters");
    }
    match compiled(pattern) {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => wrong(
            "too_big",
            "takes too much once compiled; repeat less, and write `[A-Za-z0-9_]` instead of `\\w`",
        ),
        Err(_) => wrong(
            "format",
            "must be a regular expression as Rust's `regex` reads it, without look-around and back-references",
        ),
    }
}

/// A rule that is ready for values.
pub struct Checker<'a> {
    rule: &'a Rule,
    pattern: Option<Regex>,
}

impl Checker<'_> {
    /// Everything that is wrong with a value. An empty value of a required key is that and nothing else.
    pub fn faults(&self, value: &str) -> Vec<Fault> {
        let rule = self.rule;
        if rule.required && value.is_empty() {
            return vec![Fault::Empty];
        }
        let length = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
        let is_listed = rule.allowed.is_empty() || rule.allowed.iter().any(|allowed| allowed == value);
        let matches = self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(value));
        let breaches = [
            (Breach::Enum, !is_listed),
            (Breach::Pattern, !matches),
            (Breach::TooShort, rule.min_length.is_some_and(|least| length < least)),
            (Breach::TooLong, rule.max_length.is_some_and(|most| length > most)),
        ];
        let broken = breaches.into_iter().filter(|(_, is_broken)| *is_broken);
        broken.map(|(breach, _)| Fault::Invalid(breach)).collect()
    }

    /// Whether holding a value to it may take a while.
    pub(super) fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A rule that wants nothing yet.
    pub fn rule(key: &str) -> Rule {
        Rule {
            key: key.to_owned(),
            required: false,
            scope: Scope::default(),
            pattern: None,
            allowed: Vec::new(),
            min_length: None,
            max_length: None,
        }
    }

    fn faults(rule: &Rule, value: &str) -> Vec<&'static str> {
        let found = rule.checker().unwrap().faults(value);
        found.into_iter().map(Fault::as_str).collect()
    }

    #[test]
    fn a_value_is_held_to_every_part_of_the_rule() {
        let port = Rule {
            pattern: Some("^[0-9]+$".to_owned()),
            allowed: vec!["80".to_owned(), "https".to_owned()],
            min_length: Some(2),
            max_length: Some(3),
            ..rule("PORT")
        };
        let cases: [(&str, &[&str]); 5] = [
            ("80", &[]),
            ("https", &["pattern", "too_long"]),
            ("8", &["enum", "too_short"]),
            ("80\n", &["enum", "pattern"]),
            ("", &["enum", "pattern", "too_short"]),
        ];
        for (value, expected) in cases {
            assert_eq!(faults(&port, value), expected, "{value:?}");
        }
    }

    #[test]
    fn an_empty_value_of_a_required_key_is_empty_and_nothing_else() {
        let strict = Rule {
            required: true,
            pattern: Some("x".to_owned()),
            min_length: Some(1),
            ..rule("A")
        };
        assert_eq!(faults(&strict, ""), ["empty"]);
        assert_eq!(faults(&rule("A"), ""), [] as [&str; 0]);
    }

    #[test]
    fn lengths_count_characters_and_patterns_are_found_anywhere() {
        let two = Rule {
            min_length: Some(2),
            max_length: Some(2),
            ..rule("A")
        };
        assert_eq!(faults(&two, "é🦀"), [] as [&str; 0]);
        let middle = Rule {
            pattern: Some("b+".to_owned()),
            ..rule("A")
        };
        assert_eq!(faults(&middle, "abbc"), [] as [&str; 0]);
    }

    #[test]
    fn a_pattern_is_bounded_in_what_it_says_and_in_what_it_costs() {
        for good in ["", "^postgres://", r"^\w+$", "(a+)+$", &"x".repeat(200)] {
            assert!(check_pattern(good).is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("(", "format"),
            ("(?=a)", "format"),
            (r"(a)\1", "format"),
            (r"\w{100}", "too_big"),
            ("(?:(?:(?:a{100}){100}){100}){100}", "too_big"),
            (&"x".repeat(201), "too_long"),
        ] {
            let problem = check_pattern(bad).unwrap_err().into_problem();
            assert_eq!(problem.errors[0].reason, reason, "{bad}");
        }
    }
}
