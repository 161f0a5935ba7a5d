//! Where people are members: an organisation and a project go by the same rules.

use std::future::Future;

use super::membership::Scope;
use super::ownership;
use crate::access::grant::{self, OrgAccess, Permitted, ProjectAccess};
use crate::access::{Caller, GrantSet, OverseenOrg, OverseenProject, Permission};
use crate::kernel::{Result, WriteTx};

/// An organisation or a project in which the caller may do `Proof`.
pub trait Place: Sized + Send + Sync {
    /// The permission that is proven.
    type Proof;

    fn scope(&self) -> Scope;

    /// A second permission for the same act.
    ///
    /// # Errors
    /// `forbidden`, `insufficient_scope`.
    fn require(&self, permission: Permission) -> Result<()>;

    /// Nobody grants above themselves.
    ///
    /// # Errors
    /// `forbidden` naming what the caller lacks.
    fn require_holds(&self, grants: &GrantSet) -> Result<()>;

    /// Nobody changes or removes somebody who holds more.
    ///
    /// # Errors
    /// `forbidden` naming what is beyond the caller.
    fn require_rank(&self, grants: &GrantSet) -> Result<()>;

    /// Asks once more whether the caller may.
    ///
    /// # Errors
    /// Whatever the first question could be answered with.
    fn again(&self, from: &WriteTx, caller: &Caller) -> impl Future<Output = Result<Self>> + Send;
}

impl<A: Permitted> Place for OrgAccess<A> {
    type Proof = A;

    fn scope(&self) -> Scope {
        Scope {
            org: self.org.id,
            project: None,
        }
    }

    fn require(&self, permission: Permission) -> Result<()> {
        self.require(permission)
    }

    fn require_holds(&self, grants: &GrantSet) -> Result<()> {
        self.require_holds(grants)
    }

    fn require_rank(&self, grants: &GrantSet) -> Result<()> {
        self.require_rank(grants)
    }

    async fn again(&self, from: &WriteTx, caller: &Caller) -> Result<Self> {
        grant::org(from, caller, &self.org.id.to_string()).await
    }
}

impl<A: Permitted> Place for ProjectAccess<A> {
    type Proof = A;

    fn scope(&self) -> Scope {
        Scope {
            org: self.org.id,
            project: Some(self.project.id),
        }
    }

    fn require(&self, permission: Permission) -> Result<()> {
        self.require(permission)
    }

    fn require_holds(&self, grants: &GrantSet) -> Result<()> {
        self.require_holds(grants)
    }

    fn require_rank(&self, grants: &GrantSet) -> Result<()> {
        self.require_rank(grants)
    }

    async fn again(&self, from: &WriteTx, caller: &Caller) -> Result<Self> {
        let (org, project) = (self.org.id.to_string(), self.project.id.to_string());
        grant::project(from, caller, &org, &project).await
    }
}

/// A superuser is bound by none of what binds people of the organisation among themselves.
impl<A: Permitted> Place for OverseenOrg<A> {
    type Proof = A;

    fn scope(&self) -> Scope {
        Scope {
            org: self.org,
            project: None,
        }
    }

    fn require(&self, _: Permission) -> Result<()> {
        Ok(())
    }

    fn require_holds(&self, _: &GrantSet) -> Result<()> {
        Ok(())
    }

    fn require_rank(&self, _: &GrantSet) -> Result<()> {
        Ok(())
    }

    async fn again(&self, from: &WriteTx, caller: &Caller) -> Result<Self> {
        self.again(from, caller).await
    }
}

impl<A: Permitted> Place for OverseenProject<A> {
    type Proof = A;

    fn scope(&self) -> Scope {
        Scope {
            org: self.org,
            project: Some(self.project),
        }
    }

    fn require(&self, _: Permission) -> Result<()> {
        Ok(())
    }

    fn require_holds(&self, _: &GrantSet) -> Result<()> {
        Ok(())
    }

    fn require_rank(&self, _: &GrantSet) -> Result<()> {
        Ok(())
    }

    async fn again(&self, from: &WriteTx, caller: &Caller) -> Result<Self> {
        self.again(from, caller).await
    }
}

/// Changes to who belongs to an organisation go one after the other. What the caller may do is asked again, for it may
/// have been taken away while this request waited for its turn.
///
/// # Errors
/// Whatever the first question could be answered with.
pub async fn locked<P: Place>(tx: &WriteTx, caller: &Caller, place: P) -> Result<P> {
    if ownership::lock(tx, place.scope().org).await? {
        return place.again(tx, caller).await;
    }
    Ok(place)
}
