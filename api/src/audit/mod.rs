//! The audit log: the journal of an organisation, as its admins see it.

pub mod audit_logs;
pub mod dto;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = audit_logs::AuditApi;

pub fn apis(app: &Arc<App>) -> Apis {
    audit_logs::AuditApi(app.clone())
}
