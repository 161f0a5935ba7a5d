//! Registration, sign-in, sessions, personal tokens.

pub mod account;
pub mod dto;
pub mod session;
pub mod tokens;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (session::SessionApi, account::AccountApi, tokens::TokensApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        session::SessionApi(app.clone()),
        account::AccountApi(app.clone()),
        tokens::TokensApi(app.clone()),
    )
}
