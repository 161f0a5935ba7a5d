//! The sessions of the signed-in account, its security log, and confirming that it is still its person.

use std::sync::Arc;

use domain::auth::sessions::Session as DomainSession;
use domain::auth::throttle::{Attempt, Subject};
use domain::auth::{sessions, sudo};
use domain::journal::{self, EventFilter};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::kernel::{Problem, Secret};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::dto::Transport;
use super::session::{Done, cookie_of};
use crate::app::App;
use crate::audit::dto::AuditEvent;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct SessionsApi(pub Arc<App>);

/// A session of the account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionInfo {
    /// Id of the session: `ses_…`.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// How its client carries it.
    pub transport: Transport,
    /// How it was opened, in the words of RFC 8176: `pwd`, `code`, `otp`, `recovery`.
    pub amr: Vec<String>,
    /// Where it was opened or last prolonged.
    pub ip_address: Option<String>,
    /// The program that it was opened or last prolonged with.
    pub user_agent: Option<String>,
    /// When it was opened.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
    /// When it ends if it is not prolonged.
    pub expires_at: Option<Time>,
}

impl From<DomainSession> for SessionInfo {
    fn from(session: DomainSession) -> Self {
        let DomainSession {
            id,
            is_current,
            transport,
            amr,
            ip,
            user_agent,
            created_at,
            last_used_at,
            expires_at,
        } = session;
        Self {
            id: id.to_string(),
            current: is_current,
            transport: transport.into(),
            amr: amr.names(),
            ip_address: ip,
            user_agent,
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.map(Into::into),
        }
    }
}

/// What proves that it is still the session's person.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Confirmation {
    /// The password, for an account without a second factor.
    #[oai(write_only)]
    pub password: Option<String>,
    /// The six digits of the authenticator app or a recovery code, for an account with a second factor; a mailed code,
    /// for one with neither second factor nor password.
    #[oai(write_only)]
    pub code: Option<String>,
    /// With a mailed code: the token of the answer to `/v1/auth/code`.
    #[oai(write_only)]
    pub challenge_token: Option<String>,
}

/// A session whose person was confirmed.
#[derive(Clone, Debug, Object)]
pub struct Confirmed {
    /// Until when dangerous acts need no further confirmation.
    pub confirmed_until: Time,
}

#[derive(Clone, ApiResponse)]
pub enum SessionConfirmed {
    /// The person was confirmed.
    #[oai(status = 200)]
    Ok(Json<Confirmed>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(tag = "Tag::Auth")]
impl SessionsApi {
    /// List sessions
    ///
    /// Those of the account that are live, newest first.
    #[oai(path = "/v1/auth/sessions", method = "get", operation_id = "list_sessions")]
    async fn list_sessions(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<SessionInfo>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = sessions::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(found, SessionInfo::from)))
    }

    /// End a session
    ///
    /// Its tokens are refused from the next request on, the refresh token included.
    #[oai(
        path = "/v1/auth/sessions/:session",
        method = "delete",
        operation_id = "revoke_session"
    )]
    async fn revoke_session(
        &self,
        caller: Caller,
        /// Id of the session: `ses_…`.
        session: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        sessions::revoke(&tx, &caller, &session).await?;
        tx.commit(Done::Done).await
    }

    /// End all other sessions
    ///
    /// Every session of the account but this one. Personal tokens go on.
    #[oai(
        path = "/v1/auth/sessions",
        method = "delete",
        operation_id = "revoke_other_sessions"
    )]
    async fn revoke_other_sessions(&self, caller: Caller) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        match sessions::revoke_others(&tx, &caller).await? {
            0 => tx.commit_unchanged(Done::Done).await,
            _ => tx.commit(Done::Done).await,
        }
    }

    /// Confirm that it is you
    ///
    /// Dangerous acts need a sign-in or a confirmation within the last ten minutes; without one they answer
    /// `step_up_required`. An account with a second factor shows a code, one without it its password, one with neither
    /// a mailed code. A wrong proof is answered with the `methods` that the account can show. A session that a cookie
    /// carries goes on under a new cookie.
    #[oai(path = "/v1/auth/sudo", method = "post", operation_id = "confirm_session")]
    async fn confirm_session(&self, caller: Caller, body: Json<Confirmation>) -> Result<SessionConfirmed, ApiError> {
        let Confirmation {
            password,
            code,
            challenge_token,
        } = body.0;
        let shown = sudo::Shown {
            password: password.map(Secret::new),
            code,
            challenge_token,
        };
        let checked = sudo::check(self.0.checks(), &caller, shown).await?;
        let subject = Subject::account(self.0.keys.token_mac(), Attempt::SecondFactor, caller.session_user()?);
        let confirm = async {
            let tx = self.0.begin_write().await?;
            let sudo::Confirmed { until, renewed } = sudo::confirm(&tx, &self.0.keys, &caller, checked).await?;
            let body = Json(Confirmed {
                confirmed_until: until.into(),
            });
            let cookie = renewed.map(|token| cookie_of(&self.0, &token));
            tx.commit(SessionConfirmed::Ok(body, cookie)).await
        };
        Box::pin(self.0.throttle.guard(&self.0.db, subject, confirm)).await
    }

    /// List security events
    ///
    /// What happened to the signed-in account: sign-ins, changes of password, second factor, addresses and tokens. The
    /// newest first. Page with `offset`, or with `next_cursor` as `after`.
    #[oai(
        path = "/v1/auth/security-log",
        method = "get",
        operation_id = "list_security_events"
    )]
    async fn list_security_events(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
        /// The `next_cursor` of the page before.
        after: Query<Option<String>>,
    ) -> Result<Json<List<AuditEvent>>, ApiError> {
        let user = caller.session_user()?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let before_seq = after.0.map(|text| text.parse::<i64>()).transpose();
        let filter = EventFilter {
            before_seq: before_seq
                .map_err(|_| Problem::field("after", "format", "must be a `next_cursor` of this list"))?,
            ..EventFilter::default()
        };
        let found = journal::list(&self.0.db, user.0, filter, page).await?;
        Ok(Json(List::of_cursor(found, AuditEvent::from)))
    }
}
