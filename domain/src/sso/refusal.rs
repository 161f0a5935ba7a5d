//! What somebody is told who is not let in. The log tells the operator more.

use crate::foreign::Failure;
use crate::kernel::{Problem, ProblemCode};

/// Nobody has set it up, or it is switched off.
pub fn not_configured() -> Problem {
    Problem::new(
        ProblemCode::Unavailable,
        "Single sign-on is not set up here. Sign in in another way.",
    )
}

/// The way back does not belong to a way there: begun elsewhere, too long ago, or used before.
pub fn lost() -> Problem {
    Problem::forbidden("This sign-in was begun elsewhere, took too long or is over. Begin anew.")
}

/// The provider did not let the person in.
pub fn denied() -> Problem {
    Problem::forbidden("The identity provider did not sign you in.").with("reason", "provider_denied")
}

/// The provider does not answer, or not as it must.
pub fn unreachable() -> Problem {
    Problem::new(
        ProblemCode::Unavailable,
        "The identity provider does not answer. Try again, or sign in in another way.",
    )
}

/// What the provider says is not taken, or it says nothing.
pub fn of(failure: &Failure) -> Problem {
    match failure {
        Failure::Unreachable(_) => unreachable(),
        Failure::Refused(_) => Problem::new(
            ProblemCode::InvalidCredentials,
            "What the identity provider said is not taken. Whoever looks after it finds the reason by a test of it.",
        ),
    }
}
