//! Every operation of the API: how to call it with a valid request, what it needs, and what it does. A test holds
//! this table to the served document, so a new operation needs a row.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;

use domain::access::Permission::{
    self, AclManage, AuditRead, EnvsManage, EnvsRead, MembersInvite, MembersRead, MembersRemove, MembersSetRole,
    OrgDelete, OrgRead, OrgUpdate, ProjectsCreate, ProjectsDelete, ProjectsRead, ProjectsUpdate, RolesManage,
    SecretsBulkDelete, SecretsDelete, SecretsList, SecretsRead, SecretsWrite, ServiceAccountsManage, WebhooksManage,
    WebhooksRead,
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
    /// The session of the person whose token or address it is about.
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
    /// The permission in the project, and a credential that is bound to no places: what those hold is not given away.
    ProjectGiving(Permission),
    /// The permission in the project, and a session.
    ProjectSession(Permission),
    /// An open organisation, and a person who is not in it.
    JoinOrg,
    /// An open project, and a person who is in its organisation and not in it.
    JoinProject,
    /// A role of a person's in the organisation, or in one of its projects.
    LeaveOrg,
    /// A role of a person's in the very project.
    LeaveProject,
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
    /// What follows the path: `?q=ac`.
    pub query: &'static str,
    /// Rows that a success adds to the journal. None for what is nobody's event yet, such as a code that was asked for.
    pub journal_rows: i64,
    /// Whether it is for people from elsewhere, so that not the owner but the outsider succeeds with it.
    pub by_outsider: bool,
}

const fn read(id: &'static str, gate: Gate) -> Operation {
    Operation {
        id,
        gate,
        mutates: false,
        success: 200,
        body: None,
        prepare: None,
        query: "",
        journal_rows: 0,
        by_outsider: false,
    }
}

const fn change(id: &'static str, gate: Gate, success: u16) -> Operation {
    Operation {
        mutates: true,
        success,
        journal_rows: 1,
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
/// A change that is nobody's event yet.
const fn unrecorded(id: &'static str, success: u16, body: fn(&World, &Place) -> Value) -> Operation {
    Operation {
        journal_rows: 0,
        ..write(id, Gate::Public, success, body)
    }
}

/// Makes the colleague an owner, so that the owner may leave: what they have in their personal organisation moves here.
const COLLEAGUE_OWNS: &str = "UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'acme'), scope_id = (SELECT id FROM orgs WHERE slug = 'acme')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'acme-colleague')";

/// Makes the colleagues on both sides owners, so that either owner may go.
const COLLEAGUES_OWN: &str = "UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'acme'), scope_id = (SELECT id FROM orgs WHERE slug = 'acme')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'acme-colleague');
    UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'globex'), scope_id = (SELECT id FROM orgs WHERE slug = 'globex')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'globex-colleague')";

/// Gives the owner the colleague's role in the project, so that there is something to give up.
const OWNER_IN_PROJECT: &str = "UPDATE memberships
    SET subject_id = (SELECT user_id FROM user_emails WHERE canonical = 'acme-owner@example.com')
    WHERE project_id IS NOT NULL
      AND subject_id = (SELECT user_id FROM user_emails WHERE canonical = 'acme-colleague@example.com')";

/// Every operation.
pub const OPERATIONS: &[Operation] = &[
    write(
        "register_account",
        Gate::Public,
        201,
        |_, _| json!({ "email": "newcomer@example.com", "password": PASSWORD, "transport": "bearer" }),
    ),
    unrecorded("verify_registration", 200, |world, _| {
        let (token, code) = &world.mailed.registration;
        json!({ "challenge_token": token, "code": code })
    }),
    write("complete_registration", Gate::Public, 201, |world, _| {
        let token = &world.mailed.registering;
        json!({ "registration_token": token, "password": PASSWORD, "transport": "bearer" })
    }),
    unrecorded(
        "resend_registration_code",
        202,
        |world, _| json!({ "challenge_token": world.mailed.registration.0 }),
    ),
    unrecorded(
        "request_sign_in_code",
        200,
        |_, _| json!({ "email": "nobody@example.com" }),
    ),
    write("sign_in_with_code", Gate::Public, 200, |world, _| {
        let (token, code) = &world.mailed.sign_in;
        json!({ "challenge_token": token, "code": code, "transport": "bearer" })
    }),
    unrecorded(
        "request_password_reset",
        200,
        |_, _| json!({ "email": "nobody@example.com" }),
    ),
    write(
        "reset_password",
        Gate::Public,
        204,
        |world, _| json!({ "token": world.mailed.reset, "password": "another horse, another battery" }),
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
    write(
        "update_me",
        Gate::Session,
        200,
        |_, _| json!({ "first_name": "Renamed" }),
    ),
    Operation {
        prepare: Some(COLLEAGUES_OWN),
        ..change("delete_me", Gate::Session, 204)
    },
    read("list_emails", Gate::Session),
    write(
        "add_email",
        Gate::Session,
        201,
        |_, _| json!({ "email": "another@example.com" }),
    ),
    write(
        "verify_email_address",
        Gate::OwnToken,
        204,
        |world, _| json!({ "code": world.mailed.address_code }),
    ),
    change("resend_email_verification", Gate::OwnToken, 204),
    Operation {
        prepare: Some("UPDATE user_emails SET verified_at = 1 WHERE NOT is_primary"),
        ..write(
            "set_default_email",
            Gate::OwnToken,
            200,
            |_, _| json!({ "is_default": true }),
        )
    },
    change("delete_email", Gate::OwnToken, 204),
    Operation {
        query: "?q=ac",
        ..read("search_users", Gate::Session)
    },
    change("logout", Gate::Session, 204),
    change("send_email_verification", Gate::Session, 204),
    write(
        "confirm_session",
        Gate::Session,
        200,
        |_, _| json!({ "password": PASSWORD }),
    ),
    read("list_sessions", Gate::Session),
    change("revoke_session", Gate::OwnToken, 204),
    Operation {
        // The refresh token of every session becomes a session of its own.
        prepare: Some("UPDATE credentials SET family_id = id WHERE kind = 'refresh'"),
        ..change("revoke_other_sessions", Gate::Session, 204)
    },
    read("list_security_events", Gate::Session),
    write(
        "change_password",
        Gate::Session,
        204,
        |_, _| json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" }),
    ),
    read("get_second_factor", Gate::Session),
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
    read("list_roles", Gate::Org(OrgRead)),
    write(
        "create_role",
        Gate::Org(RolesManage),
        201,
        |_, _| json!({ "name": "release", "level": "org", "permissions": ["org:read"] }),
    ),
    read("get_role", Gate::Org(OrgRead)),
    write(
        "update_role",
        Gate::Org(RolesManage),
        200,
        |_, _| json!({ "display_name": "Renamed" }),
    ),
    change("delete_role", Gate::Org(RolesManage), 204),
    read("list_access_rules", Gate::Org(AclManage)),
    write("put_access_rule", Gate::Org(AclManage), 201, |_, place| {
        let subject = json!({ "type": "role", "id": place.side.role });
        json!({ "subject": subject, "pattern": "*/@dev", "permissions": ["secrets:read"] })
    }),
    change("delete_access_rule", Gate::Org(AclManage), 204),
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
    read("list_members", Gate::Org(MembersRead)),
    write(
        "add_member",
        Gate::Org(MembersInvite),
        201,
        |world, _| json!({ "email": world.outsider.email, "role": "viewer" }),
    ),
    write(
        "update_member",
        Gate::Org(MembersSetRole),
        200,
        |_, _| json!({ "role": "viewer" }),
    ),
    change("remove_member", Gate::Org(MembersRemove), 204),
    write(
        "add_member_role",
        Gate::Org(MembersSetRole),
        201,
        |_, _| json!({ "role": "member" }),
    ),
    change("remove_member_role", Gate::Org(MembersSetRole), 204),
    Operation {
        prepare: Some("UPDATE orgs SET join_policy = 'open' WHERE slug = 'acme'"),
        by_outsider: true,
        ..change("join_org", Gate::JoinOrg, 201)
    },
    Operation {
        prepare: Some(COLLEAGUE_OWNS),
        ..change("leave_org", Gate::LeaveOrg, 204)
    },
    write(
        "transfer_org_ownership",
        Gate::OrgSession(OrgDelete),
        200,
        |_, place| json!({ "member": place.side.member }),
    ),
    read("list_project_members", Gate::Project(MembersRead)),
    write(
        "add_project_member",
        Gate::ProjectGiving(MembersInvite),
        201,
        |world, _| json!({ "email": world.outsider.email, "role": "viewer" }),
    ),
    write(
        "update_project_member",
        Gate::ProjectGiving(MembersSetRole),
        200,
        |_, _| json!({ "role": "developer" }),
    ),
    change("remove_project_member", Gate::Project(MembersRemove), 204),
    Operation {
        prepare: Some("UPDATE projects SET join_policy = 'open' WHERE slug = 'web'"),
        ..change("join_project", Gate::JoinProject, 201)
    },
    Operation {
        prepare: Some(OWNER_IN_PROJECT),
        ..change("leave_project", Gate::LeaveProject, 204)
    },
    write(
        "transfer_project_ownership",
        Gate::ProjectSession(ProjectsDelete),
        200,
        |_, place| json!({ "member": place.side.member }),
    ),
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
