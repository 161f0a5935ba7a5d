//! Events from Stripe.

use std::sync::Arc;

use domain::billing::inbox::{self, Envelope};
use domain::billing::signature::{self, SignatureError};
use domain::kernel::{Problem, ProblemCode, Reads};
use poem_openapi::OpenApi;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;

use super::dto::StripeEventReceived;
use crate::app::App;
use crate::http::problem::ApiError;
use crate::http::raw_body::RawBody;
use crate::tags::Tag;

pub struct StripeEventsApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Billing")]
impl StripeEventsApi {
    /// Take in an event of Stripe's
    ///
    /// For Stripe alone: the signature is checked over the bytes of the body, up to 256 KiB, and holds for five minutes. The
    /// event is stored once, by its id, and answered at once; what it asks for is done by a worker.
    #[oai(path = "/v1/billing/webhook", method = "post", operation_id = "receive_stripe_event")]
    async fn receive_stripe_event(
        &self,
        /// Instant and signatures, as Stripe writes them: `t=…,v1=…`.
        #[oai(name = "Stripe-Signature")]
        stripe_signature: Header<Option<String>>,
        body: RawBody,
    ) -> Result<Json<StripeEventReceived>, ApiError> {
        let secrets = self.0.billing.webhook_secrets()?;
        let is_live = self.0.billing.gateway()?.is_live();
        let header = stripe_signature.0.unwrap_or_default();
        signature::verify(&body.0, &header, secrets, self.0.db.now()).map_err(refused)?;
        let envelope = Envelope::read(&body.0).ok_or_else(no_event)?;
        let tx = self.0.begin_write().await?;
        inbox::receive(&tx, envelope, &body.0, is_live).await?;
        tx.commit_bookkeeping(Json(StripeEventReceived { received: true }))
            .await
    }
}

fn refused(error: SignatureError) -> Problem {
    tracing::warn!(%error, "an event that may not be Stripe's was refused");
    Problem::new(
        ProblemCode::InvalidSignature,
        "The signature of the event is not valid.",
    )
}

fn no_event() -> Problem {
    Problem::new(ProblemCode::MalformedRequest, "The body is no event of Stripe's.")
}
