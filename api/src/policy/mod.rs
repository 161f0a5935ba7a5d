//! Roles of an organisation's own, allow and deny rules, and the reasons of decisions.

use std::sync::Arc;

use crate::app::App;

pub mod access;
pub mod access_dto;
pub mod role_dto;
pub mod roles;
pub mod rule_dto;
pub mod rules;

/// The operations of this area.
pub type Apis = (roles::RolesApi, rules::AccessRulesApi, access::AccessApi);

/// Over an application.
pub fn apis(app: &Arc<App>) -> Apis {
    (
        roles::RolesApi(app.clone()),
        rules::AccessRulesApi(app.clone()),
        access::AccessApi(app.clone()),
    )
}
