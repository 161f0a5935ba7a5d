//! Every operation once, with success: what it answers is what the document says, member by member.

mod federation;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::app::eventually;
use harness::client::{Answer, Client};
use harness::mailbox::{INVITE, REGISTER, RESET, SIGN_IN, VERIFY, expect_code, expect_link, expect_token};
use harness::people::PASSWORD;
use harness::schema::Document;
use harness::{Authenticator, Receiver, TestApp, on_both};
use serde_json::{Value, json};

on_both! {
    async fn every_success_is_what_the_document_says(t: TestApp) {
        let mut walk = Walk::new(&t);
        walk.first_run(&t).await;
        walk.start(&t).await;
        walk.second_factor(&t).await;
        walk.codes(&t).await;
        walk.addresses(&t).await;
        walk.tokens().await;
        walk.applications().await;
        walk.organisation().await;
        walk.machines().await;
        walk.realm().await;
        walk.federation(&t).await;
        walk.policy().await;
        walk.members(&t).await;
        walk.invitations(&t).await;
        walk.secrets().await;
        walk.templates().await;
        walk.webhooks().await;
        walk.billing().await;
        walk.journal().await;
        walk.limits(&t).await;
        walk.administration(&t).await;
        walk.endings().await;
        let documented: BTreeSet<_> = walk.document.operations().into_iter().map(|operation| operation.id).collect();
        let missed: Vec<_> = documented.difference(&walk.seen).collect();
        assert!(missed.is_empty(), "add them to the walk: {missed:?}");
    }
}

/// A person who tries everything.
struct Walk {
    client: Client,
    anonymous: Client,
    document: Document,
    seen: BTreeSet<String>,
    /// What stands in paths for `{name}`.
    names: BTreeMap<&'static str, String>,
}

impl Walk {
    fn new(t: &TestApp) -> Self {
        Self {
            client: t.anonymous(),
            anonymous: t.anonymous(),
            document: Document(t.document().clone()),
            seen: BTreeSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Calls an operation and holds its answer to the document; the status must be the one expected.
    async fn call_as(&mut self, client: &Client, id: &str, query: &str, body: Option<Value>, status: u16) -> Answer {
        let operation = self.document.operation(id);
        let segments = operation.path.split('/').map(|segment| {
            let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            name.map_or(segment, |name| {
                self.names.get(name).expect("a name for the path").as_str()
            })
        });
        let path = format!("{}{query}", segments.collect::<Vec<_>>().join("/"));
        let method = operation.method.parse().expect("a method");
        let answer = client.send(method, &path, body).await;
        assert_eq!(answer.status(), status, "{id}: {}", answer.text());
        self.document.assert_answer(id, &answer);
        self.seen.insert(id.to_owned());
        answer
    }

    async fn get(&mut self, id: &str) -> Answer {
        self.call_as(&self.client.clone(), id, "", None, 200).await
    }

    async fn does(&mut self, id: &str, body: Value, status: u16) -> Answer {
        self.call_as(&self.client.clone(), id, "", Some(body), status).await
    }

    async fn done(&mut self, id: &str, status: u16) -> Answer {
        self.call_as(&self.client.clone(), id, "", None, status).await
    }

    /// The first run of another instance: its end is this walk's beginning.
    async fn first_run(&mut self, t: &TestApp) {
        let other = TestApp::spawn(t.backend).await;
        let anyone = other.anonymous();
        let token = json!({ "setup_token": other.setup_token() });
        let mut settings = token.clone();
        settings["base_url"] = json!("https://secrets.example.com");
        self.call_as(&anyone, "apply_setup_config", "", Some(settings), 200)
            .await;
        self.call_as(&anyone, "restart_instance", "", Some(token), 202).await;
    }

    async fn start(&mut self, t: &TestApp) {
        let anyone = self.anonymous.clone();
        for id in ["get_health", "get_ready", "get_setup_status"] {
            self.get(id).await;
        }
        let token = t.setup_token().expect("a setup token");
        let admin = json!({ "setup_token": token, "email": "admin@example.com", "password": PASSWORD });
        self.call_as(&anyone, "create_admin", "", Some(admin), 201).await;
        let registration = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": "bearer" });
        let made = self
            .call_as(&anyone, "register_account", "", Some(registration), 201)
            .await;
        let refresh = json!({ "refresh_token": made.at("/refresh_token") });
        self.call_as(&anyone, "refresh_session", "", Some(refresh), 200).await;
        let login = json!({ "email": "dana@example.com", "password": PASSWORD });
        let cookie = self.call_as(&anyone, "login", "", Some(login), 200).await;
        assert!(
            cookie
                .header("set-cookie")
                .is_some_and(|cookie| cookie.contains("HttpOnly"))
        );
        let login = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": "bearer" });
        let session = self.call_as(&anyone, "login", "", Some(login), 200).await;
        self.client = anyone.bearer(&session.at("/access_token"));
        self.get("get_me").await;
        let token = expect_link(t, "dana@example.com", 1).await;
        self.call_as(&anyone, "verify_email", "", Some(json!({ "token": token })), 204)
            .await;
        let erin = t.person("erin").await;
        self.call_as(erin.client(), "send_email_verification", "", None, 204)
            .await;
        self.call_as(erin.client(), "delete_me", "", None, 204).await;
    }

    async fn second_factor(&mut self, t: &TestApp) {
        let fox = t.person("fox").await;
        let fox = fox.client();
        let prepared = self.call_as(fox, "prepare_second_factor", "", None, 200).await;
        let generator = Authenticator::new(&prepared.at("/secret"), &t.clock);
        let code = json!({ "code": generator.code() });
        self.call_as(fox, "enable_second_factor", "", Some(code), 200).await;
        self.call_as(fox, "get_second_factor", "", None, 200).await;
        let login = json!({ "email": "fox@example.com", "password": PASSWORD });
        let anyone = self.anonymous.clone();
        let waiting = self.call_as(&anyone, "login", "", Some(login), 200).await;
        let code = json!({ "challenge_token": waiting.at("/challenge_token"), "code": generator.next_code() });
        self.call_as(&anyone, "verify_second_factor", "", Some(code), 200).await;
        self.call_as(fox, "make_recovery_codes", "", None, 200).await;
        self.call_as(fox, "list_security_events", "", None, 200).await;
        let sessions = self.call_as(fox, "list_sessions", "", None, 200).await;
        self.names.insert("session", sessions.at("/data/0/id"));
        self.call_as(fox, "revoke_session", "", None, 204).await;
        self.call_as(fox, "disable_second_factor", "", None, 204).await;
        self.call_as(fox, "revoke_other_sessions", "", None, 204).await;
        let password = json!({ "password": PASSWORD });
        self.call_as(fox, "confirm_session", "", Some(password), 200).await;
        let change = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
        self.call_as(fox, "change_password", "", Some(change), 204).await;
    }

    /// Begins something with a code; returns what finishes it.
    async fn begin(&mut self, t: &TestApp, id: &str, email: &str, subject: &str, status: u16) -> Value {
        let anyone = self.anonymous.clone();
        let begun = self
            .call_as(&anyone, id, "", Some(json!({ "email": email })), status)
            .await;
        let code = expect_code(t, email, subject, 1).await;
        json!({ "challenge_token": begun.at("/challenge_token"), "code": code })
    }

    async fn codes(&mut self, t: &TestApp) {
        let anyone = self.anonymous.clone();
        let code = self
            .begin(t, "register_account", "finn@example.com", REGISTER, 202)
            .await;
        let proved = self.call_as(&anyone, "verify_registration", "", Some(code), 200).await;
        let completion = json!({ "registration_token": proved.at("/registration_token"), "password": PASSWORD });
        self.call_as(&anyone, "complete_registration", "", Some(completion), 201)
            .await;
        let code = self
            .begin(t, "register_account", "gil@example.com", REGISTER, 202)
            .await;
        let again = json!({ "challenge_token": code["challenge_token"] });
        self.call_as(&anyone, "resend_registration_code", "", Some(again), 202)
            .await;
        let code = self
            .begin(t, "request_sign_in_code", "finn@example.com", SIGN_IN, 200)
            .await;
        self.call_as(&anyone, "sign_in_with_code", "", Some(code), 200).await;
        let address = json!({ "email": "finn@example.com" });
        self.call_as(&anyone, "request_password_reset", "", Some(address), 200)
            .await;
        let token = expect_token(t, "finn@example.com", RESET, 1).await;
        let reset = json!({ "token": token, "password": "another horse, another battery" });
        self.call_as(&anyone, "reset_password", "", Some(reset), 204).await;
    }

    async fn addresses(&mut self, t: &TestApp) {
        self.does("update_me", json!({ "first_name": "Dana", "username": "dana.s" }), 200)
            .await;
        let added = self
            .does("add_email", json!({ "email": "dana@example.org" }), 201)
            .await;
        self.names.insert("email", added.at("/id"));
        self.done("resend_email_verification", 204).await;
        let code = expect_code(t, "dana@example.org", VERIFY, 2).await;
        self.does("verify_email_address", json!({ "code": code }), 204).await;
        self.get("list_emails").await;
        self.does("set_default_email", json!({ "is_default": true }), 200).await;
        let old = self.get("list_emails").await.at("/data/1/id");
        self.names.insert("email", old);
        self.done("delete_email", 204).await;
        self.call_as(&self.client.clone(), "search_users", "?q=finn@example.com", None, 200)
            .await;
    }

    async fn tokens(&mut self) {
        let token = json!({ "name": "ci", "expires_days": 7, "scopes": ["secrets:read@dev"] });
        let made = self.does("create_token", token, 201).await;
        self.names.insert("id", made.at("/id"));
        let forever = self.does("create_token", json!({ "name": "forever" }), 201).await;
        self.anonymous
            .bearer(&forever.at("/token"))
            .get("/v1/auth/me")
            .await
            .ok();
        self.get("list_tokens").await;
        self.done("delete_token", 204).await;
    }

    async fn applications(&mut self) {
        let everything = json!({
            "name": "portal", "homepage": "https://portal.example.com/", "confidential": true,
            "redirect_uris": ["https://portal.example.com/cb"], "grant_types": ["authorization_code", "refresh_token"],
            "scopes": ["openid", "secrets:read@dev"], "signing_alg": "ES256",
        });
        let made = self.does("create_oauth_client", everything, 201).await;
        self.names.insert("client", made.at("/id"));
        let public = json!({ "name": "tool", "confidential": false, "redirect_uris": ["http://127.0.0.1/cb"] });
        self.does("create_oauth_client", public, 201).await;
        self.get("list_oauth_clients").await;
        self.get("get_oauth_client").await;
        self.does("update_oauth_client", json!({ "homepage": "" }), 200).await;
        self.done("rotate_oauth_client_secret", 200).await;
        self.done("delete_oauth_client", 204).await;
        let anyone = self.anonymous.clone();
        let begun = self.call_as(&anyone, "begin_device", "", None, 200).await;
        let look = json!({ "user_code": begun.at("/user_code") });
        self.does("approve_device", look, 200).await;
        let approve = json!({ "user_code": begun.at("/user_code"), "decision": "approve" });
        self.does("approve_device", approve, 200).await;
        self.get("list_oauth_grants").await;
        self.names.insert("client", "strongroom-cli".to_owned());
        self.done("revoke_oauth_grant", 204).await;
    }

    async fn organisation(&mut self) {
        let org = self.does("create_org", json!({ "name": "Acme" }), 201).await;
        self.names.insert("org", org.at("/id"));
        self.get("list_orgs").await;
        self.get("get_org").await;
        let patch = json!({ "name": "Acme Ltd", "metadata": { "team": { "size": 7 } } });
        self.does("update_org", patch, 200).await;
        let project = self
            .does("create_project", json!({ "name": "Web", "description": "d" }), 201)
            .await;
        self.names.insert("project", project.at("/id"));
        self.get("list_projects").await;
        self.get("get_project").await;
        self.does("update_project", json!({ "description": "shop" }), 200).await;
        self.does("replace_project", json!({ "name": "Shop", "slug": "shop" }), 200)
            .await;
        let env = self
            .does("create_environment", json!({ "name": "Preview", "class": "dev" }), 201)
            .await;
        self.names.insert("env", env.at("/id"));
        self.get("list_environments").await;
        self.get("get_environment").await;
        self.does("update_environment", json!({ "protected": true }), 200).await;
        let all = json!({ "name": "QA", "slug": "qa", "class": "staging" });
        self.does("replace_environment", all, 200).await;
        self.done("rotate_project_key", 202).await;
        self.get("list_project_keys").await;
        self.done("verify_project", 200).await;
    }

    async fn machines(&mut self) {
        let plain = json!({ "name": "plain", "with_key": false });
        self.does("create_service_account", plain, 201).await;
        let robot = json!({
            "name": "robot", "description": "d", "project": self.names["project"], "role": "viewer",
            "ip_allow": ["127.0.0.0/8"], "expires_days": 30,
        });
        let made = self.does("create_service_account", robot, 201).await;
        self.names.insert("service_account", made.at("/id"));
        self.anonymous.api_key(&made.at("/key")).get("/v1/orgs/acme").await;
        self.get("list_service_accounts").await;
        self.get("get_service_account").await;
        self.does("update_service_account", json!({ "name": "bot" }), 200).await;
        let key = json!({ "name": "next", "expires_days": 7 });
        let key = self.does("create_service_key", key, 201).await;
        self.names.insert("service_key", key.at("/id"));
        self.does("create_service_key", json!({}), 201).await;
        self.get("list_service_keys").await;
        self.done("revoke_service_key", 204).await;
        self.done("delete_service_account", 204).await;
    }

    async fn realm(&mut self) {
        self.does("update_org", json!({ "realm_enabled": true }), 200).await;
        for name in ["editor", "author"] {
            let role = json!({ "name": name, "level": "org", "audience": "app", "permissions": ["comments:write"] });
            self.does("create_role", role, 201).await;
        }
        let jane = json!({
            "email": "jane@example.com", "password": PASSWORD, "display_name": "Jane Chen", "role": "editor",
            "metadata": { "department": "engineering" },
        });
        let made = self.does("create_realm_user", jane, 201).await;
        self.names.insert("user", made.at("/id"));
        self.does("create_realm_user", json!({ "email": "finn@example.com" }), 201)
            .await;
        self.get("list_realm_users").await;
        let author = json!({ "role": "author" });
        self.does("add_realm_user_role", author.clone(), 201).await;
        self.does("add_realm_user_role", author, 200).await;
        self.names.insert("role", "author".to_owned());
        self.done("remove_realm_user_role", 204).await;
        self.does("update_realm_user", json!({ "status": "active" }), 200).await;
        let anyone = self.anonymous.clone();
        let grant = json!({ "grant_type": "password", "email": "jane@example.com", "password": PASSWORD });
        let tokens = self.call_as(&anyone, "create_realm_token", "", Some(grant), 200).await;
        self.get("get_realm_user").await;
        let asked = json!({ "token": tokens.at("/access_token"), "permission": "comments:write" });
        self.does("authorize_access", asked, 200).await;
        let asked = json!({ "token": "none", "permission": "org:read", "resource": { "org": "acme" } });
        self.does("authorize_access", asked, 200).await;
        let trade = json!({ "grant_type": "refresh_token", "refresh_token": tokens.at("/refresh_token") });
        let renewed = self.call_as(&anyone, "create_realm_token", "", Some(trade), 200).await;
        let machine = self
            .does("create_service_account", json!({ "name": "backend" }), 201)
            .await;
        let grant = json!({
            "grant_type": "client_credentials", "client_id": machine.at("/client_id"),
            "client_secret": machine.at("/client_secret"),
        });
        self.call_as(&anyone, "create_realm_token", "", Some(grant), 200).await;
        let ended = json!({ "token": renewed.at("/refresh_token") });
        self.call_as(&anyone, "revoke_realm_token", "", Some(ended), 204).await;
        self.newcomer_to_the_realm().await;
        self.done("delete_realm_user", 204).await;
    }

    async fn newcomer_to_the_realm(&mut self) {
        let anyone = self.anonymous.clone();
        let link = json!({ "realm": true, "role": "editor", "max_uses": 2 });
        let made = self.does("create_invite", link, 201).await;
        self.names.insert("token", made.at("/token"));
        self.call_as(&anyone, "get_invite", "", None, 200).await;
        let kim = json!({ "email": "kim@example.com", "password": PASSWORD, "first_name": "Kim" });
        self.call_as(&anyone, "accept_invite", "", Some(kim), 201).await;
        self.names.insert("invite", made.at("/id"));
        self.done("revoke_invite", 204).await;
    }

    async fn policy(&mut self) {
        let role = json!({ "name": "reader", "level": "project", "permissions": ["secrets:read@dev"] });
        let role = self.does("create_role", role, 201).await;
        self.names.insert("role", role.at("/id"));
        self.get("list_roles").await;
        self.get("get_role").await;
        self.does("update_role", json!({ "display_name": "Reader" }), 200).await;
        let says = json!({
            "subject": { "type": "role", "id": role.at("/id") }, "pattern": "shop/@dev", "permissions": ["secrets:write"],
        });
        self.does("put_access_rule", says.clone(), 201).await;
        let made = self.does("put_access_rule", says, 200).await;
        self.names.insert("rule", made.at("/id"));
        self.get("list_access_rules").await;
        self.questions().await;
        self.done("delete_access_rule", 204).await;
        self.done("delete_role", 204).await;
    }

    async fn questions(&mut self) {
        let (project, env) = (self.names["project"].clone(), self.names["env"].clone());
        let place = json!({ "permission": "secrets:write", "project": project, "environment": env, "key": "DB_URL" });
        self.does("explain_access", place.clone(), 200).await;
        let rule = json!({
            "subject": { "type": "role", "name": "owner" }, "pattern": "*", "permissions": ["secrets:write"],
            "effect": "deny", "expires_at": "2100-01-02T03:04:05Z",
        });
        let mut supposing = place;
        supposing["what_if"] = json!({ "rule": rule });
        let denied = self.does("explain_access", supposing, 200).await;
        assert_eq!(denied.at("/reason"), "acl_deny", "{}", denied.text());
        let query = format!("?permission=secrets:read&project={project}&environment={env}");
        self.call_as(&self.client.clone(), "who_can", &query, None, 200).await;
    }

    async fn members(&mut self, t: &TestApp) {
        let (finn, gina) = (t.person("frida").await, t.person("greta").await);
        let me = self.get("get_me").await.at("/id");
        self.names.insert("member", finn.id.to_string());
        self.names.insert("role", "developer".to_owned());
        let viewer = json!({ "user_id": finn.id.to_string(), "role": "viewer", "env_classes": ["staging"] });
        self.does("add_member", viewer.clone(), 201).await;
        self.does("add_member", viewer, 200).await;
        let developer = json!({ "role": "developer", "expires_at": "2100-01-02T03:04:05Z" });
        self.does("add_member_role", developer.clone(), 201).await;
        self.does("add_member_role", developer, 200).await;
        self.get("list_members").await;
        self.done("remove_member_role", 204).await;
        self.does("update_member", json!({ "role": "admin" }), 200).await;
        let member = json!({ "user_id": finn.id.to_string(), "role": "developer" });
        self.does("add_project_member", member.clone(), 201).await;
        self.get("list_project_members").await;
        self.does("update_project_member", json!({ "role": "viewer" }), 200)
            .await;
        self.does(
            "transfer_project_ownership",
            json!({ "member": finn.id.to_string() }),
            200,
        )
        .await;
        self.done("remove_project_member", 204).await;
        self.does(
            "update_project",
            json!({ "join_policy": "open", "join_role": "developer" }),
            200,
        )
        .await;
        let open = json!({ "join_policy": "open", "join_role": "viewer" });
        self.does("update_org", open, 200).await;
        for id in ["join_org", "join_project"] {
            self.call_as(gina.client(), id, "", None, 201).await;
        }
        for id in ["leave_project", "leave_org"] {
            self.call_as(gina.client(), id, "", None, 204).await;
        }
        self.does("transfer_org_ownership", json!({ "member": finn.id.to_string() }), 200)
            .await;
        self.call_as(
            finn.client(),
            "transfer_org_ownership",
            "",
            Some(json!({ "member": me })),
            200,
        )
        .await;
        self.done("remove_member", 204).await;
    }

    async fn invitations(&mut self, t: &TestApp) {
        let anyone = self.anonymous.clone();
        let mailed = json!({
            "email": "hugo@example.com", "project": self.names["project"], "role": "viewer", "env_classes": ["dev"],
            "expires_in_hours": 24, "max_uses": 1,
        });
        let made = self.does("create_invite", mailed, 201).await;
        self.names.insert("invite", made.at("/id"));
        // A mail that is replaced before it goes out does not go out.
        expect_token(t, "hugo@example.com", INVITE, 1).await;
        self.done("resend_invite", 200).await;
        self.get("list_invites").await;
        self.get("list_project_invites").await;
        let token = expect_token(t, "hugo@example.com", INVITE, 2).await;
        self.names.insert("token", token);
        self.call_as(&anyone, "get_invite", "", None, 200).await;
        let newcomer = json!({ "password": PASSWORD, "first_name": "Hugo", "transport": "bearer" });
        let made = self.call_as(&anyone, "accept_invite", "", Some(newcomer), 201).await;
        let hugo = anyone.bearer(&made.at("/access_token"));
        let link = self.does("create_invite", json!({ "role": "viewer" }), 201).await;
        self.names.insert("token", link.at("/token"));
        self.call_as(&anyone, "get_invite", "", None, 200).await;
        self.call_as(&hugo, "accept_invite", "", None, 201).await;
        let client = self.client.clone();
        let used = self
            .call_as(&client, "list_invites", "?status=accepted", None, 200)
            .await;
        assert_eq!(used.at("/pagination/total"), "2");
        let link = self.does("create_project_invite", json!({ "max_uses": 5 }), 201).await;
        self.names.insert("invite", link.at("/id"));
        self.done("resend_project_invite", 200).await;
        self.done("revoke_project_invite", 204).await;
        let link = self.does("create_invite", json!({}), 201).await;
        self.names.insert("invite", link.at("/id"));
        self.done("revoke_invite", 204).await;
    }

    async fn secrets(&mut self) {
        self.names.insert("key", "DB_URL".to_owned());
        self.does("put_secret", json!({ "value": "one", "comment": "main" }), 201)
            .await;
        self.does("put_secret", json!({ "value": "two", "expected_version": 1 }), 200)
            .await;
        self.does("put_secret", json!({ "value": "two" }), 200).await;
        self.does("create_secret", json!({ "key": "PORT", "value": "5432" }), 201)
            .await;
        let client = self.client.clone();
        for id in ["list_secrets", "list_secret_keys"] {
            let whole = self.get(id).await;
            let client = client.with("If-None-Match", whole.header("etag").expect("an ETag"));
            self.call_as(&client, id, "", None, 304).await;
        }
        for id in ["list_secrets", "list_secret_keys"] {
            self.call_as(&client, id, "?limit=1&search=D", None, 200).await;
        }
        self.call_as(&client, "get_secret", "?version=1", None, 200).await;
        self.get("list_secret_versions").await;
        self.names.insert("version", "1".to_owned());
        self.get("get_secret_version").await;
        self.does("update_secret", json!({ "comment": "changed" }), 200).await;
        self.does("rollback_secret", json!({ "version": 1 }), 200).await;
        self.done("destroy_secret_version", 204).await;
        self.done("delete_secret", 200).await;
        self.done("restore_secret", 200).await;
        self.environment().await;
    }

    async fn environment(&mut self) {
        let bulk = json!({ "secrets": { "A": "a", "B": { "value": "b", "comment": "why" } }, "mode": "merge" });
        self.does("set_secrets", bulk, 200).await;
        self.does("delete_secrets", json!({ "keys": ["A"] }), 200).await;
        self.does("import_secrets", json!({ "C": "c" }), 200).await;
        let client = self.client.clone();
        for format in ["dotenv", "json"] {
            self.call_as(&client, "export_secrets", &format!("?format={format}"), None, 200)
                .await;
        }
        self.names.insert("pin", "release-42".to_owned());
        self.does("put_revision_pin", json!({}), 200).await;
        self.get("list_revisions").await;
        let missed = client.with("Last-Event-ID", "0");
        self.call_as(&missed, "watch_environment", "?wait=0", None, 200).await;
        self.get("diff_environment").await;
        self.call_as(&client, "list_secrets", "?revision=1", None, 200).await;
        self.does(
            "rollback_environment",
            json!({ "revision": "release-42", "dry_run": true }),
            200,
        )
        .await;
        self.done("delete_revision_pin", 204).await;
        let (from, to) = (self.names["env"].clone(), "staging");
        for dry_run in [true, false] {
            let promote = json!({ "from": from, "to": to, "dry_run": dry_run });
            self.does("promote_secrets", promote, 200).await;
        }
    }

    async fn templates(&mut self) {
        let project = json!({ "template_gate": "protected" });
        self.does("update_project", project, 200).await;
        let whole = json!({
            "key": "DB_URL", "description": "Main", "environments": ["@dev", self.names["env"]], "pattern": "^[a-z]+$",
            "enum": ["one", "three"], "min_length": 3, "max_length": 5, "default": "one",
        });
        self.does("create_template_key", whole, 201).await;
        self.does("put_template_key", json!({ "enum": ["one"] }), 200).await;
        self.names.insert("key", "PORT_2".to_owned());
        self.does("put_template_key", json!({ "required": false }), 201).await;
        self.get("list_template_keys").await;
        let client = self.client.clone();
        for query in ["", "?environment=production"] {
            self.call_as(&client, "validate_template", query, None, 200).await;
        }
        self.call_as(
            &client,
            "get_env_example",
            "?environment=production&format=dotenv",
            None,
            200,
        )
        .await;
        self.done("delete_template_key", 204).await;
        self.names.insert("key", "DB_URL".to_owned());
        self.does("update_environment", json!({ "protected": true }), 200).await;
        self.does("put_secret", json!({ "value": "two" }), 422).await;
        let tried = json!({ "secrets": { "DB_URL": "two" }, "dry_run": true });
        self.does("set_secrets", tried, 200).await;
        let promote = json!({ "from": "staging", "to": self.names["env"], "dry_run": true });
        self.does("promote_secrets", promote, 200).await;
        self.done("delete_template_key", 204).await;
    }

    async fn webhooks(&mut self) {
        let receiver = Receiver::start().await;
        let webhook = json!({ "url": receiver.url, "events": ["secret.updated"], "filters": { "keys": ["DB_*"] } });
        let made = self.does("create_webhook", webhook, 201).await;
        self.names.insert("webhook", made.at("/id"));
        self.get("list_webhooks").await;
        self.get("get_webhook").await;
        let rate = json!({ "deliveries": 100, "per": "second" });
        self.does("update_webhook", json!({ "description": "audit", "rate": rate }), 200)
            .await;
        let delivery = self.done("test_webhook", 200).await;
        self.names.insert("delivery", delivery.at("/id"));
        // One that fails, and so has a next attempt.
        receiver.answer(500, Duration::ZERO);
        self.does("put_secret", json!({ "value": "three" }), 200).await;
        receiver.expect(2).await;
        self.get("list_webhook_deliveries").await;
        self.get("get_webhook_delivery").await;
        self.does("rotate_webhook_secret", json!({ "overlap_hours": 1 }), 200)
            .await;
        self.done("resend_webhook_delivery", 202).await;
        let since = json!({ "since": "2020-01-02T03:04:05Z", "until": "2100-01-02T03:04:05Z", "mode": "failed" });
        self.does("recover_webhook", since, 202).await;
        self.get("get_webhook").await;
        self.get("list_webhook_events").await;
        self.get("list_events").await;
        let client = self.client.clone();
        let query = "?after=1&types=secret.*,org.updated&limit=5&wait=1";
        self.call_as(&client, "list_events", query, None, 200).await;
        self.done("delete_webhook", 204).await;
    }

    /// Without a key for Stripe: what it answers with one is looked at by the tests of `billing`.
    async fn billing(&mut self) {
        let plan = json!({ "plan": "team", "interval": "yearly" });
        self.does("create_checkout_session", plan, 501).await;
        self.done("create_portal_session", 501).await;
        self.call_as(&self.anonymous.clone(), "receive_stripe_event", "", None, 501)
            .await;
    }

    async fn journal(&mut self) {
        let listed = self.get("list_audit_logs").await;
        self.names.insert("event", listed.at("/data/0/id"));
        self.get("get_audit_log").await;
        let report = self.get("verify_audit_log").await;
        assert_eq!(report.at("/valid"), "true", "{}", report.text());
    }

    /// What the person of the first run does.
    async fn administration(&mut self, t: &TestApp) {
        let login = json!({ "email": "admin@example.com", "password": PASSWORD, "transport": "bearer" });
        let root = self.anonymous.post("/v1/auth/login", login).await.expect(200);
        let root = self.anonymous.bearer(&root.at("/access_token"));
        let ina = t.person("ina").await;
        self.names.insert("user", ina.id.to_string());
        self.instance_provider(&root).await;
        for id in [
            "get_admin_stats",
            "get_admin_config",
            "get_metrics_summary",
            "list_admin_users",
            "list_admin_projects",
        ] {
            self.call_as(&root, id, "", None, 200).await;
        }
        for flags in [
            json!({ "is_superuser": true }),
            json!({ "is_active": false }),
            json!({}),
        ] {
            self.call_as(&root, "update_admin_user", "", Some(flags), 200).await;
        }
        for id in ["get_admin_project", "list_admin_project_members"] {
            self.call_as(&root, id, "", None, 200).await;
        }
        let renamed = json!({ "description": "seen to" });
        self.call_as(&root, "update_admin_project", "", Some(renamed), 200)
            .await;
        let jon = t.person("jon").await;
        self.names.insert("member", jon.id.to_string());
        let viewer = json!({ "user_id": jon.id.to_string(), "role": "viewer" });
        for status in [201, 200] {
            self.call_as(&root, "add_admin_project_member", "", Some(viewer.clone()), status)
                .await;
        }
        let developer = json!({ "role": "developer", "expires_at": "2100-01-02T03:04:05Z" });
        self.call_as(&root, "update_admin_project_member", "", Some(developer), 200)
            .await;
        self.call_as(&root, "remove_admin_project_member", "", None, 204).await;
        self.invites_and_jobs(t, &root).await;
        self.backups(t, &root).await;
        self.call_as(&root, "delete_admin_user", "", None, 204).await;
        self.call_as(&root, "delete_admin_project", "", None, 204).await;
        self.done("restore_project", 200).await;
    }

    async fn invites_and_jobs(&mut self, t: &TestApp, root: &Client) {
        let mailed = json!({ "email": "kim@example.com", "project": self.names["project"] });
        let made = self.does("create_invite", mailed, 201).await;
        self.names.insert("invite", made.at("/id"));
        for id in ["list_admin_invites", "list_admin_project_invites"] {
            self.call_as(root, id, "", None, 200).await;
        }
        self.call_as(root, "revoke_admin_invite", "", None, 204).await;
        t.sql("UPDATE jobs SET state = 3 WHERE kind = 'mail' AND state = 2")
            .await;
        let dead = self
            .call_as(root, "list_admin_jobs", "?state=dead&kind=mail", None, 200)
            .await;
        self.names.insert("job", dead.at("/data/0/id"));
        self.call_as(root, "retry_admin_job", "", None, 202).await;
    }

    async fn limits(&mut self, t: &TestApp) {
        self.get("get_plans").await;
        self.get("get_billing").await;
        let client = self.client.clone();
        self.call_as(&client, "preview_downgrade", "?plan=free", None, 200)
            .await;
        t.sql("UPDATE users SET is_superuser = TRUE").await;
        self.names.insert("plan", "team".to_owned());
        let limits = json!({ "limits": { "projects": 30, "members": -1 } });
        self.does("put_admin_plan", limits, 200).await;
        self.get("get_admin_plans").await;
        self.call_as(&client, "list_admin_orgs", "?limit=1", None, 200).await;
        let patch = json!({
            "plan": "team", "limits": { "projects": 40, "webhooks": 40 }, "reset": ["webhooks"], "reason": "asked for",
            "expires_at": "2100-01-02T03:04:05Z",
        });
        self.does("update_admin_org", patch, 200).await;
        self.get("get_admin_org").await;
        self.get("get_billing").await;
    }

    async fn backups(&mut self, t: &TestApp, root: &Client) {
        let open = "SELECT COUNT(*) FROM jobs WHERE kind = 'backup' AND state = 0";
        let made = self.call_as(root, "create_backup", "", None, 202).await;
        self.names.insert("backup", made.at("/id"));
        self.call_as(root, "list_backups", "", None, 200).await;
        eventually("the backup is made", || async { t.number(open).await == 0 }).await;
        self.call_as(root, "get_backup", "", None, 200).await;
        self.call_as(root, "restore_backup", "", None, 202).await;
        eventually("the backup is restored", || async { t.number(open).await == 0 }).await;
        self.call_as(root, "get_backup", "", None, 200).await;
        self.call_as(root, "delete_backup", "", None, 204).await;
    }

    async fn endings(&mut self) {
        self.done("delete_secret", 200).await;
        self.done("delete_environment", 204).await;
        self.done("delete_project", 204).await;
        self.done("restore_project", 200).await;
        self.done("delete_org", 204).await;
        self.done("restore_org", 200).await;
        self.done("logout", 204).await;
    }
}
