//! Registration, sign-in, codes, second factors, addresses, sessions, personal tokens.

pub mod account;
pub mod codes;
pub mod device;
pub mod dto;
pub mod emails;
pub mod password;
mod qr;
pub mod registration;
pub mod second_factor;
pub mod session;
pub mod sessions;
pub mod sign_in;
pub mod token_dto;
pub mod tokens;
pub mod users;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    registration::RegistrationApi,
    session::SessionApi,
    codes::CodesApi,
    sessions::SessionsApi,
    password::PasswordApi,
    second_factor::SecondFactorApi,
    account::AccountApi,
    emails::EmailsApi,
    users::UsersApi,
    tokens::TokensApi,
    device::DeviceApi,
);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        registration::RegistrationApi(app.clone()),
        session::SessionApi(app.clone()),
        codes::CodesApi(app.clone()),
        sessions::SessionsApi(app.clone()),
        password::PasswordApi(app.clone()),
        second_factor::SecondFactorApi(app.clone()),
        account::AccountApi(app.clone()),
        emails::EmailsApi(app.clone()),
        users::UsersApi(app.clone()),
        tokens::TokensApi(app.clone()),
        device::DeviceApi(app.clone()),
    )
}
