//! What is taken away stops working at the next request, on a connection that stays open.

use std::time::Duration;

use domain::access::role::RoleLevel;
use domain::access::{ClassSet, EnvClass, Principal};
use harness::app::Options;
use harness::client::Credential;
use harness::matrix::World;
use harness::matrix::seed::{Seed, builtin};
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection, kept open: every request goes over it.
struct Connection {
    stream: BufReader<TcpStream>,
    credential: String,
}

impl Connection {
    async fn open(t: &TestApp, credential: &Credential) -> Self {
        let address = t.url.strip_prefix("http://").expect("a URL");
        let credential = match credential {
            Credential::Bearer(token) => format!("Authorization: Bearer {token}"),
            Credential::ApiKey(key) => format!("X-API-Key: {key}"),
            Credential::None | Credential::Cookie(_) => String::from("X-None: true"),
        };
        Self {
            stream: BufReader::new(TcpStream::connect(address).await.expect("a connection")),
            credential,
        }
    }

    /// The status of one GET.
    async fn get(&mut self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", self.credential);
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .expect("the connection is open");
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.expect("the connection is open");
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|digits| digits.parse().ok()).expect("a status");
            } else if let Some(rest) = text.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            } else if text.is_empty() {
                break;
            }
        }
        self.stream.read_exact(&mut vec![0; length]).await.expect("a body");
        status
    }
}

on_both! {
    async fn a_revoked_token_is_refused_at_the_next_request(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201);
        let mut line = Connection::open(&t, &Credential::Bearer(made.at("/token"))).await;
        assert_eq!(line.get(&acme.path("")).await, 200);
        acme.owner.delete(&format!("/v1/auth/tokens/{}", made.at("/id"))).await.expect(204).ok();
        assert_eq!(line.get(&acme.path("")).await, 401);
    }

    async fn a_session_that_signed_out_is_refused_at_the_next_request(t: TestApp) {
        let acme = t.org("acme").await;
        let mut line = Connection::open(&t, &acme.owner.credential).await;
        assert_eq!(line.get("/v1/auth/me").await, 200);
        acme.owner.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        assert_eq!(line.get("/v1/auth/me").await, 401);
        let body = json!({ "refresh_token": acme.owner.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", body).await.problem(401, "unauthenticated");
    }

    async fn a_removed_member_sees_nothing_at_the_next_request(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        let token = dana.token(json!({ "name": "ci", "org": "acme" })).await;
        let mut lines = [Connection::open(&t, &dana.credential).await, Connection::open(&t, &token.credential).await];
        for line in &mut lines {
            assert_eq!(line.get(&web.env("development").secrets()).await, 200);
        }
        acme.remove(dana.id).await;
        for (line, refused) in lines.iter_mut().zip([404, 401]) {
            for path in [web.env("development").secrets(), web.path.clone(), acme.path(""), acme.path("/projects")] {
                assert_eq!(line.get(&path).await, refused, "{path}");
            }
        }
    }

    async fn a_lower_role_counts_at_the_next_request(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let alex = acme.member("alex", "admin").await;
        let mut line = Connection::open(&t, &alex.credential).await;
        let (secrets, webhooks) = (web.env("production").secrets(), acme.path("/webhooks"));
        assert_eq!((line.get(&secrets).await, line.get(&webhooks).await), (200, 200));
        let member = acme.path(&format!("/members/{}", alex.id));
        acme.owner.patch(&member, json!({ "role": "viewer" })).await.expect(200).ok();
        assert_eq!((line.get(&secrets).await, line.get(&webhooks).await), (403, 403));
    }

    async fn a_disabled_account_is_refused_at_the_next_request_and_cannot_come_back(t: TestApp) {
        let acme = t.org("acme").await;
        let token = acme.owner.token(json!({ "name": "ci" })).await;
        let session = Connection::open(&t, &acme.owner.credential).await;
        let mut lines = [session, Connection::open(&t, &token.credential).await];
        for line in &mut lines {
            assert_eq!(line.get(&acme.path("")).await, 200);
        }
        t.sql("UPDATE users SET disabled_at = 1").await;
        for line in &mut lines {
            assert_eq!(line.get(&acme.path("")).await, 401);
            assert_eq!(line.get("/v1/auth/me").await, 401);
        }
        let body = json!({ "email": acme.owner.email, "password": harness::people::PASSWORD });
        t.anonymous().post("/v1/auth/login", body).await.problem(401, "invalid_credentials");
        let body = json!({ "refresh_token": acme.owner.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", body).await.problem(401, "unauthenticated");
    }

    async fn a_service_account_stops_with_its_key_its_account_its_project_or_its_role(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let owner = world.owner.client();
        let secrets = "/v1/orgs/acme/projects/web/environments/development/secrets";
        let accounts = "/v1/orgs/acme/service-accounts";
        for (name, end, answer) in [
            ("key", End::Key, 401),
            ("off", End::Off, 401),
            ("address", End::Address, 401),
            ("deleted", End::Deleted, 401),
            ("role", End::Role, 404),
            ("project", End::Project, 401),
        ] {
            let body = json!({ "name": name, "project": "web", "role": "viewer" });
            let (id, key) = seed.service_account(owner, body).await;
            let mut line = Connection::open(&t, &Credential::ApiKey(key)).await;
            assert_eq!(line.get(secrets).await, 200, "{name}");
            let account = format!("{accounts}/{id}");
            match end {
                End::Key => {
                    let key = owner.get(&format!("{account}/keys")).await.at("/data/0/id");
                    owner.delete(&format!("{account}/keys/{key}")).await.ok()
                }
                End::Off => owner.patch(&account, json!({ "enabled": false })).await.ok(),
                End::Address => owner.patch(&account, json!({ "ip_allow": ["192.0.2.7"] })).await.ok(),
                End::Deleted => owner.delete(&account).await.ok(),
                End::Role => {
                    owner.delete(&format!("/v1/orgs/acme/projects/web/members/{id}")).await.ok()
                }
                End::Project => owner.delete("/v1/orgs/acme/projects/web").await.ok(),
            };
            assert_eq!(line.get(secrets).await, answer, "{name}");
        }
    }
}

/// How a service account's access ends.
enum End {
    Key,
    Off,
    Address,
    Deleted,
    Role,
    Project,
}

on_each_backend! {
    async fn access_for_a_while_ends_at_its_very_instant(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let robin = t.person("robin").await;
        let (prod, end) = (ClassSet::EMPTY.with(EnvClass::Prod), t.clock.now() + Duration::from_mins(30));
        let viewer = builtin(RoleLevel::Org, "viewer");
        seed.membership_until(Principal::User(robin.id), &viewer, None, Some(prod), Some(end)).await;
        let mut line = Connection::open(&t, &robin.credential).await;
        let secrets = |env: &str| format!("/v1/orgs/acme/projects/web/environments/{env}/secrets");
        t.advance(Duration::from_micros(1_799_999_999));
        assert_eq!(line.get(&secrets("production")).await, 200);
        assert_eq!(line.get(&secrets("development")).await, 403);
        t.advance(Duration::from_micros(1));
        assert_eq!(line.get(&secrets("production")).await, 404);
        assert_eq!(line.get("/v1/orgs/acme").await, 404);
    }
}
