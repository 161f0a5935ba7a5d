//! Webhooks and their deliveries.

use std::sync::Arc;
use std::time::Duration;

use domain::access::{self, OrgAccess, grant};
use domain::jobs::RateChange;
use domain::kernel::id::DeliveryId;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::webhooks::{delivery, endpoint, overview, recovery, secrets};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::delivery_dto::Delivery;
use super::dto::{
    CreatedWebhook, NewWebhook, RotatedWebhookSecret, Webhook, WebhookDetails, WebhookPatch, WebhookRate,
    WebhookSecretRotation,
};
use super::recovery_dto::{NewWebhookRecovery, WebhookRecovery};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::write::keep_answer;
use crate::tags::Tag;

/// How long the answer to a test waits for the delivery: its own wall, and what a worker needs around it.
const TEST_PATIENCE: Duration = Duration::from_secs(25);
/// How often it looks.
const TEST_LOOK_EVERY: Duration = Duration::from_millis(50);

pub struct WebhooksApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum WebhookCreated {
    /// The webhook was made.
    #[oai(status = 201)]
    Created(Json<CreatedWebhook>),
}

#[derive(Clone, ApiResponse)]
pub enum DeliveryQueued {
    /// The event is queued once more.
    #[oai(status = 202)]
    Accepted(Json<Delivery>),
}

#[derive(Clone, ApiResponse)]
pub enum RecoveryBegun {
    /// Past events are being looked at.
    #[oai(status = 202)]
    Accepted(Json<WebhookRecovery>),
}

impl WebhooksApi {
    /// Waits for a delivery to end; one that has not ended in time is shown as it stands.
    async fn await_delivery(
        &self,
        access: &OrgAccess<grant::WebhooksManage>,
        webhook: &str,
        id: DeliveryId,
    ) -> Result<Delivery, ApiError> {
        let ended = async {
            let mut look = tokio::time::interval(TEST_LOOK_EVERY);
            while !delivery::ended(&self.0.db, id).await? {
                look.tick().await;
            }
            Ok::<_, ApiError>(())
        };
        if let Ok(result) = tokio::time::timeout(TEST_PATIENCE, ended).await {
            result?;
        } else {
            tracing::warn!(%id, "a test delivery has not ended in time");
        }
        Ok(delivery::get(&self.0.db, access, webhook, &id.to_string())
            .await?
            .into())
    }
}

#[OpenApi(tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// Make a webhook
    ///
    /// Events are signed by Standard Webhooks, by `v1` with the secret of the answer, which is shown this once, and by
    /// `v1a` (Ed25519) with a key whose public half is in the answer: either is enough. They carry keys and versions and
    /// never a value. An event may arrive twice, with the same `webhook-id`.
    #[oai(path = "/v1/orgs/:org/webhooks", method = "post", operation_id = "create_webhook")]
    async fn create_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewWebhook>,
    ) -> Result<WebhookCreated, ApiError> {
        let NewWebhook {
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let new = endpoint::NewWebhook {
            url,
            events,
            description,
            filter: filters.into(),
            hash_key_names,
            ordered,
            rate: rate.map(WebhookRate::checked).transpose()?.flatten(),
            enabled: enabled.unwrap_or(true),
        };
        let made = endpoint::create(&tx, &self.0.keys, &self.0.egress, &caller, &access, new).await?;
        tx.commit(WebhookCreated::Created(Json(CreatedWebhook::new(made))))
            .await
    }

    /// List webhooks
    ///
    /// Oldest first, with their health and without their secrets.
    #[oai(path = "/v1/orgs/:org/webhooks", method = "get", operation_id = "list_webhooks")]
    async fn list_webhooks(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Webhook>>, ApiError> {
        let access = access::org::<grant::WebhooksRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let webhooks = overview::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(webhooks, Webhook::from)))
    }

    /// Show a webhook
    ///
    /// With its health, its last deliveries and its last recovery; without its secret.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook",
        method = "get",
        operation_id = "get_webhook"
    )]
    async fn get_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
    ) -> Result<Json<WebhookDetails>, ApiError> {
        let access = access::org::<grant::WebhooksRead>(&self.0.db, &caller, &org).await?;
        Ok(Json(overview::get(&self.0.db, &access, &webhook).await?.into()))
    }

    /// Change a webhook
    ///
    /// What is absent stays as it is.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook",
        method = "patch",
        operation_id = "update_webhook"
    )]
    async fn update_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        body: Json<WebhookPatch>,
    ) -> Result<Json<Webhook>, ApiError> {
        let WebhookPatch {
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let patch = endpoint::WebhookPatch {
            url,
            events,
            description,
            filter: filters.map(Into::into),
            hash_key_names,
            ordered,
            rate: rate.map(WebhookRate::checked).transpose()?.map(RateChange::from),
            enabled,
        };
        let webhook = endpoint::update(&tx, &self.0.egress, &caller, &access, &webhook, patch).await?;
        let observed = overview::observe(&*tx, webhook).await?;
        tx.commit(Json(observed.into())).await
    }

    /// Delete a webhook
    ///
    /// What waits for it is cancelled.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook",
        method = "delete",
        operation_id = "delete_webhook"
    )]
    async fn delete_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        endpoint::delete(&tx, &caller, &access, &webhook).await?;
        tx.commit(Done::Done).await
    }

    /// Test a webhook
    ///
    /// Sends it a signed `webhook.tested` event, once, and answers with what came of it.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/test",
        method = "post",
        operation_id = "test_webhook"
    )]
    async fn test_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
    ) -> Result<Json<Delivery>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let id = delivery::queue_test(&tx, &caller, &access, &webhook).await?;
        tx.commit_unanswered().await?;
        let delivery = self.await_delivery(&access, &webhook, id).await?;
        keep_answer(&self.0, Json(delivery)).await
    }

    /// Rotate a webhook's secret
    ///
    /// The new secret, and the key pair that comes with it, sign at once. Those of before sign beside them until the
    /// overlap is over: `webhook-signature` then holds more signatures, separated by blanks, and a receiver accepts any of
    /// them. At most five secrets are valid at once; 409 when there would be more. Hashes of key names stay as they are.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/rotate-secret",
        method = "post",
        operation_id = "rotate_webhook_secret"
    )]
    async fn rotate_webhook_secret(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        body: Json<WebhookSecretRotation>,
    ) -> Result<Json<RotatedWebhookSecret>, ApiError> {
        let WebhookSecretRotation { overlap_hours } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let rotated = secrets::rotate(&tx, &self.0.keys, &caller, &access, &webhook, overlap_hours).await?;
        tx.commit(Json(rotated.into())).await
    }

    /// Recover a webhook
    ///
    /// Delivers past events to it once more, however many: those that failed, those that it missed, or all, as far back as
    /// the plan keeps events. Events keep their ids, so a receiver that has seen one knows it again. It goes on in the background and survives
    /// restarts; `get_webhook` shows how far it has come. One at a time; 409 while another runs, or for a webhook that
    /// is switched off.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/recover",
        method = "post",
        operation_id = "recover_webhook"
    )]
    async fn recover_webhook(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        body: Json<NewWebhookRecovery>,
    ) -> Result<RecoveryBegun, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let begun = recovery::start(&tx, &caller, &access, &webhook, body.0.into()).await?;
        tx.commit(RecoveryBegun::Accepted(Json(begun.into()))).await
    }

    /// List deliveries
    ///
    /// Of a webhook, newest first, each with its attempts.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/deliveries",
        method = "get",
        operation_id = "list_webhook_deliveries"
    )]
    async fn list_webhook_deliveries(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
        /// The `next_cursor` of the page before.
        after: Query<Option<String>>,
    ) -> Result<Json<List<Delivery>>, ApiError> {
        let access = access::org::<grant::WebhooksRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = delivery::list(&self.0.db, &access, &webhook, after.0.as_deref(), page).await?;
        Ok(Json(List::of_cursor(found, Delivery::from)))
    }

    /// Show a delivery
    ///
    /// With its attempts.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/deliveries/:delivery",
        method = "get",
        operation_id = "get_webhook_delivery"
    )]
    async fn get_webhook_delivery(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        /// Id of the delivery: `dlv_…`.
        delivery: Path<String>,
    ) -> Result<Json<Delivery>, ApiError> {
        let access = access::org::<grant::WebhooksRead>(&self.0.db, &caller, &org).await?;
        Ok(Json(
            delivery::get(&self.0.db, &access, &webhook, &delivery).await?.into(),
        ))
    }

    /// Resend a delivery
    ///
    /// Sends its event once more, whatever came of it, as a new delivery with the same `webhook-id`. 409 for a webhook
    /// that is switched off, 410 `events_purged` for an event that is no longer kept.
    #[oai(
        path = "/v1/orgs/:org/webhooks/:webhook/deliveries/:delivery/resend",
        method = "post",
        operation_id = "resend_webhook_delivery"
    )]
    async fn resend_webhook_delivery(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the webhook: `whk_…`.
        webhook: Path<String>,
        /// Id of the delivery: `dlv_…`.
        delivery: Path<String>,
    ) -> Result<DeliveryQueued, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::WebhooksManage>(&*tx, &caller, &org).await?;
        let queued = delivery::resend(&tx, &caller, &access, &webhook, &delivery).await?;
        tx.commit(DeliveryQueued::Accepted(Json(queued.into()))).await
    }
}
