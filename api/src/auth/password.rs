//! Changing the password.

use std::sync::Arc;

use domain::auth::password;
use domain::kernel::Secret;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::session::cookie_of;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct PasswordApi(pub Arc<App>);

/// A change of password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    #[oai(write_only)]
    pub current_password: String,
    /// The new one: 8 to 1024 bytes, and hard to guess.
    #[oai(write_only)]
    pub new_password: String,
}

#[derive(Clone, ApiResponse)]
pub enum PasswordChanged {
    /// The password was changed.
    #[oai(status = 204)]
    Done(#[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(tag = "Tag::Auth")]
impl PasswordApi {
    /// Change the password
    ///
    /// Other sessions end, this one goes on; if a cookie carries it, under a new cookie. Personal tokens go on too. The
    /// person is told by mail.
    #[oai(path = "/v1/auth/password", method = "post", operation_id = "change_password")]
    async fn change_password(&self, caller: Caller, body: Json<PasswordChange>) -> Result<PasswordChanged, ApiError> {
        let PasswordChange {
            current_password,
            new_password,
        } = body.0;
        let (current, new) = (Secret::new(current_password), Secret::new(new_password));
        let change = password::check_change(self.0.checks(), &caller, current, new).await?;
        let tx = self.0.begin_write().await?;
        let renewed = password::change(&tx, self.0.keys.token_mac(), &caller, change).await?;
        let cookie = renewed.map(|token| cookie_of(&self.0, &token));
        tx.commit(PasswordChanged::Done(cookie)).await
    }
}
