//! Gives roles and makes rules, and remembers them as the facts of a decision. What has no operation yet is put into
//! the database.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::time::Duration;

use domain::access::facts::{AclRule, Effect, Membership, Subject};
use domain::access::pattern::{Pattern, PatternText};
use domain::access::role::RoleLevel;
use domain::access::{BuiltinRole, ClassSet, GrantSet, Principal};
use domain::kernel::id::{MembershipId, OrgId, ProjectId, RoleId, ServiceAccountId};
use domain::kernel::{Reads, Timestamp};
use sea_orm::{ConnectionTrait, Value};
use serde_json::json;

use super::world::Side;
use crate::app::TestApp;
use crate::client::Client;
use crate::people::Person;

/// A role to be held.
#[derive(Clone)]
pub struct Role {
    pub id: RoleId,
    pub name: String,
    pub grants: GrantSet,
}

/// A built-in role.
///
/// # Panics
/// When there is none of this name.
pub fn builtin(level: RoleLevel, name: &str) -> Role {
    let role = BuiltinRole::by_name(level, name).expect("a built-in role");
    Role {
        id: role.id,
        name: name.to_owned(),
        grants: role.grants().clone(),
    }
}

/// Writes rows of one organisation.
pub struct Seed<'a> {
    pub app: &'a TestApp,
    pub side: &'a Side,
    /// The owner of the side, for what has an operation.
    pub owner: &'a Person,
}

fn id_of(principal: Principal) -> String {
    match principal {
        Principal::User(id) => id.to_string(),
        Principal::ServiceAccount(id) => id.to_string(),
    }
}

fn ids(principal: Principal) -> (&'static str, uuid::Uuid) {
    match principal {
        Principal::User(id) => ("user", id.0),
        Principal::ServiceAccount(id) => ("service_account", id.0),
    }
}

impl Seed<'_> {
    fn org(&self) -> OrgId {
        self.side.org_id
    }

    /// A new id.
    ///
    /// # Panics
    /// Without random numbers.
    pub fn id<T: From<uuid::Uuid>>(&self) -> T {
        T::from(self.app.db().rng().uuid(self.app.clock.now()).expect("an id"))
    }

    /// Runs one statement.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) {
        let tx = self.app.db().begin_write().await.expect("open a transaction");
        tx.conn()
            .execute_raw(tx.sql(sql, values))
            .await
            .expect("run the statement");
        tx.commit_bookkeeping().await.expect("commit");
    }

    /// Makes a role of the organisation's own.
    pub async fn role(&self, level: RoleLevel, audience: &str, name: &str, permissions: &[&str]) -> Role {
        let body = json!({ "name": name, "level": level.as_str(), "audience": audience, "permissions": permissions });
        let path = format!("/v1/orgs/{}/roles", self.side.org);
        let made = self.owner.post(&path, body).await.expect(201);
        Role {
            id: made.at("/id").parse().expect("an id"),
            name: name.to_owned(),
            grants: GrantSet::parse(permissions).expect("permissions"),
        }
    }

    /// The owner gives a role in the organisation or in one of its projects, beside what is held there.
    pub async fn membership(&self, to: Principal, role: &Role, project: Option<ProjectId>) -> Membership {
        self.membership_until(to, role, project, None, None).await
    }

    /// The owner gives a role that reads certain classes, or ends. What has ended already is beyond any owner, and
    /// is written into the database.
    pub async fn membership_until(
        &self,
        to: Principal,
        role: &Role,
        project: Option<ProjectId>,
        env_classes: Option<ClassSet>,
        expires_at: Option<Timestamp>,
    ) -> Membership {
        let held = Membership {
            env_classes,
            expires_at,
            ..self.held(role, project)
        };
        if expires_at.is_some_and(|end| end <= self.app.clock.now()) {
            return self.written_membership(to, held).await;
        }
        let place = project.map_or_else(String::new, |id| format!("/projects/{id}"));
        let members = format!("/v1/orgs/{}{place}/members", self.side.org);
        let mut body = json!({ "role": role.id.to_string() });
        if let Some(classes) = env_classes {
            body["env_classes"] = classes.iter().map(|class| class.to_string()).collect();
        }
        if let Some(end) = expires_at {
            body["expires_at"] = end.to_string().into();
        }
        let id = id_of(to);
        let more = self.owner.post(&format!("{members}/{id}/roles"), body.clone()).await;
        if more.status() == 404 {
            body["user_id"] = id.into();
            self.owner.post(&members, body).await.expect(201).ok();
        } else {
            more.expect(201).ok();
        }
        held
    }

    /// Writes a role into the database that no owner could give.
    pub async fn written_membership(&self, to: Principal, held: Membership) -> Membership {
        let (subject_type, subject) = ids(to);
        let scope = held.project.map_or(self.org().0, |project| project.0);
        let sql =
            "INSERT INTO memberships (id, org_id, project_id, scope_id, subject_type, subject_id, role_id, env_classes,
                       granted_by, expires_at, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, $9, $10)";
        let values = [
            self.id::<MembershipId>().into(),
            self.org().into(),
            held.project.into(),
            scope.into(),
            subject_type.into(),
            subject.into(),
            held.role.into(),
            held.env_classes.map(|classes| classes.to_string()).into(),
            held.expires_at.into(),
            self.app.clock.now().into(),
        ];
        self.run(sql, values).await;
        held
    }

    /// Makes an access rule.
    pub async fn rule(&self, about: Subject, effect: Effect, pattern: &str, permissions: &[&str]) -> AclRule {
        let (kind, id) = match about {
            Subject::User(id) => ("user", id.to_string()),
            Subject::ServiceAccount(id) => ("service_account", id.to_string()),
            Subject::Role(id) => ("role", id.to_string()),
        };
        let subject = json!({ "type": kind, "id": id });
        let body = json!({
            "subject": subject, "pattern": pattern, "permissions": permissions, "effect": effect.as_str(),
        });
        let path = format!("/v1/orgs/{}/acl", self.side.org);
        let made = self.owner.post(&path, body).await.expect(201);
        AclRule {
            id: made.at("/id").parse().expect("an id"),
            org: self.org(),
            subject: about,
            pattern: self.pattern(pattern),
            grants: GrantSet::parse(permissions).expect("permissions"),
            effect,
            expires_at: None,
        }
    }

    /// Makes a rule end in the past, which no operation can.
    pub async fn lapse(&self, rule: AclRule) -> AclRule {
        let expires_at = Some(self.app.clock.now() - Duration::from_secs(1));
        let sql = "UPDATE acl_rules SET expires_at = $2 WHERE id = $1";
        self.run(sql, [rule.id.into(), expires_at.into()]).await;
        AclRule { expires_at, ..rule }
    }

    /// A pattern over the names of this side.
    ///
    /// # Panics
    /// When it is none.
    pub fn pattern(&self, text: &str) -> Pattern {
        let parsed = PatternText::parse(text).expect("a pattern");
        let env = |slug: &str| self.side.envs.iter().find(|env| env.slug == slug).map(|env| env.id);
        let project = |slug: &str| (slug == self.side.project).then_some(self.side.project_id);
        parsed
            .resolve(project, |_, slug| env(slug))
            .expect("names that are there")
    }

    /// What holding a role is as a fact, whoever gave it.
    pub fn held(&self, role: &Role, project: Option<ProjectId>) -> Membership {
        Membership {
            org: self.org(),
            project,
            role: role.id,
            role_name: role.name.clone(),
            grants: role.grants.clone(),
            env_classes: None,
            expires_at: None,
        }
    }

    /// Makes a service account with a key, as somebody who may; returns the key.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn service_account(&self, by: &Client, body: serde_json::Value) -> (ServiceAccountId, String) {
        let path = format!("/v1/orgs/{}/service-accounts", self.side.org);
        let made = by.post(&path, body).await.expect(201);
        (made.at("/id").parse().expect("an id"), made.at("/key"))
    }
}
