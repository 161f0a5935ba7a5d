//! What a person has let applications do, as they see it: an application is one entry, however often and from however many
//! devices it asked.

use std::collections::BTreeMap;

use super::client;
use super::grant::{self, Grant};
use super::{Client, Scopes};
use crate::access::Caller;
use crate::auth::{account, oauth_token};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OAuthClientId, OrgId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, Reads, Result, Timestamp, WriteTx};

/// An application that a person lets act for them.
#[derive(Clone, Debug)]
pub struct Consented {
    pub client: Client,
    /// All that it may, over its consents.
    pub scopes: Scopes,
    /// The organisations that it reaches; `None` = all of the person's.
    pub orgs: Option<Vec<OrgId>>,
    /// When it was first let.
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// When the last of its consents ends.
    pub ends_at: Timestamp,
}

/// The organisations that a consent reaches; `None` = all of the person's.
fn reach(grant: &Grant) -> Option<Vec<OrgId>> {
    if grant.scopes.reaches_organisations() {
        grant.org.map(|org| vec![org])
    } else {
        Some(Vec::new())
    }
}

impl Consented {
    fn new(client: Client, grant: Grant) -> Self {
        Self {
            client,
            orgs: reach(&grant),
            scopes: grant.scopes,
            created_at: grant.created_at,
            last_used_at: None,
            ends_at: grant.ends_at,
        }
    }

    /// Adds another consent to the same application.
    fn add(&mut self, grant: &Grant) {
        self.scopes = self.scopes.union(&grant.scopes);
        self.orgs = match (self.orgs.take(), reach(grant)) {
            (Some(mut orgs), Some(more)) => {
                orgs.extend(more);
                orgs.sort_unstable();
                orgs.dedup();
                Some(orgs)
            }
            (None, _) | (_, None) => None,
        };
        self.created_at = self.created_at.min(grant.created_at);
        self.ends_at = self.ends_at.max(grant.ends_at);
    }
}

/// The applications that act for the caller, the newest first.
///
/// # Errors
/// `session_required`.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Consented>> {
    let user = caller.session_user()?;
    let last_uses = oauth_token::last_used(from, user).await?;
    let mut found: BTreeMap<OAuthClientId, Consented> = BTreeMap::new();
    for grant in grant::live_of_user(from, user).await? {
        let last = last_uses.get(&grant.id.0).copied();
        if let Some(known) = found.get_mut(&grant.client) {
            known.add(&grant);
            known.last_used_at = known.last_used_at.max(last);
            continue;
        }
        // One that was switched off or deleted this instant acts for nobody.
        let Some(client) = client::by_id(from, grant.client).await? else {
            continue;
        };
        let mut new = Consented::new(client, grant);
        new.last_used_at = last;
        found.insert(new.client.id, new);
    }
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_by_key(|entry| std::cmp::Reverse((entry.created_at, entry.client.id)));
    Ok(Page::of(all, page))
}

/// Takes back all that the caller has let an application do. Its tokens are refused from the next request on, and it must
/// ask anew.
///
/// # Errors
/// `not_found` for one that acts for the caller in nothing; `session_required`.
pub async fn revoke(tx: &WriteTx, caller: &Caller, client_id: &str) -> Result<()> {
    let user = caller.session_user()?;
    let id = client::id_of(client_id).ok_or_else(Problem::not_found)?;
    // What makes tokens of a consent waits, or was first.
    account::lock(tx, user).await?;
    let ended = grant::end_of_client(tx, user, id).await?;
    if ended == 0 {
        return Err(Problem::not_found().into());
    }
    let name = client::by_id(tx, id).await?.map(|client| client.name);
    let entry = Entry::of_account(user, Action::OAuthGrantRevoked, Target::OAuthClient(id))
        .with("client_id", client_id)
        .with("client", name)
        .with("grants", ended);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::id::{OAuthGrantId, UserId};

    fn grant(org: Option<u128>, scopes: &str, at: i64) -> Grant {
        Grant {
            id: OAuthGrantId(Uuid::nil()),
            client: OAuthClientId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            org: org.map(|org| OrgId(Uuid::from_u128(org))),
            scopes: Scopes::parse(scopes).unwrap(),
            nonce: None,
            auth_time: None,
            amr: None,
            created_at: Timestamp(at),
            ends_at: Timestamp(at + 10),
            revoked_at: None,
        }
    }

    fn entry(grants: Vec<Grant>) -> Consented {
        let mut grants = grants.into_iter();
        let mut entry = Consented::new(Client::cli(), grants.next().unwrap());
        for grant in grants {
            entry.add(&grant);
        }
        entry
    }

    #[test]
    fn consents_to_one_application_are_one_entry_that_hides_none_of_them() {
        let both = entry(vec![
            grant(Some(1), "openid secrets:read@dev", 5),
            grant(Some(2), "org:read", 3),
        ]);
        assert_eq!(both.scopes.to_string(), "openid org:read secrets:read@dev");
        assert_eq!(both.orgs.map(|orgs| orgs.len()), Some(2));
        assert_eq!((both.created_at, both.ends_at), (Timestamp(3), Timestamp(15)));
        let same = entry(vec![grant(Some(1), "org:read", 1), grant(Some(1), "org:read", 2)]);
        assert_eq!(same.orgs.map(|orgs| orgs.len()), Some(1));
        let none = entry(vec![grant(None, "openid", 1)]);
        assert_eq!(none.orgs, Some(Vec::new()), "signing in reaches none");
        let one = entry(vec![grant(None, "openid", 1), grant(Some(1), "org:read", 2)]);
        assert_eq!(one.orgs.map(|orgs| orgs.len()), Some(1));
        for all in [
            entry(vec![grant(Some(1), "org:read", 1), grant(None, "org:read", 2)]),
            entry(vec![grant(None, "org:read", 1), grant(Some(1), "org:read", 2)]),
        ] {
            assert_eq!(all.orgs, None, "one of them reaches all");
        }
    }
}
