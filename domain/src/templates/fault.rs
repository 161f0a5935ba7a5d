//! What a template can find wrong. None of it quotes a value.

use crate::kernel::problem::FieldProblem;
use crate::kernel::{Problem, ProblemCode};

/// A rule that a value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// It is none of the values that are allowed.
    Enum,
    Pattern,
    TooShort,
    TooLong,
}

impl Breach {
    /// Machine-readable: `too_short`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enum => "enum",
            Self::Pattern => "pattern",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
        }
    }

    /// For people: what the value must be.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Enum => "must be one of the values that the template lists",
            Self::Pattern => "must match the pattern of the template",
            Self::TooShort => "has fewer characters than the template wants",
            Self::TooLong => "has more characters than the template allows",
        }
    }
}

/// What is wrong with a key of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is required, and not there.
    Missing,
    /// It is required, and its value is empty.
    Empty,
    Invalid(Breach),
}

impl Fault {
    /// Machine-readable: `missing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::Invalid(breach) => breach.as_str(),
        }
    }

    /// Why a planned change is blocked: `template: missing`.
    pub const fn blocks(self) -> &'static str {
        match self {
            Self::Missing => "template: missing",
            Self::Empty => "template: empty",
            Self::Invalid(Breach::Enum) => "template: enum",
            Self::Invalid(Breach::Pattern) => "template: pattern",
            Self::Invalid(Breach::TooShort) => "template: too_short",
            Self::Invalid(Breach::TooLong) => "template: too_long",
        }
    }

    /// For people: what must be.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "is required, and would not be there",
            Self::Empty => "is required, and must not be empty",
            Self::Invalid(breach) => breach.message(),
        }
    }
}

/// Why a change of a protected environment is refused: each key with what is wrong.
pub fn violation(faults: impl Iterator<Item = (String, Fault)>) -> Problem {
    let error = |(key, fault): (String, Fault)| FieldProblem {
        field: key.into(),
        reason: fault.as_str().into(),
        message: fault.message().into(),
    };
    let detail =
        "The environment is protected, and the project's template does not allow this; `errors` names the keys.";
    Problem {
        errors: faults.map(error).collect(),
        ..Problem::new(ProblemCode::TemplateViolation, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_is_the_fault_under_the_name_of_the_template() {
        let breaches = [Breach::Enum, Breach::Pattern, Breach::TooShort, Breach::TooLong].map(Fault::Invalid);
        for fault in [Fault::Missing, Fault::Empty].into_iter().chain(breaches) {
            assert_eq!(fault.blocks(), format!("template: {}", fault.as_str()));
        }
    }
}
