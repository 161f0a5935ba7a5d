//! The people of a test and what is theirs.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::ops::Deref;

use domain::kernel::id::{OrgId, ProjectId, UserId};
use serde_json::json;

use crate::app::TestApp;
use crate::client::Client;

/// A password that is strong enough.
pub const PASSWORD: &str = "correct horse battery staple";

/// A signed-in person. Speaks to the API through its client.
#[derive(Clone)]
pub struct Person {
    client: Client,
    pub id: UserId,
    pub email: String,
    /// Slug of the personal organisation.
    pub personal_org: String,
    pub refresh_token: String,
}

impl Deref for Person {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Person {
    /// The person's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same person with tokens of another session.
    #[must_use]
    pub fn with_tokens(&self, access: &str, refresh: &str) -> Self {
        Self {
            client: self.client.bearer(access),
            refresh_token: refresh.to_owned(),
            ..self.clone()
        }
    }

    /// A personal token of this person's, as a client.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn token(&self, body: serde_json::Value) -> Client {
        let made = self.post("/v1/auth/tokens", body).await.expect(201);
        self.client.bearer(&made.at("/token"))
    }
}

impl TestApp {
    /// Registers `name@example.com`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "transport": "bearer", "first_name": name });
        let made = self.anonymous().post("/v1/auth/register", body).await.expect(201);
        Person {
            client: self.anonymous().bearer(&made.at("/access_token")),
            id: made.at("/user/id").parse().expect("an account id"),
            email,
            personal_org: made.at("/org/slug"),
            refresh_token: made.at("/refresh_token"),
        }
    }

    /// Registers `name@example.com` and proves the address, as its mail would: for tests that are about something else.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn proved_person(&self, name: &str) -> Person {
        let person = self.person(name).await;
        let prove = "UPDATE user_emails SET verified_at = created_at WHERE verified_at IS NULL AND canonical";
        self.sql(&format!("{prove} = '{}'", person.email)).await;
        person
    }

    /// An organisation of this slug, owned by a new person `slug-owner`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn org(&self, slug: &str) -> Org<'_> {
        let owner = self.person(&format!("{slug}-owner")).await;
        let made = owner
            .post("/v1/orgs", json!({ "name": slug, "slug": slug }))
            .await
            .expect(201);
        Org {
            app: self,
            id: made.at("/id").parse().expect("an id"),
            slug: slug.to_owned(),
            owner,
        }
    }
}

/// An organisation.
pub struct Org<'a> {
    pub(crate) app: &'a TestApp,
    pub id: OrgId,
    pub slug: String,
    pub owner: Person,
}

impl Org<'_> {
    /// `/v1/orgs/acme` and what follows.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/orgs/{}{rest}", self.slug)
    }

    /// A new person with a role in the whole organisation.
    pub async fn member(&self, name: &str, role: &str) -> Person {
        let person = self.app.person(name).await;
        self.grant(person.id, None, role).await;
        person
    }

    /// A new person who develops.
    pub async fn developer(&self, name: &str) -> Person {
        self.member(name, "developer").await
    }

    /// The owner gives a role in the organisation, or in one project.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn grant(&self, user: UserId, project: Option<ProjectId>, role: &str) {
        let members = match project {
            None => self.path("/members"),
            Some(project) => self.path(&format!("/projects/{project}/members")),
        };
        let body = json!({ "user_id": user.to_string(), "role": role });
        self.owner.post(&members, body).await.ok();
    }

    /// The owner removes somebody from the organisation.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn remove(&self, user: UserId) {
        let member = self.path(&format!("/members/{user}"));
        self.owner.delete(&member).await.expect(204).ok();
    }

    /// A new project, made by the owner.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn project(&self, slug: &str) -> Project {
        let made = self
            .owner
            .post(&self.path("/projects"), json!({ "name": slug, "slug": slug }))
            .await
            .expect(201);
        Project {
            id: made.at("/id").parse().expect("an id"),
            path: self.path(&format!("/projects/{slug}")),
        }
    }
}

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: ProjectId,
    /// `/v1/orgs/acme/projects/web`.
    pub path: String,
}

impl Project {
    /// One of its environments, by slug.
    pub fn env(&self, slug: &str) -> EnvPath {
        EnvPath(format!("{}/environments/{slug}", self.path))
    }
}

/// The path of an environment.
#[derive(Clone, Debug)]
pub struct EnvPath(pub String);

impl EnvPath {
    /// `…/secrets`.
    pub fn secrets(&self) -> String {
        format!("{}/secrets", self.0)
    }

    /// `…/keys`.
    pub fn keys(&self) -> String {
        format!("{}/keys", self.0)
    }

    /// `…/secrets/KEY`.
    pub fn secret(&self, key: &str) -> String {
        format!("{}/secrets/{key}", self.0)
    }
}
