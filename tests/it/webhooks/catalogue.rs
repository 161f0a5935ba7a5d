//! The catalogue of events, and whether everything that is told is what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::crypto::key_store::CACHE_TTL;
use domain::journal::Action;
use domain::journal::entity::event;
use domain::kernel::Reads;
use domain::webhooks::payload;
use harness::app::{Options, eventually};
use harness::operations::OPERATIONS;
use harness::{Answer, Receiver, TestApp, on_both, on_each_backend, schema};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use super::hook;
use crate::access::Stage;

/// What the table of operations does not bring about; tests of their own do. A webhook is switched off by what its
/// receiver answers: the tests of `health`. A plan changes by what Stripe says: the tests of `billing`. Limits are reached
/// in the tests of `limits`.
const ELSEWHERE: [&str; 6] = [
    "access_rule.updated",
    "project.key_destroyed",
    "webhook.disabled",
    "billing.plan_changed",
    "limit.approaching",
    "limit.reached",
];

/// The schemas by their types.
pub struct Catalogue(BTreeMap<String, Value>);

impl Catalogue {
    pub async fn of(t: &TestApp) -> Self {
        let list = t
            .anonymous()
            .get("/v1/webhook-events?limit=100")
            .await
            .expect(200)
            .json();
        let entry = |entry: &Value| (entry["type"].as_str().unwrap().to_owned(), entry["schema"].clone());
        Self(list["data"].as_array().unwrap().iter().map(entry).collect())
    }

    /// Holds a body to the schema of its type; returns the type.
    pub fn assert_fits(&self, body: &Value) -> String {
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        let schema = self
            .0
            .get(&kind)
            .unwrap_or_else(|| panic!("not in the catalogue: {body}"));
        let faults = schema::faults(schema, body);
        assert!(faults.is_empty(), "{kind}: {faults:#?}\n{body:#}");
        kind
    }
}

fn delivered() -> BTreeSet<String> {
    let all = Action::ALL.iter().filter(|action| action.is_deliverable());
    all.map(|action| action.as_str().to_owned()).collect()
}

/// The bodies of what a request recorded.
async fn told(t: &TestApp, answer: &Answer) -> Vec<Value> {
    let request = answer.header("x-request-id").unwrap_or_default();
    let rows = event::Entity::find()
        .filter(event::Column::RequestId.eq(request))
        .all(t.db().conn())
        .await
        .expect("the query");
    let deliverable = |row: &&event::Model| Action::parse(&row.action).is_some_and(Action::is_deliverable);
    let body = |row: &event::Model| serde_json::from_slice(&payload::body(row, None).expect("a body")).expect("JSON");
    rows.iter().filter(deliverable).map(body).collect()
}

on_both! {
    async fn the_catalogue_is_for_everybody_and_its_examples_fit_its_schemas(t: TestApp) {
        let list = t.anonymous().get("/v1/webhook-events?limit=100").await.expect(200).json();
        let catalogue = Catalogue::of(&t).await;
        let entries = list["data"].as_array().cloned().unwrap_or_default();
        for entry in &entries {
            assert_eq!(entry["schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");
            assert!(entry["description"].as_str().is_some_and(|text| text.ends_with('.')), "{entry}");
            assert_eq!(catalogue.assert_fits(&entry["example"]), entry["type"]);
        }
        assert_eq!(entries.len(), delivered().len(), "none twice");
        assert_eq!(catalogue.0.keys().cloned().collect::<BTreeSet<_>>(), delivered());
    }

    async fn the_document_lists_every_type_with_its_schema(t: TestApp) {
        let webhooks = t.document()["webhooks"].as_object().expect("webhooks");
        assert_eq!(webhooks.keys().cloned().collect::<BTreeSet<_>>(), delivered());
        for (kind, mut schema) in Catalogue::of(&t).await.0 {
            schema.as_object_mut().unwrap().shift_remove("$schema");
            let body = &webhooks[&kind]["post"]["requestBody"]["content"]["application/json"];
            assert_eq!((&body["schema"], &body["example"]["type"]), (&schema, &json!(kind)));
        }
    }

    async fn whatever_an_operation_tells_is_what_the_catalogue_says(t: TestApp) {
        let stage = Stage::new(t).await;
        let catalogue = Catalogue::of(&stage.app).await;
        let place = stage.world.production();
        let mut seen = BTreeSet::new();
        for operation in OPERATIONS.iter().filter(|operation| operation.mutates) {
            stage.reset(operation).await;
            let answer = stage.call(stage.doer(operation), operation, &place).await;
            assert_eq!(answer.status(), operation.success, "{}: {}", operation.id, answer.text());
            for body in told(&stage.app, &answer).await {
                seen.insert(catalogue.assert_fits(&body));
            }
        }
        seen.extend(ELSEWHERE.map(str::to_owned));
        assert_eq!(seen, delivered());
    }

    async fn a_rule_that_changes_and_roles_that_end_are_told_as_the_catalogue_says(t: TestApp) {
        let catalogue = Catalogue::of(&t).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        let rule = |permission: &str| {
            let subject = json!({ "type": "user", "id": dana.id.to_string() });
            json!({ "subject": subject, "pattern": "web/@dev", "permissions": [permission] })
        };
        let role = json!({ "role": "viewer", "env_classes": ["dev", "staging"], "expires_at": "2100-01-02T03:04:05Z" });
        let roles = acme.path(&format!("/members/{}/roles", dana.id));
        let renamed = json!({ "key": "NEW_NAME" });
        let secret = web.env("staging").secret("NAME");
        let mut kinds = Vec::new();
        for answer in [
            acme.owner.post(&acme.path("/acl"), rule("secrets:read")).await.expect(201),
            acme.owner.post(&acme.path("/acl"), rule("secrets:write")).await.expect(200),
            acme.owner.post(&roles, role).await.expect(201),
            acme.owner.post(&acme.path("/invites"), json!({ "role": "viewer", "env_classes": ["dev"] })).await.expect(201),
            acme.owner.put(&secret, json!({ "value": "one" })).await.expect(201),
            acme.owner.patch(&secret, renamed).await.expect(200),
        ] {
            let bodies = told(&t, &answer).await;
            assert_eq!(bodies.len(), 1, "{bodies:?}");
            kinds.extend(bodies.iter().map(|body| catalogue.assert_fits(body)));
        }
        let expected = [
            "access_rule.created", "access_rule.updated", "member.updated", "invite.created", "secret.created", "secret.updated",
        ];
        assert_eq!(kinds, expected);
    }

    async fn no_body_carries_a_value_a_comment_or_a_token(t: TestApp) {
        let receiver = Receiver::start().await;
        let catalogue = Catalogue::of(&t).await;
        let acme = t.org("acme").await;
        hook(&acme, &receiver.url, json!({})).await;
        let web = acme.project("web").await;
        let (owner, env) = (&acme.owner, web.env("staging"));
        let (secret, under) = (env.secret("DB_URL"), |rest: &str| format!("{}/{rest}", env.0));
        let canary = |name: &str| json!({ "value": format!("canary-{name}"), "comment": "canary-comment" });
        owner.put(&secret, canary("one")).await.ok();
        owner.put(&secret, canary("two")).await.ok();
        owner.post(&format!("{secret}/rollback"), json!({ "version": 1 })).await.ok();
        owner.post(&under("bulk"), json!({ "secrets": { "A": canary("a"), "B": "canary-b" } })).await.ok();
        owner.post(&under("import"), json!({ "C": "canary-c" })).await.ok();
        let promote = json!({ "from": "staging", "to": "production" });
        owner.post(&format!("{}/promote", web.path), promote).await.ok();
        owner.delete(&secret).await.ok();
        owner.post(&format!("{secret}/restore"), json!({})).await.ok();
        owner.post(&under("bulk-delete"), json!({ "keys": ["A", "B"] })).await.ok();
        let invite = owner.post(&acme.path("/invites"), json!({ "role": "viewer" })).await.expect(201);
        let robot = owner.post(&acme.path("/service-accounts"), json!({ "name": "ci" })).await.expect(201);
        let tokens = [invite.at("/token"), robot.at("/key"), robot.at("/client_secret")];
        let expected = [
            "invite.created", "project.created", "secret.bulk_delete", "secret.bulk_set", "secret.bulk_set", "secret.created",
            "secret.deleted", "secret.promoted", "secret.restored", "secret.updated", "secret.updated",
            "service_account.created",
        ];
        let mut kinds = Vec::new();
        for request in receiver.expect(expected.len()).await {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            assert!(!text.contains("canary"), "{text}");
            assert!(!tokens.iter().any(|token| !token.is_empty() && text.contains(token)), "{text}");
            kinds.push(catalogue.assert_fits(&request.json()));
        }
        kinds.sort();
        assert_eq!(kinds, expected);
    }
}

on_each_backend! {
    async fn the_end_of_an_old_key_is_told_as_the_catalogue_says(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.post(&format!("{}/rotate-key", web.path), json!({})).await.expect(202).ok();
        let sealed = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring' AND emptied_at IS NULL";
        eventually("nothing is sealed under it", || async { t.number(sealed).await == 0 }).await;
        t.advance(CACHE_TTL + Duration::from_secs(1));
        let retiring = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring'";
        eventually("it is destroyed", || async { t.number(retiring).await == 0 }).await;
        let feed = acme.owner.get(&acme.path("/events?types=project.key_destroyed")).await.expect(200).json();
        let told = feed["data"].as_array().cloned().unwrap_or_default();
        let [told] = &told[..] else { panic!("{feed}") };
        assert_eq!(Catalogue::of(&t).await.assert_fits(told), "project.key_destroyed");
        assert_eq!(told["data"]["actor"], json!({ "type": "system", "id": null }));
    }
}
