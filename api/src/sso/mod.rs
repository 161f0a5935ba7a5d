//! Single sign-on: signing in with an identity provider of others, and how organisations set theirs up.

pub mod dto;
pub mod half;
pub mod identities;
pub mod org_provider;
pub mod sign_in;
pub mod testing;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (sign_in::SsoApi, identities::SsoIdentitiesApi, org_provider::OrgSsoApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        sign_in::SsoApi(app.clone()),
        identities::SsoIdentitiesApi(app.clone()),
        org_provider::OrgSsoApi(app.clone()),
    )
}
