//! Liveness and readiness.

use std::sync::Arc;

use domain::kernel::{Problem, ProblemCode};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct HealthApi(pub Arc<App>);

/// How the service is.
#[derive(Object)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The version that runs.
    pub version: String,
}

fn ok() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Is it alive?
    ///
    /// Answers as long as the process does; it asks nothing of the database.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn get_health(&self) -> Result<Json<Health>, ApiError> {
        Ok(ok())
    }

    /// Is it ready?
    ///
    /// Whether the database answers and has the schema of this version, and the process is not about to stop. The root key
    /// was checked at the start.
    #[oai(path = "/ready", method = "get", operation_id = "get_ready")]
    async fn get_ready(&self) -> Result<Json<Health>, ApiError> {
        let unready = |detail: &'static str| Problem::new(ProblemCode::Unavailable, detail).with("retry_after", 5);
        if self.0.draining.is_cancelled() {
            return Err(unready("This process is about to stop. Ask another.").into());
        }
        match self.0.db.is_migrated().await {
            Ok(true) => Ok(ok()),
            Ok(false) => Err(unready("The schema is older than this version. Run `strongroom-api migrate`.").into()),
            Err(_) => Err(unready("The database does not answer.").into()),
        }
    }
}
