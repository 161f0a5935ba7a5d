//! Looking whether a provider can be reached, and beginning the test of a sign-in.

use domain::access::Origin;
use domain::kernel::id::UserId;
use domain::sso::attempt::Purpose;
use domain::sso::probe;
use domain::sso::provider::Provider;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;

use super::dto::{SsoReport, SsoTest};
use super::half::{self, Half};
use super::sign_in::begin;
use crate::app::App;
use crate::http::problem::ApiError;

#[derive(Clone, ApiResponse)]
pub enum SsoTested {
    /// What can be reached.
    #[oai(status = 200)]
    Ok(Json<SsoReport>, #[oai(header = "Set-Cookie")] Option<String>),
}

/// Looks at a provider that the caller may set up.
pub async fn run(
    app: &App,
    provider: &Provider,
    half: &Half,
    test: &SsoTest,
    origin: &Origin,
    user: UserId,
) -> Result<SsoTested, ApiError> {
    let report = probe::probe(&app.issuers, provider, &app.db).await?;
    let tx = app.begin_write().await?;
    probe::record(&tx, origin, provider.place, &report).await?;
    let connection = report
        .connection
        .as_ref()
        .filter(|_| test.login && report.is_reachable());
    let (url, cookie) = match connection {
        None => (None, None),
        Some(connection) => {
            let begun = begin(app, &tx, provider, connection, half, (Purpose::Test(user), "/")).await?;
            (Some(begun.url), Some(half::keep(app, &begun.half)))
        }
    };
    tx.commit(SsoTested::Ok(Json(SsoReport::new(&report, url)), cookie))
        .await
}
