//! The first run of a new instance: its settings, and its first administrator.

pub mod dto;
pub mod first_run;

use std::sync::Arc;

use domain::auth::register;
use domain::kernel::{Problem, ProblemCode, Reads, Secret};
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use self::dto::{AppliedSetup, NewAdmin, NewSetupConfig, RestartBegun, RestartRequest, Restarting, SetupStatus};
use self::first_run::Outcome;
use crate::app::App;
use crate::auth::dto::Session;
use crate::auth::session::{Registered, cookie};
use crate::http::authenticate::origin;
use crate::http::problem::ApiError;
use crate::http::write::keep_answer;
use crate::tags::Tag;

pub struct SetupApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Setup")]
impl SetupApi {
    /// Is the instance set up?
    ///
    /// Whether it still waits for its first administrator, and while it does, how it is set so far.
    #[oai(path = "/v1/setup/status", method = "get", operation_id = "get_setup_status")]
    async fn get_setup_status(&self) -> Result<Json<SetupStatus>, ApiError> {
        let is_open = domain::setup::is_open(&self.0.db).await?;
        let first_run = &self.0.first_run;
        Ok(Json(SetupStatus {
            setup_required: is_open,
            restart_required: is_open.then(|| first_run.is_pending()),
            current: is_open.then(|| first_run.config().into()),
        }))
    }

    /// Apply settings
    ///
    /// Before there is an administrator, with the one-time token that the start of the api prints; refused for ever after.
    /// They are checked first: a database must answer, and a root key must be the one that it was written with. They are
    /// written into a file of their own in the data folder, for the next start; what the environment or the operator's own
    /// file sets is changed there. Nothing of them is ever shown.
    #[oai(
        path = "/v1/setup/apply-config",
        method = "post",
        operation_id = "apply_setup_config"
    )]
    async fn apply_setup_config(&self, body: Json<NewSetupConfig>) -> Result<Json<AppliedSetup>, ApiError> {
        let (token, applied) = body.0.into_parts();
        domain::setup::require_token(&self.0.db, self.0.keys.token_mac(), token.expose()).await?;
        let first_run = &self.0.first_run;
        let Outcome { has_made_root_key } = first_run.apply(&self.0.db, applied).await?;
        let applied = AppliedSetup {
            restart_required: first_run.is_pending(),
            has_made_root_key,
            written_to: first_run.config().setup_file().display().to_string(),
        };
        keep_answer(&self.0, Json(applied)).await
    }

    /// Restart
    ///
    /// Ends the process in order, so that whoever supervises it starts it anew with the settings that were applied. Before
    /// there is an administrator, with the one-time token; refused for ever after. 409 when nothing waits for a restart.
    #[oai(path = "/v1/setup/restart", method = "post", operation_id = "restart_instance")]
    async fn restart_instance(&self, body: Json<RestartRequest>) -> Result<RestartBegun, ApiError> {
        let token = Secret::new(body.0.setup_token);
        domain::setup::require_token(&self.0.db, self.0.keys.token_mac(), token.expose()).await?;
        if !self.0.first_run.is_pending() {
            let detail = "Nothing was applied that waits for a restart.";
            return Err(Problem::new(ProblemCode::Conflict, detail).into());
        }
        let answer = keep_answer(&self.0, RestartBegun::Accepted(Json(Restarting { restarting: true }))).await?;
        self.0.first_run.restart();
        Ok(answer)
    }

    /// Make the first administrator
    ///
    /// With the one-time token that the start of the api prints. Refused for ever after; 409 while settings that were
    /// applied wait for a restart.
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
        if self.0.first_run.is_pending() {
            domain::setup::require_token(&self.0.db, self.0.keys.token_mac(), &setup_token).await?;
            let detail = "Settings that were applied wait for a restart. The start after it prints another token.";
            return Err(Problem::new(ProblemCode::Conflict, detail).into());
        }
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
