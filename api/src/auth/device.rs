//! Devices without a browser, such as the command line: they show a code, and a signed-in person approves.

use std::sync::Arc;

use domain::kernel::text::{self, MAX_NAME_LEN};
use domain::kernel::{Error, Problem};
use domain::oauth::device::{self, Waiting};
use domain::oauth::{Failure, Refusal, RefusalCode, authorize, client};
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};

use crate::app::App;
use crate::http::authenticate::origin;
use crate::http::caller::Caller;
use crate::http::optional_body::OptionalJson;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct DeviceApi(pub Arc<App>);

/// A device that wants to act for somebody.
#[derive(Object, Default)]
#[oai(deny_unknown_fields)]
pub struct BeginDevice {
    /// The public OAuth client that it is; absent: our own command line, `strongroom-cli`.
    pub client_id: Option<String>,
    /// How the device calls itself to whoever approves, such as `dana's laptop`; up to 200 characters.
    pub device_name: Option<String>,
    /// The permissions that it asks for, such as `secrets:read@dev`. Absent: all of the person's, which only our own
    /// command line may ask for.
    pub scopes: Option<Vec<String>>,
}

/// What a device shows, and what it looks for its tokens with.
#[derive(Clone, Debug, Object)]
pub struct DeviceAuthorization {
    /// For the device alone: send it to `/oauth/token` with the grant `urn:ietf:params:oauth:grant-type:device_code`.
    pub device_code: String,
    /// For the person to type: `BCDF-GHJK`.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same with the code in it, for a link or a QR code.
    pub verification_uri_complete: String,
    /// How long it works, seconds.
    pub expires_in: u64,
    /// How long to wait between two looks, seconds.
    pub interval: i64,
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeviceDecision {
    /// The device gets tokens.
    Approve,
    /// It gets none.
    Deny,
}

/// A decision about a device.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ApproveDevice {
    /// The code that the device shows; blanks, hyphens and case do not matter.
    pub user_code: String,
    /// Absent: nothing is decided yet, and what asks is shown.
    pub decision: Option<DeviceDecision>,
    /// Id or slug of the one organisation that it may act in. Absent: in all of yours.
    pub org: Option<String>,
}

/// What asks for approval.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct DeviceRequest {
    /// The `client_id` of its application.
    pub client_id: String,
    /// The name of its application.
    pub client_name: String,
    /// How the device calls itself.
    pub device_name: String,
    /// What it asks for; `*` for all that you may.
    pub scopes: Vec<String>,
    /// The address that it asks from.
    pub ip_address: Option<String>,
    /// The program that asks.
    pub user_agent: Option<String>,
    /// When it asked.
    pub created_at: Time,
    /// Until when it can be approved.
    pub expires_at: Time,
    /// What was decided; absent: nothing yet.
    pub decision: Option<DeviceDecision>,
}

impl DeviceRequest {
    fn new(waiting: Waiting, decision: Option<DeviceDecision>) -> Self {
        let Waiting {
            id: _,
            client,
            name,
            scopes,
            ip,
            user_agent,
            created_at,
            expires_at,
        } = waiting;
        Self {
            client_id: client.client_id(),
            client_name: client.name,
            device_name: name,
            scopes: scopes.to_list(),
            ip_address: ip,
            user_agent,
            created_at: created_at.into(),
            expires_at: expires_at.into(),
            decision,
        }
    }
}

/// A refusal of OAuth's as a problem of ours.
fn problem(failure: Failure) -> Error {
    match failure {
        Failure::Fault(error) => error,
        Failure::Refused(Refusal { code, description }) => {
            let field = if code == RefusalCode::InvalidScope {
                "scopes"
            } else if code == RefusalCode::UnauthorizedClient {
                "client_id"
            } else {
                "org"
            };
            Problem::field(field, "unknown", description).into()
        }
    }
}

#[OpenApi(tag = "Tag::Auth")]
impl DeviceApi {
    /// Begin to connect a device
    ///
    /// For programs without a browser. Show `user_code` and `verification_uri`, then look at `/oauth/token` every
    /// `interval` seconds until a person has decided. OAuth libraries send the same as a form to `/oauth/device`.
    #[oai(path = "/v1/auth/device", method = "post", operation_id = "begin_device")]
    async fn begin_device(&self, body: OptionalJson<BeginDevice>) -> Result<Json<DeviceAuthorization>, ApiError> {
        let BeginDevice {
            client_id,
            device_name,
            scopes,
        } = body.0.unwrap_or_default();
        let app = &self.0;
        let client = client::find(&app.db, client_id.as_deref().unwrap_or(client::CLI)).await?;
        let client = client.filter(|client| !client.is_confidential);
        let client = client.ok_or_else(|| Problem::field("client_id", "unknown", "is no public client"))?;
        let name = match device_name {
            Some(name) => text::short("device_name", name.trim(), MAX_NAME_LEN)?,
            None => client.name.clone(),
        };
        let scope = scopes.map(|scopes| scopes.join(" "));
        let tx = app.begin_write().await?;
        let macs = app.keys.token_mac();
        let begun = device::begin(&tx, macs, &client, scope.as_deref(), &name, &origin()).await;
        let begun = begun.map_err(problem)?;
        let page = format!("{}/device", app.issuer());
        let shown = DeviceAuthorization {
            device_code: begun.device_code.expose().to_owned(),
            verification_uri_complete: format!("{page}?user_code={}", begun.user_code),
            user_code: begun.user_code,
            verification_uri: page,
            expires_in: device::TTL.as_secs(),
            interval: device::INTERVAL,
        };
        tx.commit_bookkeeping(Json(shown)).await
    }

    /// Look at a device, and decide
    ///
    /// Without a decision it shows which application asks, from where, for what. Approved, the device acts for you, never
    /// beyond what you may. To approve needs a sign-in or a confirmation of the last ten minutes, else 428
    /// `step_up_required`; to look and to refuse does not.
    #[oai(path = "/v1/auth/device/approve", method = "post", operation_id = "approve_device")]
    async fn approve_device(&self, caller: Caller, body: Json<ApproveDevice>) -> Result<Json<DeviceRequest>, ApiError> {
        let ApproveDevice {
            user_code,
            decision,
            org,
        } = body.0;
        caller.session_user()?;
        let tx = self.0.begin_write().await?;
        let waiting = device::waiting(&*tx, self.0.keys.token_mac(), &user_code).await?;
        match decision {
            None => return tx.give_up(Json(DeviceRequest::new(waiting, None))).await,
            Some(DeviceDecision::Deny) => device::deny(&tx, &caller, &waiting).await?,
            Some(DeviceDecision::Approve) => {
                let org = authorize::chosen(&*tx, &caller, org.as_deref())
                    .await
                    .map_err(problem)?;
                device::approve(&tx, &caller, &waiting, org).await?;
            }
        }
        tx.commit(Json(DeviceRequest::new(waiting, decision))).await
    }
}
