//! Looking whether a provider can be reached as it is set up, and what a sign-in with it would come to.

use super::attempt::{Attempt, Returned};
use super::connection::Connection;
use super::identity::{self, Verdict};
use super::provider::{Place, Provider};
use super::settings;
use crate::access::{Caller, Origin};
use crate::crypto::key_store::KeyStore;
use crate::foreign::{Issuers, Metadata};
use crate::journal::{self, Action};
use crate::kernel::{Db, Problem, Reads, Result, WriteTx};

/// What can be reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Where the provider says what it is like; `None` when it is not asked.
    pub discovery_url: Option<String>,
    pub authorization_endpoint: bool,
    pub token_endpoint: bool,
    /// `None` = there is none.
    pub userinfo_endpoint: Option<bool>,
    /// Whether it publishes keys that we check with.
    pub keys: bool,
    /// For people: what is wrong.
    pub errors: Vec<String>,
    /// Where it is reached, when it says so.
    pub connection: Option<Connection>,
}

impl Report {
    pub fn is_reachable(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Looks at every endpoint, through the same way out as a sign-in. What answers anything is reached: without a code and
/// a token they refuse us, as they should.
///
/// # Errors
/// `conflict` for one that is not set up far enough to be looked at.
pub async fn probe(issuers: &Issuers, provider: &Provider, from: &impl Reads) -> Result<Report> {
    if provider.issuer.is_empty() || provider.client_id.is_empty() {
        let detail = "Set the issuer and the client id first.";
        return Err(Problem::new(crate::kernel::ProblemCode::Conflict, detail).into());
    }
    issuers.forget(&provider.issuer);
    let mut report = Report {
        discovery_url: provider.discovery.then(|| Metadata::address(&provider.issuer)),
        ..Report::default()
    };
    let connection = match Connection::of(issuers, provider, from.now()).await {
        Ok(connection) => connection,
        Err(failure) => {
            report.errors.push(failure.reason().to_owned());
            return Ok(report);
        }
    };
    report.authorization_endpoint = look(
        issuers,
        &mut report.errors,
        "authorization_endpoint",
        &connection.authorization,
    )
    .await;
    report.token_endpoint = look(issuers, &mut report.errors, "token_endpoint", &connection.token).await;
    if let Some(address) = &connection.userinfo {
        report.userinfo_endpoint = Some(look(issuers, &mut report.errors, "userinfo_endpoint", address).await);
    }
    match issuers.count_keys(&connection.jwks).await {
        Ok(_) => report.keys = true,
        Err(failure) => report.errors.push(failure.reason().to_owned()),
    }
    report.connection = Some(connection);
    Ok(report)
}

async fn look(issuers: &Issuers, errors: &mut Vec<String>, name: &str, address: &str) -> bool {
    let fetched = issuers.fetch(address, None, None).await;
    let answered = fetched.was_answered();
    if !answered {
        let why = fetched.error.unwrap_or_default();
        errors.push(format!("{name}: {} ({why})", fetched.outcome.as_str()));
    }
    answered
}

/// Journals that somebody looked.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn record(tx: &WriteTx, origin: &Origin, place: Place, report: &Report) -> Result<()> {
    let entry = settings::entry(place, Action::SsoTested).with("reachable", report.is_reachable());
    journal::record(tx, origin, entry).await?;
    Ok(())
}

/// What a test of a sign-in came to. Nobody was signed in.
#[derive(Clone, Debug)]
pub struct Trial {
    pub is_ok: bool,
    pub subject: Option<String>,
    pub email: Option<String>,
    pub email_verified: bool,
    /// `known`, `joins`, `makes`, `refused`; `None` when what the provider said is not taken.
    pub outcome: Option<&'static str>,
    /// For people: why not.
    pub error: Option<String>,
}

/// Finishes a test of a sign-in, for whoever began it.
///
/// # Errors
/// `forbidden` for anybody else.
pub async fn trial(
    db: &Db,
    keys: &KeyStore,
    issuers: &Issuers,
    provider: &Provider,
    way: (&Attempt, &Returned, &str),
    caller: (&Caller, crate::kernel::id::UserId),
) -> Result<Trial> {
    let ((attempt, returned, base), (caller, begun_by)) = (way, caller);
    if caller.session_user()? != begun_by {
        return Err(super::refusal::lost().into());
    }
    let person = match attempt.person(db, keys, issuers, provider, returned, base).await? {
        Ok(person) => person,
        Err(failure) => {
            return Ok(Trial {
                is_ok: false,
                subject: None,
                email: None,
                email_verified: false,
                outcome: None,
                error: Some(failure.reason().to_owned()),
            });
        }
    };
    let verdict = identity::verdict(db, provider, &person).await?;
    let outcome = Some(verdict.as_str());
    let error = match verdict {
        Verdict::Refused(problem) => Some(problem.detail.into_owned()),
        Verdict::Known(_) | Verdict::Joins(_) | Verdict::Makes(_) => None,
    };
    Ok(Trial {
        is_ok: error.is_none(),
        subject: Some(person.subject),
        email: person.email.map(|email| email.display),
        email_verified: person.email_verified,
        outcome,
        error,
    })
}
