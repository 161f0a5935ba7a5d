//! Invitations from the other side: seen and accepted by whoever holds a token.

use std::sync::Arc;

use domain::auth::register::Registration;
use domain::kernel::{Problem, Reads, Secret};
use domain::members::accepting;
use domain::realms::invitation::{self, Newcomer};
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::invitation_dto::{AcceptedInvite, Invitation, InviteAcceptance, InviteAccepted};
use crate::app::App;
use crate::auth::registration::require_not_closed;
use crate::auth::session::cookie;
use crate::http::authenticate::origin;
use crate::http::caller::OptionalCaller;
use crate::http::optional_body::OptionalJson;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct InvitationsApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Members")]
impl InvitationsApi {
    /// Show an invitation
    ///
    /// However it stands, to whoever has its token. A token that is unknown, or was replaced by sending again, answers as
    /// if there were no invitation.
    #[oai(path = "/v1/invites/:token", method = "get", operation_id = "get_invite")]
    async fn get_invite(
        &self,
        /// The token of the invitation: `srm_inv_…`.
        token: Path<String>,
    ) -> Result<Json<Invitation>, ApiError> {
        let shown = accepting::show(&self.0.db, self.0.keys.token_mac(), &token).await?;
        Ok(Json(shown.into()))
    }

    /// Accept an invitation
    ///
    /// For the signed-in person, if the invited address is one of theirs and verified; the token of the mail verifies it
    /// too. An open link takes anybody with a verified address. Not signed in, the token of the mail makes an account of
    /// the invited address where there is none, verified, with its personal organisation, and signs in. Anybody else is
    /// asked to sign in first. An invitation into a realm makes a user of it instead, whoever is signed in: its
    /// `first_name` and `last_name` become the user's name.
    #[oai(path = "/v1/invites/:token/accept", method = "post", operation_id = "accept_invite")]
    async fn accept_invite(
        &self,
        caller: OptionalCaller,
        /// The token of the invitation: `srm_inv_…`.
        token: Path<String>,
        body: OptionalJson<InviteAcceptance>,
    ) -> Result<InviteAccepted, ApiError> {
        let body = body.0.unwrap_or_default();
        if accepting::into_realm(&self.0.db, self.0.keys.token_mac(), &token)
            .await?
            .is_some()
        {
            return self.accept_into_realm(&token, body).await;
        }
        let OptionalCaller(Some(caller)) = caller else {
            return self.accept_as_newcomer(&token, body).await;
        };
        let tx = self.0.begin_write().await?;
        let invite = accepting::accept(&tx, self.0.keys.token_mac(), &caller, &token).await?;
        let accepted = AcceptedInvite::of_member(invite);
        tx.commit(InviteAccepted::Accepted(Json(accepted), None)).await
    }
}

impl InvitationsApi {
    async fn accept_into_realm(&self, token: &str, body: InviteAcceptance) -> Result<InviteAccepted, ApiError> {
        let InviteAcceptance {
            email,
            password,
            first_name,
            last_name,
            transport: _,
        } = body;
        let (app, macs) = (&self.0, self.0.keys.token_mac());
        let newcomer = Newcomer {
            email,
            password: password.map(Secret::new),
            display_name: format!("{first_name} {last_name}"),
        };
        let checked = invitation::check(&app.db, macs, &app.passwords, token, newcomer).await?;
        let checked = checked.ok_or_else(Problem::not_found)?;
        let tx = app.begin_write().await?;
        let (user, invite) = invitation::accept(&tx, macs, token, checked, &origin()).await?;
        let accepted = AcceptedInvite::of_realm(invite, user.into());
        tx.commit(InviteAccepted::Accepted(Json(accepted), None)).await
    }

    async fn accept_as_newcomer(&self, token: &str, body: InviteAcceptance) -> Result<InviteAccepted, ApiError> {
        let InviteAcceptance {
            email,
            password,
            first_name,
            last_name,
            transport,
        } = body;
        let (app, transport) = (&self.0, transport.into());
        let address = accepting::newcomer(&app.db, app.keys.token_mac(), token).await?;
        if email.is_some_and(|said| !said.trim().eq_ignore_ascii_case(&address)) {
            return Err(Problem::field("email", "conflict", "must be the address that was invited").into());
        }
        require_not_closed(app.registration)?;
        let required = || {
            Problem::field(
                "password",
                "required",
                "is required: it becomes that of the new account",
            )
        };
        let password = Secret::new(password.ok_or_else(required)?);
        let checked = Registration::check(&address, &password, &first_name, &last_name)?;
        let hash = app.passwords.hash(password).await?;
        let tx = app.begin_write().await?;
        let (made, invite) =
            accepting::accept_with_new_account(&tx, &app.keys, token, checked, hash, transport, &origin()).await?;
        let accepted = AcceptedInvite::of_newcomer(invite, &made, tx.now());
        tx.commit(InviteAccepted::Accepted(Json(accepted), cookie(app, &made.tokens)))
            .await
    }
}
