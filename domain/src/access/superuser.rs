//! Superusers look after the instance: they see what there is, and never what is in it. They act from a session alone,
//! and what they do stands in the ledger of whom it concerns, told as a superuser's act.

use std::marker::PhantomData;

use sea_orm::FromQueryResult;

use super::caller::{ActorKind, Caller, Origin};
use super::grant::Permitted;
use crate::kernel::id::{OrgId, ProjectId, UserId};
use crate::kernel::{Error, Problem, Reads, Result};

/// Proof that the caller is a superuser.
#[derive(Clone, Debug)]
pub struct Superuser {
    /// The caller, acting as superuser.
    caller: Caller,
    user: UserId,
}

fn refused() -> Error {
    Problem::forbidden("Only a superuser may do this: somebody who looks after the instance.").into()
}

#[derive(FromQueryResult)]
struct Standing {
    is_superuser: bool,
}

/// Whether an account is a superuser's and in order.
///
/// # Errors
/// [`Error::Db`].
async fn is_still(from: &impl Reads, id: UserId) -> Result<bool> {
    let sql = "SELECT is_superuser FROM users WHERE id = $1 AND disabled_at IS NULL";
    let found = Standing::find_by_statement(from.sql(sql, [id.into()]));
    let found = found.one(from.conn()).await?;
    Ok(found.is_some_and(|standing| standing.is_superuser))
}

impl Superuser {
    /// The caller as a superuser.
    ///
    /// # Errors
    /// `forbidden` for everybody else; `session_required` for a superuser's token.
    pub fn require(caller: &Caller) -> Result<Self> {
        caller.mark_decided();
        if !caller.is_superuser {
            return Err(refused());
        }
        let user = caller.session_user()?;
        let mut caller = caller.clone();
        caller.origin.actor = ActorKind::Superuser;
        Ok(Self { caller, user })
    }

    /// The account.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The caller, whose acts are told as a superuser's.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where an act comes from, as the journal keeps it.
    pub fn origin(&self) -> &Origin {
        &self.caller.origin
    }

    /// Asks once more: it may have been taken away while this request waited for its turn.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn again(&self, from: &impl Reads) -> Result<()> {
        if is_still(from, self.user).await? {
            return Ok(());
        }
        Err(refused())
    }

    /// A live organisation, for an act that needs `A` of its own people.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn org<A: Permitted>(&self, from: &impl Reads, id: OrgId) -> Result<OverseenOrg<A>> {
        require_org(from, id).await?;
        Ok(OverseenOrg {
            org: id,
            permission: PhantomData,
        })
    }

    /// A live project by its id, for an act that needs `A` of its own people.
    ///
    /// # Errors
    /// `not_found`, also for a slug: those are each organisation's own.
    pub async fn project<A: Permitted>(&self, from: &impl Reads, id: &str) -> Result<OverseenProject<A>> {
        let project: ProjectId = id.parse().map_err(|_| Problem::not_found())?;
        Ok(OverseenProject {
            org: org_of(from, project).await?,
            project,
            permission: PhantomData,
        })
    }
}

#[derive(FromQueryResult)]
struct Org {
    id: OrgId,
}

async fn require_org(from: &impl Reads, id: OrgId) -> Result<()> {
    let sql = "SELECT id FROM orgs WHERE id = $1 AND deleted_at IS NULL";
    let found = Org::find_by_statement(from.sql(sql, [id.into()]));
    found.one(from.conn()).await?.ok_or_else(Problem::not_found)?;
    Ok(())
}

async fn org_of(from: &impl Reads, project: ProjectId) -> Result<OrgId> {
    let sql = "SELECT o.id FROM projects p JOIN orgs o ON o.id = p.org_id AND o.deleted_at IS NULL
        WHERE p.id = $1 AND p.deleted_at IS NULL";
    let found = Org::find_by_statement(from.sql(sql, [project.into()]));
    let found = found.one(from.conn()).await?.ok_or_else(Problem::not_found)?;
    Ok(found.id)
}

/// An organisation that a superuser acts in, as somebody who may do `A` there.
#[derive(Debug)]
pub struct OverseenOrg<A> {
    pub org: OrgId,
    permission: PhantomData<A>,
}

/// A project that a superuser acts in, as somebody who may do `A` there.
#[derive(Debug)]
pub struct OverseenProject<A> {
    pub org: OrgId,
    pub project: ProjectId,
    permission: PhantomData<A>,
}

impl<A: Permitted> OverseenOrg<A> {
    /// The same once more, after waiting.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn again(&self, from: &impl Reads, caller: &Caller) -> Result<Self> {
        let superuser = Superuser::require(caller)?;
        superuser.again(from).await?;
        superuser.org(from, self.org).await
    }
}

impl<A: Permitted> OverseenProject<A> {
    /// The same once more, after waiting.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn again(&self, from: &impl Reads, caller: &Caller) -> Result<Self> {
        let superuser = Superuser::require(caller)?;
        superuser.again(from).await?;
        superuser.project(from, &self.project.to_string()).await
    }
}
