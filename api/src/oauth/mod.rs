//! The OAuth 2 and OpenID provider. What clients and browsers call by the standards stands at `/oauth` and
//! `/.well-known`, is described by its discovery document, and fails as RFC 6749 says; the management of clients is an
//! operation like any other.

mod answer;
mod authorize;
pub mod client_dto;
pub mod clients;
mod consent;
mod device;
mod endpoints;
mod form;
pub mod grants;
mod html;
mod sign_in;
pub(crate) mod visitor;
mod well_known;
mod wording;

use std::sync::Arc;

use poem::http::Method;
use poem::{EndpointExt, Route, get, post};

use crate::app::App;
use crate::http::routes::RouteTable;

/// The operations of this area.
pub type Apis = (clients::ClientsApi, grants::GrantsApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (clients::ClientsApi(app.clone()), grants::GrantsApi(app.clone()))
}

/// Adds the endpoints and pages to the routes.
pub fn add(routes: Route, app: &Arc<App>) -> Route {
    let app = || Arc::clone(app);
    routes
        .at(
            "/.well-known/openid-configuration",
            get(well_known::discovery).data(app()),
        )
        .at(
            "/.well-known/oauth-authorization-server",
            get(well_known::discovery).data(app()),
        )
        .at("/.well-known/jwks.json", get(well_known::keys).data(app()))
        .at(
            "/oauth/authorize",
            get(authorize::ask).post(authorize::decide).data(app()),
        )
        .at("/oauth/token", post(endpoints::issue_tokens).data(app()))
        .at(
            "/oauth/userinfo",
            get(endpoints::userinfo).post(endpoints::userinfo).data(app()),
        )
        .at("/oauth/revoke", post(endpoints::revoke).data(app()))
        .at("/oauth/introspect", post(endpoints::introspect).data(app()))
        .at("/oauth/device", post(endpoints::begin_device).data(app()))
        .at("/device", get(device::ask).post(device::decide).data(app()))
        .at("/sign-in", get(sign_in::ask).post(sign_in::submit).data(app()))
}

/// The methods of those paths, for whoever uses another.
pub fn methods(table: RouteTable) -> RouteTable {
    let both = [Method::GET, Method::POST];
    let (read, write) = ([Method::GET], [Method::POST]);
    table
        .with("/oauth/authorize", &both)
        .with("/oauth/userinfo", &both)
        .with("/device", &both)
        .with("/sign-in", &both)
        .with("/oauth/token", &write)
        .with("/oauth/revoke", &write)
        .with("/oauth/introspect", &write)
        .with("/oauth/device", &write)
        .with("/.well-known/openid-configuration", &read)
        .with("/.well-known/oauth-authorization-server", &read)
        .with("/.well-known/jwks.json", &read)
}
