//! From one environment to another.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::secrets::bulk::Mode;
use domain::secrets::promote::{self, Plan, PlannedKey, PromoteAction, Route, Selection};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};

use super::bulk::BulkMode;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct PromoteApi(pub Arc<App>);

/// What to carry where.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Id or slug of the source environment.
    pub from: String,
    /// Id or slug of the target environment.
    pub to: String,
    /// 1 to 1000 keys. Absent: all of the source's.
    pub keys: Option<Vec<String>>,
    /// What becomes of keys that only the target has.
    #[oai(default)]
    pub mode: BulkMode,
    /// Only make the plan.
    #[oai(default)]
    pub dry_run: bool,
    /// The digest of a plan: carry out this plan and no other; 412 when either environment moved.
    pub digest: Option<String>,
}

/// What promoting does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum PromoteActionName {
    /// The target gets it.
    Added,
    /// The target's value is replaced.
    Changed,
    /// The target has this value already.
    Same,
    /// The target loses it.
    Removed,
    /// The caller may not carry it over, or the template of the target does not allow it.
    Blocked,
}

impl From<PromoteAction> for PromoteActionName {
    fn from(action: PromoteAction) -> Self {
        match action {
            PromoteAction::Added => Self::Added,
            PromoteAction::Changed => Self::Changed,
            PromoteAction::Same => Self::Same,
            PromoteAction::Removed => Self::Removed,
            PromoteAction::Blocked(_) | PromoteAction::Faulty(_) => Self::Blocked,
        }
    }
}

/// One key of a plan.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct PromotedKey {
    /// The key.
    pub key: String,
    /// What becomes of it in the target.
    pub action: PromoteActionName,
    /// Why it is blocked: `no_read_on_source`, `no_write_on_target`, `no_delete_on_target`; or, by the template of a
    /// protected target, `template: ` and `missing`, `empty`, `enum`, `pattern`, `too_short` or `too_long`.
    pub reason: Option<String>,
    /// Its version in the source.
    pub source_version: Option<i64>,
    /// Its version in the target, before.
    pub target_version: Option<i64>,
}

/// A plan, or what was done.
#[derive(Clone, Debug, Object)]
pub struct Promotion {
    /// Names this very plan. Send it back to carry out this plan and no other.
    pub digest: String,
    /// Whether it was carried out. A plan without changes never is.
    pub applied: bool,
    /// The source's revision.
    pub source_revision: i64,
    /// The target's revision: before, or after when it was carried out.
    pub target_revision: i64,
    /// Every key of the plan, sorted. A protected target that is held to its template must be whole afterwards: keys
    /// that it would lack are here too.
    pub changes: Vec<PromotedKey>,
}

impl From<Plan> for Promotion {
    fn from(plan: Plan) -> Self {
        let Plan {
            digest,
            source_revision,
            target_revision,
            changes,
            is_applied,
        } = plan;
        let entry = |change: PlannedKey| {
            let PlannedKey {
                key,
                action,
                source_version,
                target_version,
            } = change;
            PromotedKey {
                key,
                action: action.into(),
                reason: action.reason().map(str::to_owned),
                source_version,
                target_version,
            }
        };
        Self {
            digest,
            applied: is_applied,
            source_revision,
            target_revision,
            changes: changes.into_iter().map(entry).collect(),
        }
    }
}

#[OpenApi(tag = "Tag::Secrets")]
impl PromoteApi {
    /// Promote secrets
    ///
    /// From one environment of a project to another: all keys or some, every one of them or none, as one revision of
    /// the target. Send `dry_run` first to see the plan, then its `digest` to carry out that plan and no other.
    /// Whoever promotes must be allowed to read in the source and to write in the target.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/promote",
        method = "post",
        operation_id = "promote_secrets"
    )]
    async fn promote_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<PromoteRequest>,
    ) -> Result<Json<Promotion>, ApiError> {
        let PromoteRequest {
            from,
            to,
            keys,
            mode,
            dry_run,
            digest,
        } = body.0;
        let selection = Selection {
            keys,
            mode: mode.into(),
        };
        let tx = self.0.begin_write().await?;
        let (source, target) =
            access::env_pair::<grant::SecretsRead, grant::SecretsWrite>(&*tx, &caller, &org, &project, (&from, &to))
                .await?;
        let deletes = match selection.mode {
            Mode::Merge => None,
            Mode::Replace => Some(target.also::<grant::SecretsDelete>()?),
        };
        let route = Route {
            source: &source,
            target: &target,
            deletes: deletes.as_ref(),
        };
        if dry_run {
            let plan = promote::dry_run(&*tx, &self.0.keys, &route, &selection).await?;
            return tx.give_up(Json(plan.into())).await;
        }
        let keys = &self.0.keys;
        let done = promote::apply(&tx, keys, &caller, &route, &selection, digest.as_deref()).await?;
        if done.is_applied {
            tx.commit(Json(done.into())).await
        } else {
            tx.give_up(Json(done.into())).await
        }
    }
}
