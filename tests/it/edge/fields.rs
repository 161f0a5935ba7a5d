//! Bodies that are JSON and are not what the operation takes: every operation, every field.

use harness::client::{Answer, Client};
use harness::schema::{Document, Operation};
use harness::{TestApp, on_both};
use serde_json::{Map, Value, json};

use super::good_bodies::good_body;

/// Everything that a change could leave behind.
const TRACES: [&str; 20] = [
    "journal",
    "users",
    "orgs",
    "projects",
    "environments",
    "secrets",
    "secret_versions",
    "credentials",
    "webhooks",
    "service_accounts",
    "memberships",
    "invites",
    "challenges",
    "oauth_clients",
    "oauth_grants",
    "oauth_devices",
    "realm_users",
    "realm_user_roles",
    "mails",
    "jobs",
];

on_both! {
    async fn an_unknown_field_is_named_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        for (operation, body) in place.bodies() {
            let mut body = body.clone();
            body["zzz"] = 1.into();
            let refused = place.refused(&t, &operation, &body).await;
            assert_eq!(refused.at("/errors/0/field"), "zzz", "{}: {}", operation.id, refused.text());
            assert_eq!(refused.at("/errors/0/reason"), "unknown", "{}", operation.id);
        }
    }

    async fn an_unknown_field_of_an_object_within_is_named_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        let mut tried = 0;
        for (operation, body) in place.bodies() {
            let properties = place.properties(&operation).into_iter();
            for (name, _) in properties.filter(|(_, property)| place.members(property).is_some()) {
                let mut body = body.clone();
                put(&mut body, &format!("{name}.zzz"), json!(1));
                let refused = place.refused(&t, &operation, &body).await;
                let shown = format!("{} {name}: {}", operation.id, refused.text());
                assert!(refused.at("/errors/0/field").ends_with("zzz"), "{shown}");
                assert_eq!(refused.at("/errors/0/reason"), "unknown", "{shown}");
                tried += 1;
            }
        }
        assert!(tried >= 3, "{tried}");
    }

    async fn a_text_with_nul_is_named_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        for (operation, body) in place.bodies() {
            for text in place.texts(&operation) {
                let mut body = body.clone();
                put(&mut body, &text, json!("a\0b"));
                let refused = place.refused(&t, &operation, &body).await;
                let shown = format!("{} {text}: {}", operation.id, refused.text());
                assert_eq!(refused.at("/errors/0/field"), text, "{shown}");
                assert_eq!(refused.at("/errors/0/reason"), "format", "{shown}");
            }
        }
    }

    // Longer than anything may be, secrets included.
    async fn a_text_that_is_too_long_is_refused_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        let long = "x".repeat(70_000);
        let (mut named, mut ignored) = (0, Vec::new());
        for (operation, body) in place.bodies() {
            for text in place.texts(&operation).into_iter().filter(|text| !text.starts_with("metadata")) {
                let mut body = body.clone();
                put(&mut body, &text, json!(long));
                let before = traces(&t).await;
                let answer = place.send(&operation, "application/json", body.to_string().into_bytes()).await;
                let shown = format!("{} {text}: {} {}", operation.id, answer.status(), answer.code());
                if answer.status() < 300 {
                    ignored.push(format!("{} {text}", operation.id));
                    continue;
                }
                assert!((400..500).contains(&answer.status()), "{shown}");
                assert!(!answer.text().contains(&long[..1000]), "{shown}: it repeats what it refuses");
                assert_eq!(traces(&t).await, before, "{shown}");
                if answer.at("/errors/0/reason") == "too_long" {
                    let field = answer.at("/errors/0/field");
                    assert!(field.starts_with(&text) || text.starts_with(&field), "{shown}: {field}");
                    named += 1;
                }
            }
        }
        assert!(named > 20, "{named}");
        // What the account does not have is not looked at.
        assert_eq!(ignored, ["confirm_session code", "confirm_session challenge_token"]);
    }

    async fn a_missing_field_is_named_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        for (operation, body) in place.bodies() {
            for name in place.required(&operation) {
                let mut body = body.clone();
                body.as_object_mut().and_then(|members| members.remove(&name)).expect("the body has what is required");
                let refused = place.refused(&t, &operation, &body).await;
                let shown = format!("{} without {name}: {}", operation.id, refused.text());
                assert_eq!(refused.at("/errors/0/field"), name, "{shown}");
                assert_eq!(refused.at("/errors/0/reason"), "required", "{shown}");
            }
        }
    }

    async fn a_field_of_another_type_is_named_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        for (operation, body) in place.bodies() {
            for (name, property) in place.all_properties(&operation) {
                for wrong in wrong_values(&property) {
                    let mut body = body.clone();
                    put(&mut body, &name, wrong.clone());
                    let refused = place.refused(&t, &operation, &body).await;
                    // `events[0]` for an entry of `events`.
                    let shown = format!("{} {name} {wrong}: {}", operation.id, refused.text());
                    assert!(refused.at("/errors/0/field").starts_with(&name), "{shown}");
                }
            }
        }
    }

    async fn bodies_of_another_kind_are_refused_and_nothing_changes(t: TestApp) {
        let place = Place::new(&t).await;
        for (operation, body) in place.bodies() {
            let id = &operation.id;
            for media_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonp"] {
                let bytes = body.to_string().into_bytes();
                let answer = place.send(&operation, media_type, bytes).await;
                answer.problem(415, "unsupported_media_type");
            }
            if operation.value["requestBody"]["required"] == true {
                let method = operation.method.parse().expect("a method");
                let none = place.client.send(method, &place.path(&operation), None).await;
                assert!(matches!(none.status(), 400 | 415 | 422), "{id}: {}", none.text());
                let empty = place.send(&operation, "application/json", Vec::new()).await;
                assert!(matches!(empty.status(), 400 | 422), "{id}: {} {}", empty.status(), empty.text());
            }
            for other in [json!([]), json!("text"), json!(7), json!(true), Value::Null, json!([body])] {
                place.refused(&t, &operation, &other).await;
            }
        }
    }
}

/// Values that a property cannot take.
fn wrong_values(property: &Value) -> Vec<Value> {
    match property["type"].as_str() {
        Some("string") => vec![json!(7), json!({ "a": 1 }), json!(["a"]), json!(true)],
        Some("integer") => vec![
            json!("7"),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
            json!({}),
            json!([]),
        ],
        Some("boolean") => vec![json!("true"), json!(1), json!([])],
        Some("array") => vec![
            json!("a"),
            json!({ "0": "a" }),
            json!([7]),
            json!([null]),
            json!([["a"]]),
        ],
        // Objects and names of other schemas.
        _ => vec![json!(7), json!("no such word"), json!([1])],
    }
}

/// Puts a value at a place of a body: `filters.keys[0]`.
fn put(body: &mut Value, place: &str, value: Value) {
    if let Some((outer, inner)) = place.split_once('.') {
        return put(&mut body[outer], inner, value);
    }
    match place.strip_suffix("[0]") {
        Some(list) => body[list] = json!([value]),
        None => body[place] = value,
    }
}

/// Somebody who may do everything, and the places that paths name.
struct Place {
    client: Client,
    document: Document,
    webhook: String,
    service_account: String,
    oauth_client: String,
    realm_user: String,
}

impl Place {
    async fn new(t: &TestApp) -> Self {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner
            .put(&env.secret("DB_URL"), json!({ "value": "one" }))
            .await
            .ok();
        let hook = json!({ "url": "http://127.0.0.1:9999/hook", "events": ["secret.deleted"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.ok();
        let robot = json!({ "name": "robot" });
        let robot = acme.owner.post(&acme.path("/service-accounts"), robot).await.ok();
        let portal =
            json!({ "name": "portal", "confidential": true, "redirect_uris": ["https://portal.example.com/cb"] });
        let portal = acme.owner.post("/v1/oauth/clients", portal).await.ok();
        let on = json!({ "realm_enabled": true });
        acme.owner.patch(&acme.path(""), on).await.ok();
        let reader = json!({ "email": "reader@example.com" });
        let reader = acme.owner.post(&acme.path("/users"), reader).await.ok();
        Self {
            realm_user: reader.at("/id"),
            service_account: robot.at("/id"),
            oauth_client: portal.at("/id"),
            client: acme.owner.client().clone(),
            document: Document(t.document().clone()),
            webhook: hook.at("/id"),
        }
    }

    /// Every operation that takes JSON, with a body that it would take.
    fn bodies(&self) -> Vec<(Operation, Value)> {
        let operations = self.document.operations().into_iter();
        operations
            // An import takes other texts too, and any key is a field of it.
            .filter(|operation| operation.media_types() == ["application/json"])
            .map(|operation| {
                let body = good_body(&operation.id);
                (operation, body)
            })
            .collect()
    }

    fn path(&self, operation: &Operation) -> String {
        let segments = operation.path.split('/').map(|segment| match segment {
            "{org}" => "acme",
            "{project}" => "web",
            "{env}" => "production",
            "{key}" => "DB_URL",
            "{pin}" => "release-42",
            "{plan}" => "team",
            "{webhook}" => &self.webhook,
            "{service_account}" => &self.service_account,
            "{client}" => &self.oauth_client,
            "{user}" => &self.realm_user,
            other => other,
        });
        segments.collect::<Vec<_>>().join("/")
    }

    fn schema(&self, operation: &Operation) -> Map<String, Value> {
        let schema = self.document.body_schema(operation).and_then(Value::as_object);
        schema.expect("a schema with a name").clone()
    }

    fn required(&self, operation: &Operation) -> Vec<String> {
        let schema = self.schema(operation);
        let names = schema
            .get("required")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    }

    fn properties(&self, operation: &Operation) -> Vec<(String, Value)> {
        let schema = self.schema(operation);
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        properties.into_iter().collect()
    }

    /// A schema with its name followed.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let Some(name) = schema["$ref"].as_str() else {
            return schema;
        };
        let named = self.document.0.pointer(name.trim_start_matches('#'));
        named.expect("a schema that is there")
    }

    /// The properties of an object; `None` for anything else.
    fn members<'a>(&'a self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        self.resolved(schema)["properties"].as_object()
    }

    /// The properties of a body, with those of objects within it: `filters.keys`.
    fn all_properties(&self, operation: &Operation) -> Vec<(String, Value)> {
        let mut all = self.properties(operation);
        for (outer, property) in all.clone() {
            let members = self.members(&property).into_iter().flatten();
            all.extend(members.map(|(inner, property)| (format!("{outer}.{inner}"), property.clone())));
        }
        all
    }

    /// Where a body takes texts: `name`, `scopes[0]`, `filters.keys[0]`, `metadata.A`.
    fn texts(&self, operation: &Operation) -> Vec<String> {
        let properties = self.properties(operation);
        let texts = properties
            .iter()
            .flat_map(|(name, property)| self.texts_in(name, property));
        texts.collect()
    }

    fn texts_in(&self, at: &str, schema: &Value) -> Vec<String> {
        if let Some(members) = self.members(schema) {
            let texts = members
                .iter()
                .flat_map(|(name, member)| self.texts_in(&format!("{at}.{name}"), member));
            return texts.collect();
        }
        let schema = self.resolved(schema);
        match schema["type"].as_str() {
            Some("string") if schema["enum"].is_null() => vec![at.to_owned()],
            Some("array") => self.texts_in(&format!("{at}[0]"), &schema["items"]),
            Some("object") => vec![format!("{at}.A")],
            _ => Vec::new(),
        }
    }

    async fn send(&self, operation: &Operation, media_type: &str, body: Vec<u8>) -> Answer {
        let method = operation.method.parse().expect("a method");
        self.client
            .send_bytes(method, &self.path(operation), media_type, body)
            .await
    }

    /// Sends a body that must be refused as a whole, and must leave nothing behind.
    async fn refused(&self, t: &TestApp, operation: &Operation, body: &Value) -> Answer {
        let before = traces(t).await;
        let answer = self
            .send(operation, "application/json", body.to_string().into_bytes())
            .await;
        let shown = format!("{} {body}: {}", operation.id, answer.text());
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (422, "invalid_field"),
            "{shown}"
        );
        assert_eq!(traces(t).await, before, "{shown}");
        answer.problem(422, "invalid_field")
    }
}

async fn traces(t: &TestApp) -> i64 {
    let counts: Vec<_> = TRACES
        .iter()
        .map(|table| format!("(SELECT COUNT(*) FROM {table})"))
        .collect();
    t.number(&format!("SELECT {}", counts.join(" + "))).await
}
