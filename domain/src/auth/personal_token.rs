//! A personal token as its owner sees it: what it is narrowed to, in the names that things have today.

use super::entity::credential;
use crate::access::Caller;
use crate::access::pattern::Pattern;
use crate::access::sight::{Sight, sights};
use crate::kernel::id::{CredentialId, OrgId};
use crate::kernel::{Error, Reads, Result, Timestamp};
use crate::projects::lookup::{self, Names};

/// The one organisation that a token works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundTo {
    pub id: OrgId,
    /// Its name in paths; `None` when it is gone or hidden from the caller.
    pub slug: Option<String>,
}

/// A token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    pub id: CredentialId,
    pub name: String,
    pub prefix: String,
    pub last_four: String,
    /// `None` = all that the owner may.
    pub scopes: Option<Vec<String>>,
    /// Empty = everywhere. What is gone, or hidden from the caller, shows its id.
    pub patterns: Vec<String>,
    /// `None` = it works in all that the owner is in.
    pub org: Option<BoundTo>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// A stored list, such as scopes; `None` when there is none.
fn list<T: serde::de::DeserializeOwned>(id: CredentialId, column: Option<&str>) -> Result<Option<Vec<T>>> {
    let broken = |_| Error::internal(format!("token {id} is stored wrongly"));
    column.map(serde_json::from_str).transpose().map_err(broken)
}

/// Tokens as the caller may see them. The number of queries does not grow with that of the tokens.
///
/// # Errors
/// [`Error::Db`]; [`Error::Internal`] when one is stored wrongly.
pub(super) async fn shown(
    from: &impl Reads,
    caller: &Caller,
    rows: Vec<credential::Model>,
) -> Result<Vec<PersonalToken>> {
    let mut orgs: Vec<OrgId> = rows.iter().filter_map(|row| row.org_id).collect();
    orgs.sort_unstable();
    orgs.dedup();
    let sights = sights(from, caller, &orgs).await?;
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        let patterns: Vec<Pattern> = list(row.id, row.patterns.as_deref())?.unwrap_or_default();
        read.push((row, patterns));
    }
    let all: Vec<&Pattern> = read.iter().flat_map(|(_, patterns)| patterns).collect();
    let names = lookup::of_patterns(from, &all).await?;
    let token = |(row, patterns): (credential::Model, Vec<Pattern>)| {
        let sight = row.org_id.and_then(|org| sights.get(&org));
        let patterns = patterns.iter().map(|pattern| text(pattern, &names, sight)).collect();
        personal(row, patterns, sight)
    };
    read.into_iter().map(token).collect()
}

fn text(pattern: &Pattern, names: &Names, sight: Option<&Sight>) -> String {
    match sight {
        Some(sight) => names.text_for(pattern, sight),
        None => pattern.to_string(),
    }
}

fn personal(row: credential::Model, patterns: Vec<String>, sight: Option<&Sight>) -> Result<PersonalToken> {
    let scopes = list(row.id, row.scopes.as_deref())?;
    let slug = sight.and_then(Sight::org_slug).map(str::to_owned);
    let credential::Model {
        id,
        kind: _,
        principal_type: _,
        principal_id: _,
        secret_mac: _,
        prefix,
        last_four,
        name,
        scopes: _,
        patterns: _,
        org_id,
        family_id: _,
        replaced_by: _,
        auth_time: _,
        amr: _,
        ip: _,
        user_agent: _,
        created_at,
        expires_at,
        idle_expires_at: _,
        last_used_at,
        revoked_at: _,
    } = row;
    Ok(PersonalToken {
        id,
        name,
        prefix,
        last_four,
        scopes,
        patterns,
        org: org_id.map(|id| BoundTo { id, slug }),
        created_at,
        last_used_at,
        expires_at,
    })
}
