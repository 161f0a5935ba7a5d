//! Who may join an organisation without an invitation, and what they get.

use sea_orm::EntityTrait;

use super::entity::org;
use super::settings::OrganisationPatch;
use crate::access::grant::OrgUpdate;
use crate::access::{BuiltinRole, Caller, OrgAccess};
use crate::auth::verified_address;
use crate::kernel::id::{OrgId, RoleId};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx};
use crate::members::assignment;
use crate::members::membership::Scope;

/// Domains of one organisation at most.
const MAX_DOMAINS: usize = 20;

/// Where everybody can have an address: such a domain says nothing about who somebody works for.
const PUBLIC_MAIL: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "fastmail.com",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "mailinator.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "tutanota.com",
    "web.de",
    "yahoo.com",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// Who may join without an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinPolicy {
    Closed,
    /// Whoever has a verified address of the organisation's domains.
    Domain,
    Open,
}

impl JoinPolicy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Domain => "domain",
            Self::Open => "open",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Closed, Self::Domain, Self::Open]
            .into_iter()
            .find(|policy| policy.as_str() == text)
    }
}

/// How an organisation can be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    pub policy: JoinPolicy,
    /// In lower case.
    pub domains: Vec<String>,
    /// What joining gives.
    pub role: RoleId,
}

impl Joining {
    pub(super) fn read(row: &org::Model) -> Result<Self> {
        let broken = || Error::internal(format!("organisation {} is stored wrongly", row.id));
        Ok(Self {
            policy: JoinPolicy::parse(&row.join_policy).ok_or_else(broken)?,
            domains: serde_json::from_str(&row.join_domains).map_err(|_| broken())?,
            role: row.join_role_id.unwrap_or(BuiltinRole::ORG_MEMBER.id),
        })
    }
}

/// # Errors
/// `not_found` when the organisation is gone.
pub async fn of(from: &impl Reads, org: OrgId) -> Result<Joining> {
    let row = org::Entity::find_by_id(org).one(from.conn()).await?;
    Joining::read(&row.ok_or_else(Problem::not_found)?)
}

/// What a change makes of it; `None` when it leaves it alone. Nobody lets others join to more than they hold
/// themselves, or by a domain in which they have no address.
pub(super) async fn changed(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<OrgUpdate>,
    patch: &OrganisationPatch,
) -> Result<Option<Joining>> {
    if patch.join_policy.is_none() && patch.join_domains.is_none() && patch.join_role.is_none() {
        return Ok(None);
    }
    let before = of(tx, access.org.id).await?;
    let policy = patch.join_policy.unwrap_or(before.policy);
    let domains = match &patch.join_domains {
        None => before.domains,
        Some(list) => checked_domains(tx, caller, &before.domains, list).await?,
    };
    if policy == JoinPolicy::Domain && domains.is_empty() {
        return Err(Problem::field("join_domains", "required", "must name a domain for the policy `domain`").into());
    }
    let scope = Scope {
        org: access.org.id,
        project: None,
    };
    let reference = patch.join_role.clone().unwrap_or_else(|| before.role.to_string());
    let role = assignment::joinable(tx, scope, &reference).await?;
    access.require_holds(&role.grants)?;
    Ok(Some(Joining {
        policy,
        domains,
        role: role.id,
    }))
}

async fn checked_domains(tx: &WriteTx, caller: &Caller, before: &[String], list: &[String]) -> Result<Vec<String>> {
    if list.len() > MAX_DOMAINS {
        return Err(Problem::field("join_domains", "too_many", format!("must be at most {MAX_DOMAINS}")).into());
    }
    let mine = verified_address::domains(tx, caller.user()?).await?;
    let mut domains = Vec::with_capacity(list.len());
    for (index, domain) in list.iter().enumerate() {
        let domain = domain.trim().to_ascii_lowercase();
        let wrong = |reason, message| Err(Problem::field(format!("join_domains[{index}]"), reason, message).into());
        if PUBLIC_MAIL.contains(&domain.as_str()) {
            return wrong("conflict", "is a mail provider's: everybody can have an address there");
        }
        // What another owner has set stays without their address.
        if !mine.contains(&domain) && !before.contains(&domain) {
            return wrong("unverified", "needs a verified address of yours in this very domain");
        }
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}
