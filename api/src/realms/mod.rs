//! Realms: the users of an organisation's own application, their tokens, and what a token that was shown is good for.

pub mod authorize;
pub mod authorize_dto;
pub mod dto;
pub mod tokens;
pub mod users;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (users::RealmUsersApi, tokens::RealmTokensApi, authorize::AuthorizeApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        users::RealmUsersApi(app.clone()),
        tokens::RealmTokensApi(app.clone()),
        authorize::AuthorizeApi(app.clone()),
    )
}
