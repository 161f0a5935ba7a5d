//! Making an account: with a password at once, or by proving the address first.

use std::sync::Arc;

use domain::auth::challenge::code::Begun;
use domain::auth::{email_first, register};
use domain::kernel::config::Registration as Policy;
use domain::kernel::text::Email;
use domain::kernel::{Problem, ProblemCode, Reads, Secret, Timestamp};
use domain::members::accepting;
use domain::members::invite_token::Proof;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::dto::{Session, Transport};
use super::session::{Registered, cookie};
use crate::app::App;
use crate::http::authenticate::origin;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct RegistrationApi(pub Arc<App>);

/// A new account.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Registration {
    /// The address, unique without regard to case.
    pub email: String,
    /// 8 to 1024 bytes, and hard to guess. Absent: the address is proved first, by a code that is mailed there.
    #[oai(write_only)]
    pub password: Option<String>,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
    /// Up to 100 characters.
    #[oai(default)]
    pub first_name: String,
    /// Up to 100 characters.
    #[oai(default)]
    pub last_name: String,
    /// The token of an invitation: `srm_inv_…`. Then a `password` is needed.
    #[oai(write_only)]
    pub invite_token: Option<String>,
}

/// Something that goes on with a mailed code.
#[derive(Clone, Debug, Object)]
pub struct CodeChallenge {
    /// Send it back with the code: `srm_chl_…`. The code works with this token alone.
    pub challenge_token: String,
    /// Life of the code, seconds.
    pub expires_in: i64,
}

impl CodeChallenge {
    pub fn new(begun: &Begun, now: Timestamp) -> Self {
        Self {
            challenge_token: begun.token.expose().to_owned(),
            expires_in: begun.expires_at.secs() - now.secs(),
        }
    }
}

/// A code of a registration.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RegistrationCode {
    /// The token that the registration began with.
    #[oai(write_only)]
    pub challenge_token: String,
    /// The six digits in the mail.
    #[oai(write_only)]
    pub code: String,
}

/// Proof that the address is the client's own.
#[derive(Clone, Debug, Object)]
pub struct ProvedAddress {
    /// Complete the registration with it, once.
    pub registration_token: String,
    /// Its life, seconds.
    pub expires_in: i64,
}

/// The rest of a registration.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RegistrationCompletion {
    /// The token that proves the address.
    #[oai(write_only)]
    pub registration_token: String,
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

/// A registration that has begun.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RegistrationRestart {
    /// The token that the registration began with.
    #[oai(write_only)]
    pub challenge_token: String,
}

#[derive(Clone, ApiResponse)]
#[expect(clippy::large_enum_variant, reason = "one answer a request, not many at a time")]
pub enum RegistrationAnswer {
    /// The account was made and signed in.
    #[oai(status = 201)]
    Created(Json<Session>, #[oai(header = "Set-Cookie")] Option<String>),
    /// A mail is on its way to the address. The answer is the same if it has an account already.
    #[oai(status = 202)]
    Begun(Json<CodeChallenge>),
}

#[derive(Clone, ApiResponse)]
pub enum RegistrationBegun {
    /// A mail is on its way to the address.
    #[oai(status = 202)]
    Begun(Json<CodeChallenge>),
}

fn closed(detail: &'static str) -> ApiError {
    Problem::new(ProblemCode::RegistrationClosed, detail).into()
}

/// Refuses who may not register by themselves.
fn require_open(policy: Policy) -> Result<(), ApiError> {
    match policy {
        Policy::Open | Policy::EmailFirst => Ok(()),
        Policy::Invite => Err(closed("Accounts are made by invitation here. Ask for one.")),
        Policy::Closed => Err(closed("Ask an administrator for an account.")),
    }
}

/// Refuses where not even an invitation makes an account.
pub(crate) fn require_not_closed(policy: Policy) -> Result<(), ApiError> {
    match policy {
        Policy::Open | Policy::EmailFirst | Policy::Invite => Ok(()),
        Policy::Closed => require_open(policy),
    }
}

/// Refuses an account of an address that nobody has proved, where that comes first.
fn allow_unproved(policy: Policy) -> Result<(), ApiError> {
    match policy {
        Policy::Open | Policy::Invite | Policy::Closed => Ok(()),
        Policy::EmailFirst => Err(closed(
            "Addresses are proved first here: register without `password`, and send it after the code.",
        )),
    }
}

#[OpenApi(tag = "Tag::Auth")]
impl RegistrationApi {
    /// Register
    ///
    /// With a password: makes an account and its personal organisation, signs in, and mails a link and a code that
    /// verify the address. Without: mails a code to the address, whoever has it; the registration goes on with
    /// `/v1/auth/register/verify`.
    ///
    /// With the token of an invitation it also works where accounts are made by invitation only. The token of its mail
    /// verifies the address and accepts the invitation at once; any other lets the account be made, which accepts once
    /// its address is verified.
    #[oai(path = "/v1/auth/register", method = "post", operation_id = "register_account")]
    async fn register_account(&self, body: Json<Registration>) -> Result<RegistrationAnswer, ApiError> {
        let Registration {
            email,
            password,
            transport,
            first_name,
            last_name,
            invite_token,
        } = body.0;
        let policy = self.0.registration;
        match &invite_token {
            None => require_open(policy)?,
            Some(_) => require_not_closed(policy)?,
        }
        let Some(password) = password else {
            return match invite_token {
                None => self.begin_registration(&email).await,
                Some(_) => Err(Problem::field("password", "required", "is required with `invite_token`").into()),
            };
        };
        let password = Secret::new(password);
        let checked = register::Registration::check(&email, &password, &first_name, &last_name)?;
        let mailed = self.mailed_token(invite_token, &checked.email).await?;
        if mailed.is_none() {
            allow_unproved(policy)?;
        }
        let hash = self.0.passwords.hash(password).await?;
        let tx = self.0.begin_write().await?;
        let (keys, transport, origin) = (&self.0.keys, transport.into(), origin());
        let made = match mailed {
            None => register::register(&tx, keys, checked, hash, transport, &origin).await?,
            Some(token) => {
                let (made, _) =
                    accepting::accept_with_new_account(&tx, keys, &token, checked, hash, transport, &origin).await?;
                made
            }
        };
        let session = Session::new(&made.account, Some(&made.org), &made.tokens, tx.now());
        tx.commit(RegistrationAnswer::Created(
            Json(session),
            cookie(&self.0, &made.tokens),
        ))
        .await
    }

    /// Prove the address of a registration
    ///
    /// With the mailed code. It works for ten minutes, for five tries, once, and only with the token that the
    /// registration began with.
    #[oai(
        path = "/v1/auth/register/verify",
        method = "post",
        operation_id = "verify_registration"
    )]
    async fn verify_registration(&self, body: Json<RegistrationCode>) -> Result<Json<ProvedAddress>, ApiError> {
        let RegistrationCode { challenge_token, code } = body.0;
        require_open(self.0.registration)?;
        let macs = self.0.keys.token_mac();
        let proved = email_first::try_code(&self.0.db, macs, &challenge_token, &code).await?;
        let tx = self.0.begin_write().await?;
        let token = proved.finish(&tx, macs, &origin()).await?;
        let answer = Json(ProvedAddress {
            registration_token: token.expose().to_owned(),
            expires_in: i64::try_from(email_first::REGISTERING_TTL.as_secs()).unwrap_or(i64::MAX),
        });
        tx.commit_bookkeeping(answer).await
    }

    /// Complete a registration
    ///
    /// Makes the account, its address verified, with its personal organisation, and signs in.
    #[oai(
        path = "/v1/auth/register/complete",
        method = "post",
        operation_id = "complete_registration"
    )]
    async fn complete_registration(&self, body: Json<RegistrationCompletion>) -> Result<Registered, ApiError> {
        let RegistrationCompletion {
            registration_token,
            password,
            transport,
            first_name,
            last_name,
        } = body.0;
        require_open(self.0.registration)?;
        let password = Secret::new(password);
        let address = email_first::address(&self.0.db, self.0.keys.token_mac(), &registration_token).await?;
        let checked = register::Registration::check(&address.display, &password, &first_name, &last_name)?;
        let hash = self.0.passwords.hash(password).await?;
        let tx = self.0.begin_write().await?;
        let made = email_first::complete(
            &tx,
            &self.0.keys,
            &registration_token,
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

    /// Send the code of a registration again
    ///
    /// Mails a new code and answers with a new token; the ones before stop working. Beyond three mails an hour the
    /// answer is the same and no mail goes out.
    #[oai(
        path = "/v1/auth/register/resend",
        method = "post",
        operation_id = "resend_registration_code"
    )]
    async fn resend_registration_code(&self, body: Json<RegistrationRestart>) -> Result<RegistrationBegun, ApiError> {
        require_open(self.0.registration)?;
        let tx = self.0.begin_write().await?;
        let token = &body.0.challenge_token;
        let begun = email_first::begin_again(&tx, self.0.keys.token_mac(), token, &origin()).await?;
        let answer = RegistrationBegun::Begun(Json(CodeChallenge::new(&begun, tx.now())));
        tx.commit_bookkeeping(answer).await
    }
}

impl RegistrationApi {
    async fn begin_registration(&self, email: &str) -> Result<RegistrationAnswer, ApiError> {
        let tx = self.0.begin_write().await?;
        let begun = email_first::begin(&tx, self.0.keys.token_mac(), email, &origin()).await?;
        let answer = RegistrationAnswer::Begun(Json(CodeChallenge::new(&begun, tx.now())));
        tx.commit_bookkeeping(answer).await
    }

    /// The token of an invitation, if it proves the address.
    async fn mailed_token(&self, token: Option<String>, email: &Email) -> Result<Option<String>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let macs = self.0.keys.token_mac();
        Ok(
            match accepting::for_registration(&self.0.db, macs, &token, email).await? {
                Proof::Mailed => Some(token),
                Proof::Shown => None,
            },
        )
    }
}
