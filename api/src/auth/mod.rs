//! Registration, sign-in, second factors, sessions, personal tokens.

pub mod account;
pub mod dto;
pub mod password;
mod qr;
pub mod second_factor;
pub mod session;
pub mod sessions;
pub mod sign_in;
pub mod tokens;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    session::SessionApi,
    sessions::SessionsApi,
    password::PasswordApi,
    second_factor::SecondFactorApi,
    account::AccountApi,
    tokens::TokensApi,
);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        session::SessionApi(app.clone()),
        sessions::SessionsApi(app.clone()),
        password::PasswordApi(app.clone()),
        second_factor::SecondFactorApi(app.clone()),
        account::AccountApi(app.clone()),
        tokens::TokensApi(app.clone()),
    )
}
