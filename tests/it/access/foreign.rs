//! What belongs to others answers like what does not exist, byte for byte, wherever it is named.

use std::collections::BTreeMap;

use domain::kernel::id::{
    AclRuleId, CredentialId, DeliveryId, EmailId, EnvId, EventId, FederatedIdentityId, InviteId, OAuthClientId, OrgId,
    ProjectId, RealmUserId, RoleId, ServiceAccountId, SessionId, SsoIdentityId, TypedId, UserId, WebhookId,
};
use harness::client::Client;
use harness::matrix::{Place, Side};
use harness::on_both;
use harness::operations::{Gate, OPERATIONS, Operation};
use harness::{Answer, TestApp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Stage;

/// Query parameters and body fields that name nothing of anybody's.
const NO_NAMES: &[&str] = &[
    "hours",
    "limit",
    "offset",
    "search",
    "version",
    "action",
    "resource_type",
    "from",
    "to",
    "name",
    "description",
    "metadata",
    "email",
    "password",
    "transport",
    "first_name",
    "last_name",
    "username",
    "challenge_token",
    "registration_token",
    "code",
    "is_default",
    "q",
    "refresh_token",
    "token",
    "setup_token",
    "current_password",
    "new_password",
    "challenge_token",
    "code",
    "expires_days",
    "expires_in_hours",
    "max_uses",
    "invite_token",
    "status",
    "ip_allow",
    "with_key",
    "scopes",
    "class",
    "protected",
    "key",
    "value",
    "comment",
    "expected_version",
    "url",
    "events",
    "enabled",
    "filters.keys",
    "level",
    "audience",
    "force",
    "display_name",
    "permissions",
    "effect",
    "expires_at",
    "subject.type",
    "subject.level",
    "permission",
    "what_if.rule.permissions",
    "what_if.rule.effect",
    "what_if.rule.expires_at",
    "what_if.rule.subject.type",
    "what_if.rule.subject.level",
    "env_classes",
    "join_policy",
    "join_domains",
    "require_mfa",
    "secrets",
    "secrets.value",
    "secrets.comment",
    "mode",
    "dry_run",
    "keys",
    "revision",
    "at",
    "digest",
    "format",
    "wait",
    "types",
    "required",
    "enum",
    "min_length",
    "max_length",
    "default",
    "template_gate",
    "hash_key_names",
    "ordered",
    "rate",
    "rate.deliveries",
    "rate.per",
    "overlap_hours",
    "since",
    "until",
    "base_url",
    "database_url",
    "root_key",
    "is_superuser",
    "is_active",
    "state",
    "kind",
    "plan",
    "interval",
    "reset",
    "reset_plan",
    "reason",
    "limits.projects",
    "limits.environments_per_project",
    "limits.secrets_per_project",
    "limits.members",
    "limits.service_accounts",
    "limits.tokens",
    "limits.webhooks",
    "limits.templates",
    "limits.acl_rules",
    "limits.versions_retained",
    "limits.api_requests_month",
    "limits.rate_limit_rpm",
    "limits.audit_retention_days",
    "next",
    "iss",
    "error",
    "login",
    "issuer",
    "client_id",
    "client_secret",
    "discovery",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "create_unknown_user",
    "allowed_domains",
    "claims",
    // A token is held to one account's rules, and every refusal is the same: `sso::keyless`.
    "service_account",
    "device_name",
    "user_code",
    "decision",
    "homepage",
    "confidential",
    "redirect_uris",
    "grant_types",
    "signing_alg",
    "realm_enabled",
    "realm",
    "grant_type",
    "client_secret",
    "resource.key",
];
/// Names that are one for the whole instance or within what the caller sees already, so that taking one tells of it;
/// and accounts, which belong to no organisation, so that anybody's can be added to one.
const GLOBAL_NAMES: &[&str] = &["slug", "user_id", "subject.email", "what_if.rule.subject.email"];
/// Fields that name what may be others'; each is tested below.
const NAMES: &[&str] = &[
    "project",
    "actor_id",
    "after",
    "org",
    "patterns",
    "role",
    "filters.projects",
    "filters.environments",
    "subject",
    "subject.id",
    "subject.name",
    "pattern",
    "environment",
    "what_if.rule.subject.id",
    "what_if.rule.subject.name",
    "what_if.rule.pattern",
    "join_role",
    "member",
    "against",
    "environment",
    "environments",
    "resource.org",
    "resource.project",
    "resource.environment",
];

/// An id of the same kind that nobody has: the next number.
fn ghost<T: TypedId>(id: &str) -> String {
    let id: Uuid = id.parse::<T>().expect("an id").into();
    T::from(Uuid::from_u128(id.as_u128() ^ 1)).to_string()
}

/// The spellings of a foreign thing, each with one of a thing that does not exist.
fn spellings(param: &str, foreign: &Side) -> Vec<(String, String)> {
    let env = foreign.envs.last().expect("an environment");
    let slug = |slug: &str| (slug.to_owned(), format!("{}x", &slug[..slug.len() - 1]));
    let id = |id: String, ghost: String| (id, ghost);
    match param {
        "org" => {
            let text = foreign.org_id.to_string();
            vec![slug(&foreign.org), id(text.clone(), ghost::<OrgId>(&text))]
        }
        "project" => {
            let text = foreign.project_id.to_string();
            vec![slug(&foreign.project), id(text.clone(), ghost::<ProjectId>(&text))]
        }
        "env" => {
            let text = env.id.to_string();
            vec![id(text.clone(), ghost::<EnvId>(&text))]
        }
        "member" => vec![id(foreign.member.clone(), ghost::<UserId>(&foreign.member))],
        "key" => vec![slug(&foreign.key)],
        "webhook" => vec![id(foreign.webhook.clone(), ghost::<WebhookId>(&foreign.webhook))],
        "delivery" => vec![id(foreign.delivery.clone(), ghost::<DeliveryId>(&foreign.delivery))],
        "role" => vec![
            slug(&foreign.role_name),
            id(foreign.role.clone(), ghost::<RoleId>(&foreign.role)),
        ],
        "rule" => vec![id(foreign.rule.clone(), ghost::<AclRuleId>(&foreign.rule))],
        "event" => vec![id(foreign.event.clone(), ghost::<EventId>(&foreign.event))],
        "email" => vec![id(foreign.email.clone(), ghost::<EmailId>(&foreign.email))],
        "invite" => vec![id(foreign.invite.clone(), ghost::<InviteId>(&foreign.invite))],
        "client" => vec![id(
            foreign.oauth_client.clone(),
            ghost::<OAuthClientId>(&foreign.oauth_client),
        )],
        "user" => vec![id(
            foreign.realm_user.clone(),
            ghost::<RealmUserId>(&foreign.realm_user),
        )],
        "session" => vec![id(foreign.session.clone(), ghost::<SessionId>(&foreign.session))],
        "id" => vec![id(foreign.token.clone(), ghost::<CredentialId>(&foreign.token))],
        "service_account" => {
            let account = &foreign.service_account;
            vec![id(account.clone(), ghost::<ServiceAccountId>(account))]
        }
        "federated_identity" => {
            let theirs = foreign.names(env).remove("federated_identity").expect("an id");
            vec![id(theirs.clone(), ghost::<FederatedIdentityId>(&theirs))]
        }
        "identity" => {
            let theirs = SsoIdentityId(foreign.owner_id.0).to_string();
            vec![id(theirs.clone(), ghost::<SsoIdentityId>(&theirs))]
        }
        "service_key" => vec![id(
            foreign.service_key.clone(),
            ghost::<CredentialId>(&foreign.service_key),
        )],
        other => panic!("no ruling for the path parameter {other}"),
    }
}

/// Status and body, but for what differs with every request.
fn comparable(answer: &Answer) -> (u16, String) {
    let mut body = answer.json();
    if let Value::Object(map) = &mut body {
        map.remove("request_id");
    }
    (answer.status(), body.to_string())
}

/// Asks for the foreign thing and for the ghost, and holds the answers against each other.
async fn same(
    stage: &Stage,
    client: &Client,
    operation: &Operation,
    [foreign, ghost]: [(String, Option<Value>); 2],
) -> (u16, String) {
    let method = stage.endpoint(operation).method.clone();
    let theirs = client.send(method.clone(), &foreign.0, foreign.1).await;
    let nobodys = client.send(method, &ghost.0, ghost.1).await;
    let (theirs, nobodys) = (comparable(&theirs), comparable(&nobodys));
    assert_eq!(theirs, nobodys, "{}: {} against {}", operation.id, foreign.0, ghost.0);
    theirs
}

/// Every path parameter of every operation replaced, one at a time.
async fn swap_paths(stage: &Stage, client: &Client, place: &Place, foreign: &Side, params: &[&str]) -> usize {
    let mut swapped = 0;
    // Superusers see every organisation, and others are refused before anything is looked up.
    for operation in OPERATIONS.iter().filter(|operation| operation.gate != Gate::Superuser) {
        let endpoint = stage.endpoint(operation);
        stage.set(operation).await;
        let before = stage.state().await;
        let own: BTreeMap<_, _> = place.side.names(&place.env);
        for param in endpoint
            .path_params
            .iter()
            .filter(|param| params.contains(&param.as_str()))
        {
            // A key names nothing until it is written: writing under a name of others' makes one's own.
            if param == "key" && ["put_secret", "put_template_key"].contains(&operation.id) {
                continue;
            }
            for (theirs, nobodys) in spellings(param, foreign) {
                let path = |value: String| {
                    let mut names = own.clone();
                    if let Some(slot) = names.get_mut(param.as_str()) {
                        *slot = value;
                    }
                    (
                        format!("{}{}", endpoint.path(&names), operation.query),
                        stage.body(operation, place),
                    )
                };
                let (status, body) = same(stage, client, operation, [path(theirs), path(nobodys)]).await;
                // A token is told that it needs a session before anything is looked up, whatever it names.
                let unasked = status == 403 && body.contains("session_required");
                assert!(status == 404 || unasked, "{} {param}: {body}", operation.id);
                swapped += 1;
            }
        }
        assert_eq!(
            stage.state().await.changed_since(&before),
            Vec::<&str>::new(),
            "{}",
            operation.id
        );
        if operation.prepare.is_some() {
            stage.kept.restore(&stage.app).await;
        }
    }
    swapped
}

on_both! {
    async fn every_name_in_a_query_or_body_has_a_ruling(t: TestApp) {
        for (id, endpoint) in harness::operations::endpoints(t.document()) {
            for name in endpoint.query_params.iter().chain(&endpoint.body_fields) {
                let known = [NO_NAMES, GLOBAL_NAMES, NAMES].iter().any(|list| list.contains(&name.as_str()));
                assert!(known, "{id}: does `{name}` name what may be others'?");
            }
        }
    }

    async fn another_tenants_names_in_a_path_answer_like_names_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let (place, foreign) = (stage.world.production(), stage.world.foreign.clone());
        let all = [
            "org", "member", "project", "env", "key", "webhook", "delivery", "role", "rule", "event", "email", "session", "id",
            "service_account", "service_key", "invite", "federated_identity", "identity", "user", "client",
        ];
        let swapped = swap_paths(&stage, stage.world.owner.client(), &place, &foreign, &all).await;
        assert!(swapped > 100, "{swapped}");
    }

    async fn a_path_that_is_wholly_another_tenants_answers_like_one_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let foreign = &stage.world.foreign;
        let env = foreign.envs.last().expect("an environment").clone();
        let theirs = Place { side: foreign.clone(), env };
        let before = stage.state().await;
        let gated = |operation: &&Operation| stage.endpoint(operation).path_params.iter().any(|param| param == "org");
        let tenants = OPERATIONS.iter().filter(|operation| operation.gate != Gate::Superuser);
        for operation in tenants.filter(gated) {
            let path = stage.path(operation, &theirs);
            let nobodys = path.replace("/orgs/globex", "/orgs/globez");
            let body = stage.body(operation, &theirs);
            let pair = [(path, body.clone()), (nobodys, body)];
            let (status, _) = same(&stage, stage.world.owner.client(), operation, pair).await;
            assert_eq!(status, 404, "{}", operation.id);
        }
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }

    async fn a_project_that_is_hidden_from_its_own_organisation_answers_like_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let mut hidden = stage.world.own.clone();
        (hidden.project, hidden.project_id) = (hidden.hidden.clone(), hidden.hidden_id);
        for name in ["p-owner", "p-viewer", "sa-acl", "sa-web", "pat-place"] {
            let principal = stage.principals.iter().find(|principal| principal.name == name).expect("a principal");
            let swapped = swap_paths(&stage, &principal.client, &place, &hidden, &["project"]).await;
            assert!(swapped > 30, "{name}: {swapped}");
        }
    }

    async fn an_environment_of_another_project_of_ones_own_answers_like_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let path = format!("/v1/orgs/acme/projects/{}", stage.world.own.hidden);
        let shown = stage.world.owner.get(&path).await.expect(200);
        let mut other = stage.world.own.clone();
        other.envs.retain(|env| env.id == place.env.id);
        for env in &mut other.envs {
            env.id = shown.at("/environments/2/id").parse().expect("an id");
        }
        let swapped = swap_paths(&stage, stage.world.owner.client(), &place, &other, &["env"]).await;
        assert!(swapped > 8, "{swapped}");
    }

    async fn another_tenants_ids_in_a_query_answer_like_ids_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let foreign = &stage.world.foreign;
        let (project, actor) = (foreign.project_id.to_string(), stage.world.outsider.id.to_string());
        let env = foreign.envs.last().expect("an environment").id.to_string();
        for (id, query, theirs, nobodys, expected) in [
            ("list_audit_logs", "project", project.clone(), ghost::<ProjectId>(&project), 200),
            ("list_audit_logs", "actor_id", actor.clone(), ghost::<UserId>(&actor), 200),
            ("list_webhook_deliveries", "after", foreign.delivery.clone(), ghost::<DeliveryId>(&foreign.delivery), 200),
            ("list_service_accounts", "project", project.clone(), ghost::<ProjectId>(&project), 200),
            ("list_access_rules", "subject", foreign.role.clone(), ghost::<RoleId>(&foreign.role), 200),
            ("search_users", "org", foreign.org.clone(), "globez".to_owned(), 422),
            ("who_can", "project", project.clone(), ghost::<ProjectId>(&project), 404),
            ("who_can", "project", foreign.project.clone(), "vaulx".to_owned(), 404),
            ("validate_template", "environment", env.clone(), ghost::<EnvId>(&env), 404),
            ("get_env_example", "environment", env.clone(), ghost::<EnvId>(&env), 404),
        ] {
            let operation = OPERATIONS.iter().find(|operation| operation.id == id).expect("an operation");
            let path = stage.path(operation, &stage.world.production());
            let mark = if path.contains('?') { '&' } else { '?' };
            let with = |value: String| (format!("{path}{mark}{query}={value}"), None);
            let (status, _) = same(&stage, stage.world.owner.client(), operation, [with(theirs), with(nobodys)]).await;
            assert_eq!(status, expected, "{id} {query}");
        }
    }

    async fn a_question_of_another_tenants_places_and_people_answers_like_one_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let operation = OPERATIONS.iter().find(|operation| operation.id == "explain_access").expect("an operation");
        let path = stage.path(operation, &stage.world.production());
        for (question, expected) in questions(&stage) {
            let pair = question.map(|body| (path.clone(), Some(body)));
            let (status, body) = same(&stage, stage.world.owner.client(), operation, pair).await;
            assert_eq!(status, expected, "{body}");
        }
        let list = OPERATIONS.iter().find(|operation| operation.id == "who_can").expect("an operation");
        let path = format!("{}&project=web", stage.path(list, &stage.world.production())).replace("members:read", "envs:read");
        for (theirs, nobodys) in spellings("env", &stage.world.foreign) {
            let pair = [theirs, nobodys].map(|env| (format!("{path}&environment={env}"), None));
            assert_eq!(same(&stage, stage.world.owner.client(), list, pair).await.0, 404);
        }
    }

    async fn a_question_about_a_token_in_another_tenants_places_is_answered_like_one_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let operation = OPERATIONS.iter().find(|operation| operation.id == "authorize_access").expect("an operation");
        let own = stage.world.owner.token(json!({ "name": "shown" })).await;
        let harness::client::Credential::Bearer(token) = &own.credential else { panic!("a token") };
        for param in ["org", "project", "env"] {
            for names in spellings(param, &stage.world.foreign) {
                let field = if param == "env" { "environment" } else { param };
                let ask = |name: String| {
                    let mut resource = json!({ "org": "acme", "project": "web" });
                    resource[field] = json!(name);
                    if param == "org" {
                        resource = json!({ "org": name });
                    }
                    let permission = if param == "org" { "org:read" } else { "projects:read" };
                    let permission = if param == "env" { "envs:read" } else { permission };
                    ("/v1/authorize".to_owned(), Some(json!({ "token": token, "permission": permission, "resource": resource })))
                };
                let pair = [ask(names.0), ask(names.1)];
                let (status, body) = same(&stage, stage.world.owner.client(), operation, pair).await;
                assert!(status == 200 && body.contains("\"allowed\":false"), "{param}: {body}");
            }
        }
    }

    async fn another_tenants_names_in_a_body_answer_like_names_of_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let before = stage.state().await;
        for (id, [theirs, nobodys]) in bodies(&stage) {
            let operation = OPERATIONS.iter().find(|operation| operation.id == id).expect("an operation");
            let path = stage.path(operation, &stage.world.production());
            let pair = [(path.clone(), Some(theirs)), (path, Some(nobodys))];
            let (status, body) = same(&stage, stage.world.owner.client(), operation, pair).await;
            assert_eq!(status, 422, "{id}: {body}");
        }
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }
}

/// Questions with a foreign name, and with one of nothing; and how both are answered.
fn questions(stage: &Stage) -> Vec<([Value; 2], u16)> {
    let foreign = &stage.world.foreign;
    let mut all = Vec::new();
    let places = [("project", json!({})), ("env", json!({ "project": "web" }))];
    for (param, around) in places {
        for names in spellings(param, foreign) {
            let field = if param == "env" { "environment" } else { param };
            let ask = |name: String| {
                let mut body = around.clone();
                body["permission"] = json!("envs:read");
                body[field] = json!(name);
                body
            };
            all.push(([ask(names.0), ask(names.1)], 404));
        }
    }
    let member = spellings("member", foreign);
    let account = spellings("service_account", foreign);
    let people = member.into_iter().map(|names| ("user", "id", names));
    let machines = account.into_iter().map(|names| ("service_account", "id", names));
    // An account of elsewhere is answered like no account at all.
    let address = (stage.world.outsider.email.clone(), "nobody@example.com".to_owned());
    for (kind, field, names) in people.chain(machines).chain([("user", "email", address)]) {
        let ask = |name: String| json!({ "subject": { "type": kind, field: name }, "permission": "members:read" });
        all.push(([ask(names.0), ask(names.1)], 422));
    }
    let supposing = |subject: Value, pattern: &str| {
        let rule = json!({ "subject": subject, "pattern": pattern, "permissions": ["envs:read"] });
        json!({ "permission": "members:read", "what_if": { "rule": rule } })
    };
    for (theirs, nobodys) in spellings("role", foreign) {
        let field = if theirs.starts_with("rol_") { "id" } else { "name" };
        let ask = |role: String| supposing(json!({ "type": "role", field: role }), "*");
        all.push(([ask(theirs), ask(nobodys)], 422));
    }
    for (theirs, nobodys) in spellings("project", foreign) {
        let ask = |project: &str| supposing(json!({ "type": "role", "name": "viewer" }), project);
        all.push(([ask(&theirs), ask(&nobodys)], 422));
    }
    all
}

/// Bodies with a foreign name, and with one of nothing.
fn bodies(stage: &Stage) -> Vec<(&'static str, [Value; 2])> {
    let (foreign, url) = (&stage.world.foreign, stage.world.receiver.url.clone());
    let place = |param: &str| spellings(param, foreign);
    let mut all = Vec::new();
    for (theirs, nobodys) in place("org") {
        let body = |org: String| json!({ "name": "ci", "org": org });
        all.push(("create_token", [body(theirs.clone()), body(nobodys.clone())]));
        let code = &stage.world.user_code;
        let body = |org: String| json!({ "user_code": code, "decision": "approve", "org": org });
        all.push(("approve_device", [body(theirs), body(nobodys)]));
    }
    for (theirs, nobodys) in place("project") {
        let patterns =
            |project: &str| json!({ "name": "ci", "org": "acme", "patterns": [format!("{project}/production")] });
        all.push(("create_token", [patterns(&theirs), patterns(&nobodys)]));
        let robot = |project: &str| json!({ "name": "new", "project": project });
        all.push(("create_service_account", [robot(&theirs), robot(&nobodys)]));
        let invited = |project: &str| json!({ "project": project });
        all.push(("create_invite", [invited(&theirs), invited(&nobodys)]));
        let filters = |id: &str| json!({ "url": url, "events": ["*"], "filters": { "projects": [id] } });
        all.push(("create_webhook", [filters(&theirs), filters(&nobodys)]));
        let filters = |id: &str| json!({ "filters": { "projects": [id] } });
        all.push(("update_webhook", [filters(&theirs), filters(&nobodys)]));
    }
    for (theirs, nobodys) in place("role") {
        let field = if theirs.starts_with("rol_") { "id" } else { "name" };
        let rule = |role: String| json!({ "subject": { "type": "role", field: role }, "pattern": "*", "permissions": ["envs:read"] });
        all.push(("put_access_rule", [rule(theirs), rule(nobodys)]));
    }
    for (theirs, nobodys) in place("project") {
        let subject = json!({ "type": "role", "name": "viewer" });
        let rule = |project: String| json!({ "subject": subject, "pattern": project, "permissions": ["envs:read"] });
        all.push(("put_access_rule", [rule(theirs), rule(nobodys)]));
    }
    for (theirs, nobodys) in place("role") {
        let id = stage.world.outsider.id.to_string();
        let added = |role: &str| json!({ "user_id": id, "role": role });
        let role = |role: &str| json!({ "role": role });
        let joining = |role: &str| json!({ "join_role": role });
        let replaced = |role: &str| json!({ "name": "Web", "slug": "web", "join_role": role });
        for id in ["add_member", "add_project_member"] {
            all.push((id, [added(&theirs), added(&nobodys)]));
        }
        for id in ["create_invite", "create_project_invite"] {
            all.push((id, [role(&theirs), role(&nobodys)]));
        }
        for id in [
            "update_member",
            "add_member_role",
            "update_project_member",
            "add_realm_user_role",
        ] {
            all.push((id, [role(&theirs), role(&nobodys)]));
        }
        let reader = |role: &str| json!({ "email": "new-reader@example.com", "role": role });
        all.push(("create_realm_user", [reader(&theirs), reader(&nobodys)]));
        for id in ["update_org", "update_project"] {
            all.push((id, [joining(&theirs), joining(&nobodys)]));
        }
        all.push(("replace_project", [replaced(&theirs), replaced(&nobodys)]));
    }
    for (theirs, nobodys) in place("member") {
        let heir = |member: &str| json!({ "member": member });
        for id in ["transfer_org_ownership", "transfer_project_ownership"] {
            all.push((id, [heir(&theirs), heir(&nobodys)]));
        }
    }
    for (theirs, nobodys) in place("env") {
        let filters = |id: &str| json!({ "url": url, "events": ["*"], "filters": { "environments": [id] } });
        all.push(("create_webhook", [filters(&theirs), filters(&nobodys)]));
        let filters = |id: &str| json!({ "filters": { "environments": [id] } });
        all.push(("update_webhook", [filters(&theirs), filters(&nobodys)]));
        let added = |id: &str| json!({ "key": "NEW_KEY", "environments": [id] });
        all.push(("create_template_key", [added(&theirs), added(&nobodys)]));
        let set = |id: &str| json!({ "environments": [id] });
        all.push(("put_template_key", [set(&theirs), set(&nobodys)]));
    }
    all
}

/// Slugs of organisations are one namespace, like addresses: a taken one says so and nothing more.
async fn taken(t: &TestApp, client: &Client, slug: &str) -> (u16, String) {
    let _ = t;
    comparable(&client.post("/v1/orgs", json!({ "name": "Any", "slug": slug })).await)
}

on_both! {
    async fn a_taken_organisation_slug_tells_nothing_of_who_has_it(t: TestApp) {
        let stage = Stage::new(t).await;
        let client = stage.world.outsider.client();
        let own = taken(&stage.app, client, "globex").await;
        let theirs = taken(&stage.app, client, "acme").await;
        assert_eq!((own.0, &own), (409, &theirs));
        assert_eq!(OPERATIONS.iter().filter(|operation| operation.gate == Gate::Unbound).count(), 1);
    }
}
