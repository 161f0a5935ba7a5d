//! How Stripe is called: within a time, again when that may help, and each change under a key. Stripe's own client would
//! wait for ever, and would repeat a change without a key.

use std::time::Duration;

use domain::billing::gateway::{GatewayError, GatewayResult};
use domain::kernel::{Clock, Rng};
use miniserde::Deserialize;
use stripe::{ApiErrors, ApiErrorsCode, Client, IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use tokio::time::Instant;

/// What one try may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);
/// Tries of one call.
const TRIES: u32 = 3;
/// No try is begun later than this after the first: whoever waits has little time.
const PATIENCE: Duration = Duration::from_secs(8);
/// Wait before the second try; it doubles, and is spread by half.
const PAUSE: Duration = Duration::from_millis(250);
const SPREAD: f64 = 0.5;
/// Stripe keeps the answer to a key, faults of its own included. After so many of those another key is used.
const FAULTS_OF_A_KEY: u32 = 2;

/// Calls Stripe.
pub(crate) struct Calls {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
}

/// Why a try failed.
struct Failure {
    error: GatewayError,
    /// Stripe answered, with a fault of its own.
    is_stripes: bool,
}

impl Calls {
    /// Asks something.
    pub(crate) async fn ask<R>(&self, request: &R) -> GatewayResult<Box<R::Output>>
    where
        R: StripeRequest + Sync,
        R::Output: Deserialize + Send,
    {
        self.call(request, None).await
    }

    /// Changes something, once for each key.
    pub(crate) async fn change<R>(&self, request: &R, key: &str) -> GatewayResult<Box<R::Output>>
    where
        R: StripeRequest + Sync,
        R::Output: Deserialize + Send,
    {
        self.call(request, Some(key)).await
    }

    async fn call<R>(&self, request: &R, key: Option<&str>) -> GatewayResult<Box<R::Output>>
    where
        R: StripeRequest + Sync,
        R::Output: Deserialize + Send,
    {
        let (began, mut pause, mut faults) = (Instant::now(), PAUSE, 0);
        let mut tried = 1;
        loop {
            let strategy = self.strategy(key, faults)?;
            let sent = request.customize().request_strategy(strategy).send(&self.client);
            // Stripe's objects are large, and so is a future that holds one.
            let Failure { error, is_stripes } = match Box::pin(sent).await {
                Ok(answer) => return Ok(Box::new(answer)),
                Err(error) => failure(error),
            };
            let wait = pause.mul_f64(self.rng.jitter(SPREAD).unwrap_or(1.0));
            let is_passing = matches!(error, GatewayError::Passing(_));
            if !is_passing || tried >= TRIES || began.elapsed() + wait > PATIENCE {
                return Err(error);
            }
            tracing::debug!(%error, tried, "Stripe is asked again");
            faults += u32::from(is_stripes);
            tried += 1;
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    fn strategy(&self, key: Option<&str>, faults: u32) -> GatewayResult<RequestStrategy> {
        let Some(key) = key else {
            return Ok(RequestStrategy::Once);
        };
        let key = if faults < FAULTS_OF_A_KEY {
            IdempotencyKey::new(key)
        } else {
            IdempotencyKey::new(format!("{key}:{}", self.clock.now().secs()))
        };
        let key = key.map_err(|error| GatewayError::Refused(error.to_string()))?;
        Ok(RequestStrategy::Idempotent(key))
    }
}

fn failure(error: StripeError) -> Failure {
    match error {
        StripeError::Stripe(error, status) => {
            let what = described(&error, status);
            let is_missing = error.code == Some(ApiErrorsCode::ResourceMissing) || status == 404;
            // As the parameter that names whose something is to be; a price may be missing too.
            let is_customer = error.param.as_deref() == Some("customer");
            let error = match status {
                409 | 424 | 429 | 500..=599 => GatewayError::Passing(what),
                _ if is_missing && is_customer => GatewayError::NoCustomer,
                _ if is_missing => GatewayError::Missing,
                _ => GatewayError::Refused(what),
            };
            Failure {
                error,
                is_stripes: status >= 500,
            }
        }
        // An answer that is none, as from a proxy in between, or one that lacks what we read.
        StripeError::JSONDeserialize(text) | StripeError::ClientError(text) => Failure {
            error: GatewayError::Passing(text),
            is_stripes: false,
        },
        StripeError::Timeout => Failure {
            error: GatewayError::Passing("no answer in time".to_owned()),
            is_stripes: false,
        },
        StripeError::ConfigError(text) => Failure {
            error: GatewayError::Refused(text),
            is_stripes: false,
        },
    }
}

/// Codes and the name of a parameter. Stripe's message may repeat what was sent.
fn described(error: &ApiErrors, status: u16) -> String {
    let code = error.code.as_ref().map_or("no code", ApiErrorsCode::as_str);
    let param = error.param.as_deref().unwrap_or("no parameter");
    format!("{status} {} ({code}, {param})", error.type_.as_str())
}
