//! Every operation of the API: how to call it with a valid request, what it needs, and what it does. A test holds
//! this table to the served document, so a new operation needs a row.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;

use domain::access::Permission::{
    self, AuditRead, EnvsManage, EnvsRead, OrgDelete, OrgRead, OrgUpdate, ProjectsCreate, ProjectsDelete, ProjectsRead,
    ProjectsUpdate, SecretsBulkDelete, SecretsDelete, SecretsList, SecretsRead, SecretsWrite, ServiceAccountsManage,
    WebhooksManage, WebhooksRead,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::matrix::world::{Place, World};
use crate::people::PASSWORD;

/// What stands before an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing: it takes no credential.
    Public,
    /// Any credential of a person.
    Person,
    /// A session of a person.
    Session,
    /// The session of the person whose token it is about.
    OwnToken,
    /// The session of the person who has the second factor; others have none.
    OwnFactor,
    /// A credential of a person that nothing narrows.
    Unbound,
    /// A credential of a person whose scopes name the permission.
    Scope(Permission),
    /// That the organisation is visible, and the scopes name the permission.
    Visible(Permission),
    /// The permission in the organisation.
    Org(Permission),
    /// The permission in the organisation, and a session.
    OrgSession(Permission),
    /// The permission in the project.
    Project(Permission),
    /// The permission in the project, and a session.
    ProjectSession(Permission),
    /// Sight of the organisation, a session, then the permission in the deleted project.
    DeletedProject(Permission),
    /// The permission in the environment.
    Env(Permission),
    /// The permission for some key of the environment.
    AnyKey(Permission),
    /// Both permissions for some key of the environment.
    AnyKeyBoth(Permission, Permission),
    /// To read in the environment that secrets are promoted from, and to write in the one that they come to.
    Promotion,
    /// The permission for the key.
    Key(Permission),
}

impl Gate {
    /// Whether the operation acts inside an environment, so that its class matters.
    pub fn is_in_env(self) -> bool {
        matches!(
            self,
            Self::Env(_) | Self::AnyKey(_) | Self::AnyKeyBoth(..) | Self::Key(_) | Self::Promotion
        )
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Operation {
    pub id: &'static str,
    pub gate: Gate,
    /// Whether a success changes something.
    pub mutates: bool,
    pub success: u16,
    /// Makes a valid body.
    pub body: Option<fn(&World, &Place) -> Value>,
    /// What must be done to the world first.
    pub prepare: Option<&'static str>,
}

const fn read(id: &'static str, gate: Gate) -> Operation {
    Operation {
        id,
        gate,
        mutates: false,
        success: 200,
        body: None,
        prepare: None,
    }
}

const fn change(id: &'static str, gate: Gate, success: u16) -> Operation {
    Operation {
        mutates: true,
        success,
        ..read(id, gate)
    }
}

const fn write(id: &'static str, gate: Gate, success: u16, body: fn(&World, &Place) -> Value) -> Operation {
    Operation {
        body: Some(body),
        ..change(id, gate, success)
    }
}

/// Puts the owner's prepared second factor in force.
const FACTOR_ON: &str = "UPDATE second_factors SET confirmed_at = created_at WHERE kind = 'totp'";

/// Every operation.
pub const OPERATIONS: &[Operation] = &[
    write(
        "register_account",
        Gate::Public,
        201,
        |_, _| json!({ "email": "newcomer@example.com", "password": PASSWORD, "transport": "bearer" }),
    ),
    write(
        "login",
        Gate::Public,
        200,
        |world, _| json!({ "email": world.owner_email, "password": PASSWORD, "transport": "bearer" }),
    ),
    write(
        "refresh_session",
        Gate::Public,
        200,
        |world, _| json!({ "refresh_token": world.refresh_token }),
    ),
    write(
        "verify_email",
        Gate::Public,
        204,
        |world, _| json!({ "token": world.link }),
    ),
    write(
        "verify_second_factor",
        Gate::Public,
        200,
        |world, _| json!({ "challenge_token": world.challenge_token, "code": world.locked.next_code() }),
    ),
    read("get_setup_status", Gate::Public),
    write("create_admin", Gate::Public, 201, |world, _| {
        let email = "chief@example.com";
        json!({ "setup_token": world.setup_token, "email": email, "password": PASSWORD, "transport": "bearer" })
    }),
    read("get_health", Gate::Public),
    read("get_ready", Gate::Public),
    read("get_me", Gate::Person),
    change("logout", Gate::Session, 204),
    change("send_email_verification", Gate::Session, 204),
    read("get_second_factor", Gate::Person),
    change("prepare_second_factor", Gate::Session, 200),
    write(
        "enable_second_factor",
        Gate::OwnFactor,
        200,
        |world, _| json!({ "code": world.prepared.code() }),
    ),
    Operation {
        prepare: Some(FACTOR_ON),
        ..change("disable_second_factor", Gate::OwnFactor, 204)
    },
    Operation {
        prepare: Some(FACTOR_ON),
        ..change("make_recovery_codes", Gate::OwnFactor, 200)
    },
    read("list_tokens", Gate::Person),
    write("create_token", Gate::Session, 201, |_, _| json!({ "name": "ci" })),
    change("delete_token", Gate::OwnToken, 204),
    write(
        "create_org",
        Gate::Unbound,
        201,
        |_, _| json!({ "name": "New", "slug": "new-org" }),
    ),
    read("list_orgs", Gate::Scope(OrgRead)),
    read("get_org", Gate::Org(OrgRead)),
    write(
        "update_org",
        Gate::Org(OrgUpdate),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    change("delete_org", Gate::OrgSession(OrgDelete), 204),
    Operation {
        prepare: Some("UPDATE orgs SET deleted_at = updated_at WHERE slug = 'acme'"),
        ..change("restore_org", Gate::OrgSession(OrgDelete), 200)
    },
    read("list_service_accounts", Gate::Org(ServiceAccountsManage)),
    write(
        "create_service_account",
        Gate::Org(ServiceAccountsManage),
        201,
        |_, _| json!({ "name": "builder", "role": "member" }),
    ),
    read("get_service_account", Gate::Org(ServiceAccountsManage)),
    write(
        "update_service_account",
        Gate::Org(ServiceAccountsManage),
        200,
        |_, _| json!({ "description": "changed", "enabled": false }),
    ),
    change("delete_service_account", Gate::Org(ServiceAccountsManage), 204),
    read("list_service_keys", Gate::Org(ServiceAccountsManage)),
    write(
        "create_service_key",
        Gate::Org(ServiceAccountsManage),
        201,
        |_, _| json!({ "name": "next" }),
    ),
    change("revoke_service_key", Gate::Org(ServiceAccountsManage), 204),
    read("list_projects", Gate::Visible(ProjectsRead)),
    write(
        "create_project",
        Gate::Org(ProjectsCreate),
        201,
        |_, _| json!({ "name": "New", "slug": "new" }),
    ),
    read("get_project", Gate::Project(ProjectsRead)),
    write(
        "update_project",
        Gate::Project(ProjectsUpdate),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    write(
        "replace_project",
        Gate::Project(ProjectsUpdate),
        200,
        |_, _| json!({ "name": "Renamed", "slug": "renamed" }),
    ),
    change("delete_project", Gate::ProjectSession(ProjectsDelete), 204),
    change("restore_project", Gate::DeletedProject(ProjectsDelete), 200),
    read("list_environments", Gate::Project(ProjectsRead)),
    write(
        "create_environment",
        Gate::Project(EnvsManage),
        201,
        |_, _| json!({ "name": "Preview" }),
    ),
    read("get_environment", Gate::Env(EnvsRead)),
    write(
        "update_environment",
        Gate::Env(EnvsManage),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    write(
        "replace_environment",
        Gate::Env(EnvsManage),
        200,
        |_, place| json!({ "name": "Renamed", "slug": "renamed", "class": place.env.class }),
    ),
    change("delete_environment", Gate::Env(EnvsManage), 204),
    read("list_secrets", Gate::AnyKey(SecretsRead)),
    read("list_secret_keys", Gate::AnyKey(SecretsList)),
    write(
        "create_secret",
        Gate::Key(SecretsWrite),
        201,
        |_, _| json!({ "key": "NEW_KEY", "value": "new" }),
    ),
    read("get_secret", Gate::Key(SecretsRead)),
    write(
        "put_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "value": "changed" }),
    ),
    change("delete_secret", Gate::Key(SecretsDelete), 200),
    write(
        "update_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "comment": "changed" }),
    ),
    Operation {
        prepare: Some("UPDATE secrets SET deleted_at = updated_at WHERE key = 'API_KEY'"),
        ..change("restore_secret", Gate::Key(SecretsWrite), 200)
    },
    read("list_secret_versions", Gate::Key(SecretsList)),
    read("get_secret_version", Gate::Key(SecretsRead)),
    change("destroy_secret_version", Gate::Key(SecretsBulkDelete), 204),
    write(
        "rollback_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "version": 1 }),
    ),
    write(
        "set_secrets",
        Gate::AnyKey(SecretsWrite),
        200,
        |_, _| json!({ "secrets": { "NEW_KEY": "new", "OTHER_KEY": { "value": "other", "comment": "why" } } }),
    ),
    write(
        "delete_secrets",
        Gate::AnyKey(SecretsBulkDelete),
        200,
        |_, place| json!({ "keys": [place.side.key] }),
    ),
    write(
        "import_secrets",
        Gate::AnyKey(SecretsWrite),
        200,
        |_, _| json!({ "NEW_KEY": "new" }),
    ),
    read("export_secrets", Gate::AnyKey(SecretsRead)),
    read("list_revisions", Gate::AnyKey(SecretsList)),
    write("put_revision_pin", Gate::AnyKey(SecretsWrite), 200, |_, _| json!({})),
    Operation {
        prepare: Some(
            "INSERT INTO revision_pins (environment_id, name, revision, created_at)
             SELECT id, 'release-42', 1, 1 FROM environments WHERE deleted_at IS NULL",
        ),
        ..change("delete_revision_pin", Gate::AnyKey(SecretsWrite), 204)
    },
    read("diff_environment", Gate::AnyKey(SecretsRead)),
    write(
        "rollback_environment",
        Gate::AnyKeyBoth(SecretsWrite, SecretsDelete),
        200,
        |_, _| json!({ "revision": "1" }),
    ),
    write(
        "promote_secrets",
        Gate::Promotion,
        200,
        |_, place| json!({ "from": place.promoted_from().slug, "to": place.env.slug }),
    ),
    write(
        "create_webhook",
        Gate::Org(WebhooksManage),
        201,
        |world, _| json!({ "url": world.receiver.url, "events": ["secret.updated"] }),
    ),
    read("list_webhooks", Gate::Org(WebhooksRead)),
    read("get_webhook", Gate::Org(WebhooksRead)),
    write(
        "update_webhook",
        Gate::Org(WebhooksManage),
        200,
        |_, _| json!({ "description": "changed" }),
    ),
    change("delete_webhook", Gate::Org(WebhooksManage), 204),
    change("test_webhook", Gate::Org(WebhooksManage), 200),
    read("list_webhook_deliveries", Gate::Org(WebhooksRead)),
    read("get_webhook_delivery", Gate::Org(WebhooksRead)),
    read("list_audit_logs", Gate::Org(AuditRead)),
    read("verify_audit_log", Gate::Org(AuditRead)),
    read("get_audit_log", Gate::Org(AuditRead)),
];

/// Reads that the journal keeps.
pub const JOURNALED_READS: &[&str] = &["list_secrets", "get_secret", "get_secret_version", "export_secrets"];

/// An operation as the document shows it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub method: Method,
    /// `/v1/orgs/{org}`
    pub template: String,
    /// Names of the parameters in the path, in order.
    pub path_params: Vec<String>,
    pub query_params: Vec<String>,
    /// Whether it takes no credential.
    pub is_public: bool,
    /// Names of the body's properties, nested ones with their parents: `filters.projects`.
    pub body_fields: Vec<String>,
}

impl Endpoint {
    /// The path with names filled in.
    ///
    /// # Panics
    /// When a parameter has no value.
    pub fn path(&self, names: &BTreeMap<&'static str, String>) -> String {
        self.path_params.iter().fold(self.template.clone(), |path, param| {
            let value = names.get(param.as_str());
            path.replace(
                &format!("{{{param}}}"),
                value.unwrap_or_else(|| panic!("no value for {{{param}}}")),
            )
        })
    }
}

/// The operations of a document by their ids.
///
/// # Panics
/// When it is no document.
pub fn endpoints(document: &Value) -> BTreeMap<String, Endpoint> {
    let mut found = BTreeMap::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let shared = params(item);
        for (method, operation) in item.as_object().expect("a path item") {
            let Some(id) = operation.get("operationId").and_then(Value::as_str) else {
                continue;
            };
            let all: Vec<_> = shared.iter().cloned().chain(params(operation)).collect();
            let named = |place: &str| {
                all.iter()
                    .filter(|(at, _)| at == place)
                    .map(|(_, name)| name.clone())
                    .collect()
            };
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let endpoint = Endpoint {
                method: method.to_uppercase().parse().expect("a method"),
                template: template.clone(),
                path_params: named("path"),
                query_params: named("query"),
                is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
                body_fields: fields(document, schema, ""),
            };
            found.insert(id.to_owned(), endpoint);
        }
    }
    found
}

/// Where each parameter stands, and its name.
fn params(item: &Value) -> Vec<(String, String)> {
    let list = item["parameters"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.iter()
        .map(|param| (text(&param["in"]), text(&param["name"])))
        .collect()
}

fn fields(document: &Value, schema: &Value, parent: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(reference.trim_start_matches('#'))
            .expect("a schema that is there");
        return fields(document, target, parent);
    }
    let parts = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array());
    let mut found: Vec<_> = parts
        .flatten()
        .flat_map(|part| fields(document, part, parent))
        .collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{parent}{name}");
        let below = fields(document, property, &format!("{path}."));
        if below.is_empty() {
            found.push(path);
        } else {
            found.extend(below);
        }
    }
    found
}
