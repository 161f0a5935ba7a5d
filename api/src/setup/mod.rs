//! The first administrator of a new instance.

use std::sync::Arc;

use domain::auth::register;
use domain::kernel::{Reads, Secret};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::auth::dto::{Session, Transport};
use crate::auth::session::{Registered, cookie};
use crate::http::authenticate::origin;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct SetupApi(pub Arc<App>);

/// Whether the instance is set up.
#[derive(Object)]
pub struct SetupStatus {
    /// Whether it still waits for its first administrator.
    pub setup_required: bool,
}

/// The first administrator.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewAdmin {
    /// The one-time token that the start of the api prints: `srm_set_…`.
    #[oai(write_only)]
    pub setup_token: String,
    /// The address, unique without regard to case.
    pub email: String,
    /// 8 to 1024 bytes, and hard to guess.
    #[oai(write_only)]
    pub password: String,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
    /// Up to 100 characters.
    #[oai(default)]
    pub first_name: String,
    /// Up to 100 characters.
    #[oai(default)]
    pub last_name: String,
}

#[OpenApi(tag = "Tag::Setup")]
impl SetupApi {
    /// Is the instance set up?
    ///
    /// Whether it still waits for its first administrator.
    #[oai(path = "/v1/setup/status", method = "get", operation_id = "get_setup_status")]
    async fn get_setup_status(&self) -> Result<Json<SetupStatus>, ApiError> {
        Ok(Json(SetupStatus {
            setup_required: domain::setup::is_open(&self.0.db).await?,
        }))
    }

    /// Make the first administrator
    ///
    /// With the one-time token that the start of the api prints. Refused for ever after.
    #[oai(path = "/v1/setup/create-admin", method = "post", operation_id = "create_admin")]
    async fn create_admin(&self, body: Json<NewAdmin>) -> Result<Registered, ApiError> {
        let NewAdmin {
            setup_token,
            email,
            password,
            transport,
            first_name,
            last_name,
        } = body.0;
        let password = Secret::new(password);
        let checked = register::Registration::check(&email, &password, &first_name, &last_name)?;
        let hash = self.0.passwords.hash(password).await?;
        let tx = self.0.begin_write().await?;
        let made = domain::setup::create_admin(
            &tx,
            &self.0.keys,
            &setup_token,
            checked,
            hash,
            transport.into(),
            &origin(),
        )
        .await?;
        let session = Session::new(&made.account, Some(&made.org), &made.tokens, tx.now());
        tx.commit(Registered::Created(Json(session), cookie(&self.0, &made.tokens)))
            .await
    }
}
