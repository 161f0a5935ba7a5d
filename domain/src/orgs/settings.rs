//! Changing what an organisation is called and how it is run.

use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Map, Value};

use super::entity::org;
use super::joining::{self, JoinPolicy, Joining};
use super::organisation::{self, Organisation, unique_slug};
use crate::access::grant::OrgUpdate;
use crate::access::{Caller, OrgAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx, text};

/// Largest `metadata`, bytes of JSON.
const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Changes to an organisation; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct OrganisationPatch {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub metadata: Option<Map<String, Value>>,
    pub join_policy: Option<JoinPolicy>,
    pub join_domains: Option<Vec<String>>,
    /// Name or id.
    pub join_role: Option<String>,
    pub require_mfa: Option<bool>,
    /// Switched off, its users are kept, and get no tokens.
    pub realm_enabled: Option<bool>,
}

/// # Errors
/// `invalid_field`, `slug_taken`; `forbidden` for a join role above the caller.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<OrgUpdate>,
    patch: OrganisationPatch,
) -> Result<Organisation> {
    if patch.require_mfa == Some(true) {
        crate::access::grant::require_own_second_factor(caller)?;
    }
    let joining = joining::changed(tx, caller, access, &patch).await?;
    let changed = names(&patch);
    let row = row(tx, access, patch, joining)?;
    org::Entity::update(row).exec(tx.conn()).await.map_err(unique_slug)?;
    let entry = Entry::in_org(access.org.id, Action::OrgUpdated, Target::Org(access.org.id)).with("changed", changed);
    journal::record(tx, &caller.origin, entry).await?;
    organisation::load(tx, access.org.id, access.role()).await
}

/// The fields that a patch names.
fn names(patch: &OrganisationPatch) -> Vec<&'static str> {
    let OrganisationPatch {
        name,
        slug,
        metadata,
        join_policy,
        join_domains,
        join_role,
        require_mfa,
        realm_enabled,
    } = patch;
    let fields = [
        ("name", name.is_some()),
        ("slug", slug.is_some()),
        ("metadata", metadata.is_some()),
        ("join_policy", join_policy.is_some()),
        ("join_domains", join_domains.is_some()),
        ("join_role", join_role.is_some()),
        ("require_mfa", require_mfa.is_some()),
        ("realm_enabled", realm_enabled.is_some()),
    ];
    fields
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

fn row(
    tx: &WriteTx,
    access: &OrgAccess<OrgUpdate>,
    patch: OrganisationPatch,
    joining: Option<Joining>,
) -> Result<org::ActiveModel> {
    let mut row = org::ActiveModel {
        id: Set(access.org.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = patch.name {
        row.name = Set(text::name("name", &name)?);
    }
    if let Some(slug) = patch.slug {
        row.slug = Set(text::slug("slug", &slug)?);
    }
    if let Some(metadata) = patch.metadata {
        let text = json(&metadata)?;
        if text.len() > MAX_METADATA_BYTES {
            return Err(Problem::field("metadata", "too_long", "must have at most 16 KiB as JSON").into());
        }
        row.metadata = Set(text);
    }
    if let Some(require_mfa) = patch.require_mfa {
        row.require_mfa = Set(require_mfa);
    }
    if let Some(realm_enabled) = patch.realm_enabled {
        row.realm_enabled = Set(realm_enabled);
    }
    if let Some(Joining { policy, domains, role }) = joining {
        row.join_policy = Set(policy.as_str().to_owned());
        row.join_domains = Set(json(&domains)?);
        row.join_role_id = Set(Some(role));
    }
    Ok(row)
}

/// A JSON column.
fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal(format!("organisation columns: {e}")))
}
