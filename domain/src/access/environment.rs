//! Environments behind their gate: the loader is the check, as in [`super::grant`].

use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use sha2::{Digest as _, Sha256};

use super::caller::Caller;
use super::class::EnvClass;
use super::decide::{decide, decide_any_key, decide_for, tells_keys_apart};
use super::facts::{Effect, EnvRef, Principal, ProjectRef, Resource};
use super::grant::{Permitted, held, loaded};
use super::held::Held;
use super::load::{EnvRow, Loaded, OrgRow, ProjectRow, load};
use super::permission::Permission;
use crate::kernel::{Error, Problem, Reads, Result};

/// An environment in which the caller may do `A`: to all of its keys, or to those that [`EnvAccess::allows_key`] lets
/// through.
#[derive(Debug)]
pub struct EnvAccess<A> {
    pub org: OrgRow,
    pub project: ProjectRow,
    pub env: EnvRow,
    pub(super) held: Held,
    pub(super) permission: PhantomData<A>,
}

impl<A> EnvAccess<A> {
    fn resource(&self) -> Resource<'_> {
        resource_of(&self.org, &self.project, &self.env)
    }

    /// The proof for another permission in the same environment, from what was loaded for this one.
    ///
    /// # Errors
    /// As [`env`].
    pub fn also<B: Permitted>(&self) -> Result<EnvAccess<B>> {
        let same = EnvAccess::<A> {
            org: self.org.clone(),
            project: self.project.clone(),
            env: self.env.clone(),
            held: self.held.clone(),
            permission: PhantomData,
        };
        same.checked()
    }

    /// Before an environment is given another class: nobody may make themselves more at home in it than they were. What
    /// the caller may do with its secrets must not grow, and no rule may hold by its class against them.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_no_gain_by(&self, class: EnvClass) -> Result<()> {
        let Held { actor, facts, now, .. } = &self.held;
        let before = self.resource();
        let after = Resource {
            env: before.env.map(|env| EnvRef { class, ..env }),
            ..before
        };
        let gains = |permission: Permission| {
            decide_any_key(actor, permission, &after, facts, *now).allow
                && !decide(actor, permission, &before, facts, *now).allow
        };
        let mut secrets = Permission::ALL
            .iter()
            .copied()
            .filter(|permission| permission.acts_on_keys());
        let mut rules = facts.rules.iter().filter(|rule| rule.is_live(*now));
        if secrets.any(gains) || rules.any(|rule| rule.effect == Effect::Deny && rule.pattern.class().is_some()) {
            let detail = "The other class would let you do more with the secrets here than you may now.";
            return Err(Problem::forbidden(detail).into());
        }
        Ok(())
    }

    fn checked<B: Permitted>(self) -> Result<EnvAccess<B>> {
        let Self {
            org,
            project,
            env,
            held,
            permission: _,
        } = self;
        let resource = resource_of(&org, &project, &env);
        // A rule about single keys lets its subject at the secrets of an environment, never at the environment itself.
        let decision = decide_for(&held.actor, B::PERMISSION, &resource, &held.facts, held.now);
        held.require(decision, B::PERMISSION, &resource)?;
        Ok(EnvAccess {
            org,
            project,
            env,
            held,
            permission: PhantomData,
        })
    }
}

impl<A: Permitted> EnvAccess<A> {
    /// Demands that the proof extends to this key.
    fn with_key(self, key: &str) -> Result<Self> {
        let Held { actor, facts, now, .. } = &self.held;
        let resource = self.resource().with_key(key);
        let decision = decide(actor, A::PERMISSION, &resource, facts, *now);
        self.held.require(decision, A::PERMISSION, &resource)?;
        Ok(self)
    }

    /// Whether the proof extends to this key.
    pub fn allows_key(&self, key: &str) -> bool {
        decide(
            &self.held.actor,
            A::PERMISSION,
            &self.resource().with_key(key),
            &self.held.facts,
            self.held.now,
        )
        .allow
    }

    /// Says of any of its keys whether the proof extends to it: [`EnvAccess::allows_key`], decided once for all where nothing
    /// that decides tells keys apart.
    pub fn allowed_keys(&self) -> impl Fn(&str) -> bool {
        let alike = !tells_keys_apart(&self.held.actor, &self.held.facts);
        let all = alike.then(|| self.allows_key("ANY"));
        move |key| all.unwrap_or_else(|| self.allows_key(key))
    }

    /// Changes whenever what the caller may see of a selection of the environment may have changed, and with the environment, which
    /// others may follow under the same name: part of its `ETag`.
    pub fn scope_digest(&self, selection: &impl Hash) -> [u8; 32] {
        let Held {
            actor,
            facts,
            now,
            lacks_second_factor: _,
        } = &self.held;
        // Facts that have expired are no part of what the caller may see.
        let memberships: Vec<_> = facts.memberships.iter().filter(|held| held.is_live(*now)).collect();
        let rules: Vec<_> = facts.rules.iter().filter(|rule| rule.is_live(*now)).collect();
        // What is derived takes every field.
        let mut digest = Digest::default();
        (actor, memberships, rules, self.env.id, self.env.class, selection).hash(&mut digest);
        digest.0.finalize().into()
    }
}

/// SHA-256 of whatever can be hashed.
#[derive(Default)]
struct Digest(Sha256);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

fn resource_of<'a>(org: &OrgRow, project: &'a ProjectRow, env: &'a EnvRow) -> Resource<'a> {
    let project = ProjectRef {
        id: project.id,
        slug: &project.slug,
    };
    Resource::env(
        org.id,
        project,
        EnvRef {
            id: env.id,
            slug: &env.slug,
            class: env.class,
        },
    )
}

/// Loads an environment in which the caller may do `A` to at least some key.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`.
pub async fn env<A: Permitted>(
    from: &impl Reads,
    caller: &Caller,
    org: &str,
    project: &str,
    env: &str,
) -> Result<EnvAccess<A>> {
    let access: EnvAccess<A> = loaded_env(from, caller, &[org, project, env]).await?;
    access.checked()
}

/// Loads an environment in which the caller may do `A` to this very key, whether or not there is such a key.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`.
pub async fn key<A: Permitted>(
    from: &impl Reads,
    caller: &Caller,
    org: &str,
    project: &str,
    env: &str,
    key: &str,
) -> Result<EnvAccess<A>> {
    let access: EnvAccess<A> = loaded_env(from, caller, &[org, project, env]).await?;
    access.with_key(key)
}

/// The same for several keys, asked for at once and with several credentials by one principal: what is loaded for one of them
/// holds for all.
///
/// # Errors
/// [`Error::Db`] and faults of ours; what is wrong with one of them is told in its place.
pub async fn keys<A: Permitted>(
    from: &impl Reads,
    principal: Principal,
    [org, project, env]: [&str; 3],
    asked: &[(&Caller, &str)],
) -> Result<Vec<Result<EnvAccess<A>>>> {
    let loaded = load(from, principal, &[org, project, env], false).await?;
    let decide = |(caller, key): &(&Caller, &str)| {
        caller.mark_decided();
        let loaded = loaded.as_ref().filter(|_| caller.actor.principal == principal);
        let loaded = loaded.ok_or_else(Problem::not_found)?;
        found(loaded.clone(), held(from, caller, loaded))?.with_key(key)
    };
    Ok(asked.iter().map(decide).collect())
}

/// Loads two environments of a project, in each of which the caller may do something to at least some key, in the one
/// query that one of them takes.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`: of the first, then of the second.
pub async fn env_pair<A: Permitted, B: Permitted>(
    from: &impl Reads,
    caller: &Caller,
    org: &str,
    project: &str,
    (first, second): (&str, &str),
) -> Result<(EnvAccess<A>, EnvAccess<B>)> {
    let (loaded, held) = loaded(from, caller, &[org, project, first, second]).await?;
    let Loaded {
        org,
        project,
        env,
        other,
        facts: _,
        epoch: _,
    } = loaded;
    let project = project.ok_or_else(Problem::not_found)?;
    let access = |env: Option<EnvRow>| {
        Ok::<_, Error>(EnvAccess::<A> {
            org: org.clone(),
            project: project.clone(),
            env: env.ok_or_else(Problem::not_found)?,
            held: held.clone(),
            permission: PhantomData,
        })
    };
    let first = access(env)?.checked::<A>()?;
    let second = access(other)?.checked::<B>()?;
    Ok((first, second))
}

async fn loaded_env<A: Permitted>(from: &impl Reads, caller: &Caller, path: &[&str]) -> Result<EnvAccess<A>> {
    let (loaded, held) = loaded(from, caller, path).await?;
    found(loaded, held)
}

fn found<A>(loaded: Loaded, held: Held) -> Result<EnvAccess<A>> {
    let Loaded { org, project, env, .. } = loaded;
    match (project, env) {
        (Some(project), Some(env)) => Ok(EnvAccess {
            org,
            project,
            env,
            held,
            permission: PhantomData,
        }),
        _ => Err(Problem::not_found().into()),
    }
}
