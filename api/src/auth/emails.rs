//! The addresses of an account, and proving that they are its own.

use std::sync::Arc;

use domain::auth::address::{self, Address, Which};
use domain::auth::verification;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::kernel::{Problem, ProblemCode};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::session::Done;
use crate::app::App;
use crate::http::authenticate::origin;
use crate::http::caller::{Caller, OptionalCaller};
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct EmailsApi(pub Arc<App>);

/// An address of the account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Email {
    /// Id of the address: `eml_…`.
    pub id: String,
    /// The address.
    pub email: String,
    /// Whether mails go there.
    pub is_default: bool,
    /// Whether it was proved to be the person's own. Only then it signs in.
    pub is_verified: bool,
    /// When it was proved.
    pub verified_at: Option<Time>,
    /// When it was added.
    pub created_at: Time,
}

impl From<Address> for Email {
    fn from(address: Address) -> Self {
        let Address {
            id,
            address,
            is_default,
            verified_at,
            created_at,
        } = address;
        Self {
            id: id.to_string(),
            email: address,
            is_default,
            is_verified: verified_at.is_some(),
            verified_at: verified_at.map(Into::into),
            created_at: created_at.into(),
        }
    }
}

/// An address to be added.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewEmail {
    /// The address, unique without regard to case.
    pub email: String,
}

/// Changes to an address.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct EmailPatch {
    /// `true` makes it the default, where mails go.
    pub is_default: bool,
}

/// A code that proves an address.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct EmailCode {
    /// The six digits in the mail.
    #[oai(write_only)]
    pub code: String,
}

/// The token of a link, or a code.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct VerifyEmail {
    /// The token in the link: `srm_lnk_…`. It works in any browser.
    #[oai(write_only)]
    pub token: Option<String>,
    /// The six digits in the mail, for the signed-in person.
    #[oai(write_only)]
    pub code: Option<String>,
    /// The address that the code is for; absent: the default one.
    pub email: Option<String>,
}

#[derive(Clone, ApiResponse)]
pub enum EmailAdded {
    /// The address was added, and a mail is on its way there.
    #[oai(status = 201)]
    Created(Json<Email>),
}

#[OpenApi(tag = "Tag::Auth")]
impl EmailsApi {
    /// Verify an e-mail address
    ///
    /// With the token of the link that was mailed, which works once and for 24 hours, in any browser; or, signed in, with
    /// the code beside it, which works for ten minutes and five tries.
    #[oai(path = "/v1/auth/email/verify", method = "post", operation_id = "verify_email")]
    async fn verify_email(&self, caller: OptionalCaller, body: Json<VerifyEmail>) -> Result<Done, ApiError> {
        let macs = self.0.keys.token_mac();
        match body.0 {
            VerifyEmail {
                token: Some(token),
                code: None,
                email: None,
            } => {
                let tx = self.0.begin_write().await?;
                verification::verify(&tx, macs, &token, &origin()).await?;
                tx.commit(Done::Done).await
            }
            VerifyEmail {
                token: None,
                code: Some(code),
                email,
            } => {
                let caller = caller.0.ok_or_else(|| {
                    let detail = "A code works for the signed-in person. Sign in, or open the link of the mail.";
                    Problem::new(ProblemCode::Unauthenticated, detail)
                })?;
                let which = email.as_deref().map_or(Which::Default, Which::Address);
                let proved = address::try_code(&self.0.db, macs, &caller, which, &code).await?;
                let tx = self.0.begin_write().await?;
                proved.verify(&tx, &caller).await?;
                tx.commit(Done::Done).await
            }
            VerifyEmail { .. } => {
                let message = "send the token of the link, or the code with or without its address";
                Err(Problem::field("token", "required", message).into())
            }
        }
    }

    /// Send the verification mail again
    ///
    /// To the default address of the signed-in account. Links and codes of earlier mails stop working. Beyond three mails
    /// an hour none goes out.
    #[oai(
        path = "/v1/auth/email/send-verification",
        method = "post",
        operation_id = "send_email_verification"
    )]
    async fn send_email_verification(&self, caller: Caller) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        verification::send_to_default(&tx, self.0.keys.token_mac(), &caller).await?;
        tx.commit(Done::Done).await
    }

    /// List addresses
    ///
    /// Those of the signed-in account: the default first.
    #[oai(path = "/v1/auth/emails", method = "get", operation_id = "list_emails")]
    async fn list_emails(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Email>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let addresses = address::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(addresses, Email::from)))
    }

    /// Add an address
    ///
    /// A link and a code go there, unless three went there within the hour. Once verified it signs in like the default
    /// one. The default address is told.
    #[oai(path = "/v1/auth/emails", method = "post", operation_id = "add_email")]
    async fn add_email(&self, caller: Caller, body: Json<NewEmail>) -> Result<EmailAdded, ApiError> {
        let tx = self.0.begin_write().await?;
        let added = address::add(&tx, self.0.keys.token_mac(), &caller, &body.0.email).await?;
        tx.commit(EmailAdded::Created(Json(added.into()))).await
    }

    /// Verify an added address
    ///
    /// With the mailed code, which works for ten minutes and five tries. What other accounts claim of the address ends.
    #[oai(
        path = "/v1/auth/emails/:email/verify",
        method = "post",
        operation_id = "verify_email_address"
    )]
    async fn verify_email_address(
        &self,
        caller: Caller,
        /// Id of the address: `eml_…`.
        email: Path<String>,
        body: Json<EmailCode>,
    ) -> Result<Done, ApiError> {
        let macs = self.0.keys.token_mac();
        let proved = address::try_code(&self.0.db, macs, &caller, Which::Id(&email), &body.0.code).await?;
        let tx = self.0.begin_write().await?;
        proved.verify(&tx, &caller).await?;
        tx.commit(Done::Done).await
    }

    /// Send an address its verification mail again
    ///
    /// Links and codes of earlier mails stop working. Beyond three mails an hour none goes out.
    #[oai(
        path = "/v1/auth/emails/:email/resend",
        method = "post",
        operation_id = "resend_email_verification"
    )]
    async fn resend_email_verification(
        &self,
        caller: Caller,
        /// Id of the address: `eml_…`.
        email: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        address::resend(&tx, self.0.keys.token_mac(), &caller, &email).await?;
        tx.commit(Done::Done).await
    }

    /// Make an address the default
    ///
    /// Mails go there from now on. It has to be verified. The address that was the default before is told.
    #[oai(
        path = "/v1/auth/emails/:email",
        method = "patch",
        operation_id = "set_default_email"
    )]
    async fn set_default_email(
        &self,
        caller: Caller,
        /// Id of the address: `eml_…`.
        email: Path<String>,
        body: Json<EmailPatch>,
    ) -> Result<Json<Email>, ApiError> {
        let tx = self.0.begin_write().await?;
        if !body.0.is_default {
            address::get(&*tx, &caller, &email).await?;
            let message = "must be true; make another address the default instead";
            return Err(Problem::field("is_default", "conflict", message).into());
        }
        let (address, changed) = address::set_default(&tx, &caller, &email).await?;
        let answer = Json(Email::from(address));
        if changed {
            return tx.commit(answer).await;
        }
        tx.commit_unchanged(answer).await
    }

    /// Remove an address
    ///
    /// Links and codes that went there stop working. The default address cannot be removed; it is told.
    #[oai(path = "/v1/auth/emails/:email", method = "delete", operation_id = "delete_email")]
    async fn delete_email(
        &self,
        caller: Caller,
        /// Id of the address: `eml_…`.
        email: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        address::delete(&tx, &caller, &email).await?;
        tx.commit(Done::Done).await
    }
}
