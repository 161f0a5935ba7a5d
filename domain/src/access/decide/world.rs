//! A small world to decide in: the organisations acme and globex, each with the projects web and api, each of those
//! with the environments dev, staging and prod.

use uuid::Uuid;

use super::super::class::EnvClass;
use super::super::facts::{
    AclRule, Actor, Effect, EnvRef, Facts, Membership, Principal, ProjectRef, Resource, Subject,
};
use super::super::pattern::{Pattern, PatternText};
use super::super::permission::GrantSet;
use super::super::role::{BuiltinRole, RoleLevel};
use crate::kernel::Timestamp;
use crate::kernel::id::{AclRuleId, EnvId, OrgId, ProjectId, ServiceAccountId, UserId};

pub const ACME: OrgId = OrgId(Uuid::from_u128(0xa));
pub const GLOBEX: OrgId = OrgId(Uuid::from_u128(0xb));
pub const DANA: UserId = UserId(Uuid::from_u128(0xd));
pub const ERIN: UserId = UserId(Uuid::from_u128(0xe));
pub const ROBOT: ServiceAccountId = ServiceAccountId(Uuid::from_u128(0xf));
pub const NOW: Timestamp = Timestamp(1_000);

pub fn dana() -> Actor {
    Actor::unlimited(Principal::User(DANA))
}

pub fn robot() -> Actor {
    Actor::unlimited(Principal::ServiceAccount(ROBOT))
}

pub fn project_id(slug: &str) -> ProjectId {
    let number = ["web", "api"].iter().position(|known| *known == slug).unwrap();
    ProjectId(Uuid::from_u128(0x100 + number as u128))
}

pub fn env_id(project: ProjectId, class: EnvClass) -> EnvId {
    EnvId(Uuid::from_u128((project.0.as_u128() << 8) + class as u128))
}

pub fn project(org: OrgId, slug: &'static str) -> Resource<'static> {
    Resource::project(
        org,
        ProjectRef {
            id: project_id(slug),
            slug,
        },
    )
}

/// The environment that is named as its class.
pub fn env(org: OrgId, slug: &'static str, class: EnvClass) -> Resource<'static> {
    let id = project_id(slug);
    Resource::env(
        org,
        ProjectRef { id, slug },
        EnvRef {
            id: env_id(id, class),
            slug: class.as_str(),
            class,
        },
    )
}

/// A key of acme's project web.
pub fn key(class: EnvClass, key: &'static str) -> Resource<'static> {
    env(ACME, "web", class).with_key(key)
}

pub fn grants(list: &[&str]) -> GrantSet {
    GrantSet::parse(list).unwrap()
}

pub fn pattern(text: &str) -> Pattern {
    let env_of = |project, slug: &str| EnvClass::parse(slug).ok().map(|class| env_id(project, class));
    PatternText::parse(text)
        .unwrap()
        .resolve(|slug| Some(project_id(slug)), env_of)
        .unwrap()
}

/// A built-in role in acme, or in one project of it.
pub fn member(project: Option<&str>, role: &str) -> Membership {
    let level = if project.is_some() {
        RoleLevel::Project
    } else {
        RoleLevel::Org
    };
    let role = BuiltinRole::by_name(level, role).unwrap();
    Membership {
        org: ACME,
        project: project.map(project_id),
        role: role.id,
        role_name: role.name.to_owned(),
        grants: role.grants().clone(),
        env_classes: None,
        expires_at: None,
    }
}

/// A rule in acme that does not expire.
pub fn rule(effect: Effect, subject: Subject, at: &str, list: &[&str]) -> AclRule {
    AclRule {
        id: AclRuleId(Uuid::from_u128(1)),
        org: ACME,
        subject,
        pattern: pattern(at),
        grants: grants(list),
        effect,
        expires_at: None,
    }
}

pub fn facts(memberships: impl Into<Vec<Membership>>, rules: impl Into<Vec<AclRule>>) -> Facts {
    Facts {
        memberships: memberships.into(),
        rules: rules.into(),
    }
}
