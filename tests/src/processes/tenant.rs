//! A tenant that is set up over HTTP and nothing else, as a newcomer does it.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::collections::HashMap;

use domain::journal::entity::event;
use domain::kernel::id::OrgId;
use domain::kernel::{Db, Reads};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use crate::client::Client;
use crate::people::PASSWORD;
use crate::receiver::Receiver;

/// An owner with an organisation, a project, and perhaps a webhook for everything.
#[derive(Clone)]
pub struct Tenant {
    /// The owner, signed in.
    pub person: Client,
    /// Shows a personal token of the owner's, which outlives restarts and hours.
    pub client: Client,
    pub org_id: OrgId,
    /// `/v1/orgs/acme`.
    pub org: String,
    /// The path of the production environment's secrets, with a slash at the end.
    pub secrets: String,
    /// The signing secret of the webhook.
    pub signing_secret: String,
}

impl Tenant {
    /// Registers an owner and makes what it needs.
    ///
    /// # Panics
    /// When something is refused.
    pub async fn create(url: &str, slug: &str, receiver: Option<&Receiver>) -> Self {
        let anonymous = Client::new(url);
        // The personal organisation takes its slug from the address.
        let email = format!("owner-of-{slug}@example.com");
        let account = json!({ "email": email, "password": PASSWORD, "transport": "bearer" });
        let session = anonymous.post("/v1/auth/register", account).await.expect(201);
        let person = anonymous.bearer(&session.at("/access_token"));
        let token = person
            .post("/v1/auth/tokens", json!({ "name": "walk" }))
            .await
            .expect(201);
        let client = anonymous.bearer(&token.at("/token"));
        let made = person
            .post("/v1/orgs", json!({ "name": slug, "slug": slug }))
            .await
            .expect(201);
        let org = format!("/v1/orgs/{slug}");
        let mut signing_secret = String::new();
        if let Some(receiver) = receiver {
            let body = json!({ "url": receiver.url, "events": ["*"] });
            let made = person.post(&format!("{org}/webhooks"), body).await.expect(201);
            signing_secret = made.at("/secret");
        }
        let project = json!({ "name": "web", "slug": "web" });
        person.post(&format!("{org}/projects"), project).await.ok();
        Self {
            person,
            client,
            org_id: made.at("/id").parse().expect("an id"),
            secrets: format!("{org}/projects/web/environments/production/secrets/"),
            org,
            signing_secret,
        }
    }

    /// The same, talking to another process.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        let mut tenant = self.clone();
        url.clone_into(&mut tenant.client.base);
        url.clone_into(&mut tenant.person.base);
        tenant
    }

    /// Every event of the journal of this organisation, oldest first.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn journal(&self, db: &Db) -> Vec<event::Model> {
        event::Entity::find()
            .filter(event::Column::LedgerId.eq(self.org_id.0))
            .order_by_asc(event::Column::Seq)
            .all(db.conn())
            .await
            .expect("read the journal")
    }

    /// How many events of the journal tell of each version of each key.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn journalled_versions(&self, db: &Db) -> HashMap<(String, i64), usize> {
        let mut told = HashMap::new();
        for row in self.journal(db).await {
            if !matches!(row.action.as_str(), "secret.created" | "secret.updated") {
                continue;
            }
            let data: serde_json::Value = serde_json::from_str(&row.data).expect("JSON in the journal");
            for change in data["keys"].as_array().expect("the keys of a change") {
                let key = change["key"].as_str().expect("a key").to_owned();
                *told
                    .entry((key, change["version"].as_i64().expect("a version")))
                    .or_default() += 1;
            }
        }
        told
    }

    /// The ids, in their public form, of what the journal has for the webhook.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn owed(&self, db: &Db) -> Vec<String> {
        let rows = self.journal(db).await;
        // The organisation was made before its webhook.
        let deliverable = |row: &&event::Model| {
            domain::journal::Action::parse(&row.action).is_some_and(domain::journal::Action::is_deliverable)
                && row.action != "org.created"
        };
        rows.iter().filter(deliverable).map(|row| row.id.to_string()).collect()
    }

    /// Asserts that the audit log is whole and fits what is stored.
    ///
    /// # Panics
    /// When it is not.
    pub async fn verify(&self) {
        let found = self
            .client
            .get(&format!("{}/audit-logs/verify", self.org))
            .await
            .expect(200);
        assert_eq!(found.at("/valid"), "true", "{}", found.text());
        assert_ne!(found.at("/secrets_checked"), "0");
    }
}

/// One number of a database.
///
/// # Panics
/// When the query gives none.
pub async fn number(db: &Db, query: &str) -> i64 {
    let row = db.conn().query_one_raw(db.sql(query, [])).await.expect("run the query");
    row.expect("a row").try_get_by_index(0).expect("a number")
}

/// Runs a statement.
///
/// # Panics
/// When the database refuses it.
pub async fn sql(db: &Db, statement: &str) {
    let tx = db.begin_write().await.expect("open a transaction");
    tx.execute_unprepared(statement).await.expect("run the statement");
    tx.commit_bookkeeping().await.expect("commit");
}
