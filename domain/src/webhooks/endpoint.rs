//! Making, changing and deleting webhook endpoints.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::webhook;
use super::secrets::{self, Fresh};
use crate::access::grant::{WebhooksManage, WebhooksRead};
use crate::access::{Caller, OrgAccess};
use crate::crypto::key_store::KeyStore;
use crate::egress::EgressPolicy;
use crate::jobs::{self, Rate, RateChange, health};
use crate::journal::{self, Action, Entry, Target, WebhookFilter};
use crate::kernel::id::{EnvId, OrgId, ProjectId, WebhookId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::limits::{self, LimitKey, Scope};
use crate::projects::lookup;

/// Endpoints of one organisation at most.
const MAX_ENDPOINTS: u64 = 100;
/// Entries of one filter list at most.
const MAX_FILTER_ENTRIES: usize = 100;

/// A webhook endpoint.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    pub org_id: OrgId,
    pub url: String,
    pub description: String,
    /// Event types, or `*` for all.
    pub events: Vec<String>,
    pub filter: WebhookFilter,
    /// Payloads name keys by their hashes.
    pub hash_key_names: bool,
    pub enabled: bool,
    /// `gone` or `failing` when it was switched off by itself.
    pub disabled_reason: Option<String>,
    /// Deliveries are made one after the other, in the order of the journal.
    pub ordered: bool,
    /// How many deliveries are made at most.
    pub rate: Option<Rate>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Webhook {
    /// # Errors
    /// `conflict` for an endpoint that is switched off.
    pub(super) fn require_enabled(&self) -> Result<()> {
        if self.enabled {
            return Ok(());
        }
        let detail = "The webhook is switched off. Switch it on with PATCH `enabled: true` and try again.";
        Err(Problem::new(ProblemCode::Conflict, detail).into())
    }
}

pub(super) fn webhook(row: webhook::Model) -> Result<Webhook> {
    let webhook::Model {
        id,
        org_id,
        url,
        description,
        events,
        filters,
        enabled,
        created_at,
        updated_at,
        deleted_at: _,
        hash_key_names,
        disabled_reason,
        ordered,
        rate_deliveries,
        rate_per,
    } = row;
    let broken = |_| Error::internal(format!("webhook {id} is stored wrongly"));
    let (events, filter) = (
        serde_json::from_str(&events).map_err(broken)?,
        serde_json::from_str(&filters).map_err(broken)?,
    );
    Ok(Webhook {
        id,
        org_id,
        url,
        description,
        events,
        filter,
        hash_key_names,
        enabled,
        disabled_reason,
        ordered,
        rate: Rate::stored(rate_deliveries, rate_per.as_deref())?,
        created_at,
        updated_at,
    })
}

/// Which events an endpoint filters for, in the caller's words: projects and environments by id.
#[derive(Clone, Debug, Default)]
pub struct FilterInput {
    pub projects: Vec<String>,
    pub environments: Vec<String>,
    pub keys: Vec<String>,
}

/// A new endpoint.
pub struct NewWebhook {
    pub url: String,
    pub events: Vec<String>,
    pub description: String,
    pub filter: FilterInput,
    pub hash_key_names: bool,
    pub ordered: bool,
    pub rate: Option<Rate>,
    pub enabled: bool,
}

/// A new endpoint with its signing secret, shown this once.
pub struct CreatedWebhook {
    pub webhook: Webhook,
    pub fresh: Fresh,
}

/// # Errors
/// `invalid_field`; `conflict` at 100 endpoints; `plan_limit_exceeded`.
pub async fn create(
    tx: &WriteTx,
    keys: &KeyStore,
    policy: &EgressPolicy,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    new: NewWebhook,
) -> Result<CreatedWebhook> {
    let NewWebhook {
        url,
        events,
        description,
        filter,
        hash_key_names,
        ordered,
        rate,
        enabled,
    } = new;
    let (rate_deliveries, rate_per) = Rate::columns(rate);
    if live(access.org.id).count(tx.conn()).await? >= MAX_ENDPOINTS {
        return Err(Problem::new(
            ProblemCode::Conflict,
            format!("An organisation has at most {MAX_ENDPOINTS} webhooks."),
        )
        .into());
    }
    let id: WebhookId = tx.new_id()?;
    let row = webhook::ActiveModel {
        id: Set(id),
        org_id: Set(access.org.id),
        url: Set(checked_url(policy, &url)?),
        description: Set(text::long("description", &description, MAX_DESCRIPTION_LEN)?),
        events: Set(json(&checked_events(&events)?)?),
        filters: Set(json(&checked_filter(tx, access.org.id, filter).await?)?),
        enabled: Set(enabled),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        deleted_at: Set(None),
        hash_key_names: Set(hash_key_names),
        disabled_reason: Set(None),
        ordered: Set(ordered),
        rate_deliveries: Set(rate_deliveries),
        rate_per: Set(rate_per),
    };
    limits::reserve(tx, Scope::org(access.org.id), LimitKey::Webhooks, 1).await?;
    let made = webhook(webhook::Entity::insert(row).exec_with_returning(tx.conn()).await?)?;
    let fresh = secrets::first(tx, keys, &made).await?;
    let entry = entry(Action::WebhookCreated, &made).with("events", made.events.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(CreatedWebhook { webhook: made, fresh })
}

pub(super) fn entry(action: Action, webhook: &Webhook) -> Entry {
    Entry::in_org(webhook.org_id, action, Target::Webhook(webhook.id.0))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal(format!("webhook columns: {e}")))
}

fn live(org: OrgId) -> sea_orm::Select<webhook::Entity> {
    webhook::Entity::find()
        .filter(webhook::Column::OrgId.eq(org))
        .filter(webhook::Column::DeletedAt.is_null())
}

fn checked_url(policy: &EgressPolicy, url: &str) -> Result<String> {
    let url = policy
        .check_url(url)
        .map_err(|refused| Problem::field("url", refused.as_str(), refused.to_string()))?;
    Ok(url.to_string())
}

fn checked_events(events: &[String]) -> Result<Vec<String>> {
    if events.is_empty() {
        return Err(Problem::field("events", "required", "must name at least one event type, or `*`").into());
    }
    let mut checked = Vec::with_capacity(events.len());
    for (index, name) in events.iter().enumerate() {
        let known = Action::ALL.iter().any(|action| journal::subscribes(name, *action));
        if !known {
            let message = "is no event type that webhooks can subscribe to";
            return Err(Problem::field(format!("events[{index}]"), "unknown", message).into());
        }
        if !checked.contains(name) {
            checked.push(name.clone());
        }
    }
    Ok(checked)
}

async fn checked_filter(from: &impl Reads, org: OrgId, input: FilterInput) -> Result<WebhookFilter> {
    let FilterInput {
        projects,
        environments,
        keys,
    } = input;
    for (field, list) in [
        ("filters.projects", &projects),
        ("filters.environments", &environments),
        ("filters.keys", &keys),
    ] {
        if list.len() > MAX_FILTER_ENTRIES {
            return Err(Problem::field(
                field,
                "too_many",
                format!("must have at most {MAX_FILTER_ENTRIES} entries"),
            )
            .into());
        }
    }
    if projects.is_empty() && environments.is_empty() && keys.is_empty() {
        return Ok(WebhookFilter::default());
    }
    let places = lookup::all(from, org).await?;
    let unknown = |field: &str, index: usize| {
        Problem::field(
            format!("filters.{field}[{index}]"),
            "unknown",
            "is no id of this organisation",
        )
    };
    let mut filter = WebhookFilter::default();
    for (index, text) in projects.iter().enumerate() {
        let id = text.parse::<ProjectId>().ok().filter(|id| places.has_project(*id));
        filter.projects.push(id.ok_or_else(|| unknown("projects", index))?);
    }
    for (index, text) in environments.iter().enumerate() {
        let id = text.parse::<EnvId>().ok().filter(|id| places.has_environment(*id));
        filter
            .environments
            .push(id.ok_or_else(|| unknown("environments", index))?);
    }
    for (index, text) in keys.into_iter().enumerate() {
        let name = text.strip_suffix('*').unwrap_or(&text);
        if !(name.is_empty() && text == "*" || crate::secrets::key::is_key(name)) {
            return Err(Problem::field(
                format!("filters.keys[{index}]"),
                "format",
                "must be a key, or the beginning of keys followed by `*`",
            )
            .into());
        }
        filter.keys.push(text);
    }
    Ok(filter)
}

/// The endpoints of an organisation, oldest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(from: &impl Reads, access: &OrgAccess<WebhooksRead>, page: PageRequest) -> Result<Page<Webhook>> {
    let total = live(access.org.id).count(from.conn()).await?;
    let ordered = live(access.org.id)
        .order_by_asc(webhook::Column::CreatedAt)
        .order_by_asc(webhook::Column::Id);
    let rows = ordered.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    Ok(Page {
        data: rows.into_iter().map(webhook).collect::<Result<_>>()?,
        request: page,
        total,
    })
}

/// An endpoint of the organisation by its id.
///
/// # Errors
/// `not_found`.
pub async fn get<A>(from: &impl Reads, access: &OrgAccess<A>, id: &str) -> Result<Webhook> {
    let id: WebhookId = id.parse().map_err(|_| Problem::not_found())?;
    let row = live(access.org.id)
        .filter(webhook::Column::Id.eq(id))
        .one(from.conn())
        .await?;
    webhook(row.ok_or_else(Problem::not_found)?)
}

/// Changes to an endpoint; absent fields stay.
#[derive(Default)]
pub struct WebhookPatch {
    pub url: Option<String>,
    pub events: Option<Vec<String>>,
    pub description: Option<String>,
    pub filter: Option<FilterInput>,
    pub hash_key_names: Option<bool>,
    pub ordered: Option<bool>,
    pub rate: Option<RateChange>,
    pub enabled: Option<bool>,
}

/// Switching an endpoint on, or moving it, forgets what failed before.
///
/// # Errors
/// `invalid_field`, `not_found`.
pub async fn update(
    tx: &WriteTx,
    policy: &EgressPolicy,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    id: &str,
    patch: WebhookPatch,
) -> Result<Webhook> {
    let before = get(tx, access, id).await?;
    let forgives = patch.enabled == Some(true) || patch.url.is_some();
    let (row, changed) = changes(tx, policy, &before, patch).await?;
    let updated = webhook(webhook::Entity::update(row).exec(tx.conn()).await?)?;
    if forgives {
        health::forgive(tx, updated.id).await?;
    }
    journal::record(
        tx,
        &caller.origin,
        entry(Action::WebhookUpdated, &updated).with("changed", changed),
    )
    .await?;
    Ok(updated)
}

/// The row with what is to change, and the names of that.
async fn changes(
    tx: &WriteTx,
    policy: &EgressPolicy,
    before: &Webhook,
    patch: WebhookPatch,
) -> Result<(webhook::ActiveModel, Vec<&'static str>)> {
    let WebhookPatch {
        url,
        events,
        description,
        filter,
        hash_key_names,
        ordered,
        rate,
        enabled,
    } = patch;
    let mut changed = Vec::new();
    let mut row = webhook::ActiveModel {
        id: Set(before.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(url) = url {
        row.url = Set(checked_url(policy, &url)?);
        changed.push("url");
    }
    if let Some(events) = events {
        row.events = Set(json(&checked_events(&events)?)?);
        changed.push("events");
    }
    if let Some(description) = description {
        row.description = Set(text::long("description", &description, MAX_DESCRIPTION_LEN)?);
        changed.push("description");
    }
    if let Some(filter) = filter {
        row.filters = Set(json(&checked_filter(tx, before.org_id, filter).await?)?);
        changed.push("filters");
    }
    if let Some(hash_key_names) = hash_key_names {
        row.hash_key_names = Set(hash_key_names);
        changed.push("hash_key_names");
    }
    if let Some(ordered) = ordered {
        row.ordered = Set(ordered);
        changed.push("ordered");
    }
    if let Some(change) = rate {
        let (deliveries, per) = Rate::columns(match change {
            RateChange::To(rate) => Some(rate),
            RateChange::Lifted => None,
        });
        row.rate_deliveries = Set(deliveries);
        row.rate_per = Set(per);
        changed.push("rate");
    }
    if let Some(enabled) = enabled {
        row.enabled = Set(enabled);
        row.disabled_reason = Set(None);
        changed.push("enabled");
    }
    Ok((row, changed))
}

/// Deletes an endpoint and cancels what waits for it. A delivery under way may still arrive.
///
/// # Errors
/// `not_found`.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &OrgAccess<WebhooksManage>, id: &str) -> Result<()> {
    let found = get(tx, access, id).await?;
    let sql = "UPDATE webhooks SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    let deleted = tx
        .conn()
        .execute_raw(tx.sql(sql, [found.id.into(), tx.now().into()]))
        .await?;
    if deleted.rows_affected() > 0 {
        limits::release(tx, Scope::org(access.org.id), LimitKey::Webhooks, 1).await?;
    }
    jobs::cancel_waiting(tx, found.id).await?;
    journal::record(tx, &caller.origin, entry(Action::WebhookDeleted, &found)).await?;
    Ok(())
}
