//! Who may do what, as an organisation sets it: its own roles, allow and deny rules, and the reasons of decisions.

pub mod access_rule;
pub mod assignable;
pub mod entity;
pub mod explain;
pub mod fact;
mod permissions;
pub mod put_rule;
pub mod question;
pub mod role;
pub mod role_change;
pub mod subject;
pub mod who_can;

use sea_orm::ConnectionTrait;

use crate::kernel::id::OrgId;
use crate::kernel::{Backend, Reads, Result, WriteTx};

/// One change of an organisation's policy at a time, so that what a check saw still holds when it is written. SQLite
/// has one writer anyway.
async fn lock(tx: &WriteTx, org: OrgId) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let sql = "SELECT id FROM orgs WHERE id = $1 FOR NO KEY UPDATE";
        tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    }
    Ok(())
}
