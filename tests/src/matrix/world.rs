//! Two organisations with everything in them.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;

use domain::access::{EnvClass, EnvRef, ProjectRef, Resource};
use domain::auth::verification;
use domain::kernel::Reads;
use domain::kernel::id::{
    BackupId, DeliveryId, EmailId, EnvId, FederatedIdentityId, JobId, OrgId, ProjectId, ServiceAccountId,
    SsoIdentityId, UserId,
};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::app::TestApp;
use crate::authenticator::Authenticator;
use crate::client::Client;
use crate::mailbox::{INVITE, REGISTER, RESET, SIGN_IN, VERIFY, expect_code, expect_token};
use crate::people::{Org, PASSWORD, Person};
use crate::receiver::Receiver;

/// An environment.
#[derive(Clone, Debug)]
pub struct EnvSeed {
    pub id: EnvId,
    pub slug: String,
    pub class: EnvClass,
}

/// One organisation, and the names of what is in it.
#[derive(Clone, Debug)]
pub struct Side {
    pub org: String,
    pub org_id: OrgId,
    pub owner_id: UserId,
    /// Somebody who develops and views in the organisation, and views in the project.
    pub member: String,
    pub project: String,
    pub project_id: ProjectId,
    /// One of each class.
    pub envs: Vec<EnvSeed>,
    /// A secret in each of them, and a key of the template.
    pub key: String,
    /// A second project, of which people of the first know nothing.
    pub hidden: String,
    pub hidden_id: ProjectId,
    /// A deleted project.
    pub deleted: String,
    pub deleted_id: ProjectId,
    pub webhook: String,
    pub delivery: String,
    /// A role of its own, with a name of its own, that nobody holds.
    pub role: String,
    pub role_name: String,
    /// An access rule about that role.
    pub rule: String,
    /// An event of its audit log.
    pub event: String,
    /// A personal token of its owner.
    pub token: String,
    /// Another session of its owner.
    pub session: String,
    pub service_account: String,
    /// An OAuth client of its owner.
    pub oauth_client: String,
    /// A user of its realm, who holds the role `app-editor` of its application and not `app-author`.
    pub realm_user: String,
    /// A key of that account.
    pub service_key: String,
    /// A second address of its owner, not verified.
    pub email: String,
    /// An invitation to the project that is out.
    pub invite: String,
    /// The token of its mail.
    pub invite_token: String,
    /// Who was invited, with a verified address.
    pub invitee_id: UserId,
    /// A backup of the instance, whose file is gone.
    pub backup: String,
}

impl Side {
    /// The job of the delivery.
    fn job(&self) -> String {
        let delivery: DeliveryId = self.delivery.parse().expect("an id");
        JobId(delivery.0).to_string()
    }

    /// The rule of the service account; see `FEDERATED`.
    fn federated_identity(&self) -> String {
        let account: ServiceAccountId = self.service_account.parse().expect("an id");
        FederatedIdentityId(account.0).to_string()
    }

    /// Values for the parameters of every path.
    pub fn names(&self, env: &EnvSeed) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("org", self.org.clone()),
            ("member", self.member.clone()),
            ("project", self.project.clone()),
            ("env", env.slug.clone()),
            ("key", self.key.clone()),
            ("webhook", self.webhook.clone()),
            ("delivery", self.delivery.clone()),
            ("role", self.role.clone()),
            ("rule", self.rule.clone()),
            ("event", self.event.clone()),
            ("version", "1".to_owned()),
            ("pin", "release-42".to_owned()),
            ("id", self.token.clone()),
            ("session", self.session.clone()),
            ("service_account", self.service_account.clone()),
            ("service_key", self.service_key.clone()),
            ("provider", self.org_id.to_string()),
            ("identity", SsoIdentityId(self.owner_id.0).to_string()),
            ("federated_identity", self.federated_identity()),
            ("client", self.oauth_client.clone()),
            ("user", self.realm_user.clone()),
            ("email", self.email.clone()),
            ("invite", self.invite.clone()),
            ("token", self.invite_token.clone()),
            ("job", self.job()),
            ("plan", "team".to_owned()),
            ("backup", self.backup.clone()),
        ])
    }
}

/// Where an operation is called.
#[derive(Clone, Debug)]
pub struct Place {
    pub side: Side,
    pub env: EnvSeed,
}

impl Place {
    pub fn org(&self) -> Resource<'_> {
        Resource::org(self.side.org_id)
    }

    pub fn project(&self) -> Resource<'_> {
        Resource::project(self.side.org_id, self.project_ref())
    }

    pub fn deleted_project(&self) -> Resource<'_> {
        let deleted = ProjectRef {
            id: self.side.deleted_id,
            slug: &self.side.deleted,
        };
        Resource::project(self.side.org_id, deleted)
    }

    pub fn env(&self) -> Resource<'_> {
        let env = EnvRef {
            id: self.env.id,
            slug: &self.env.slug,
            class: self.env.class,
        };
        Resource::env(self.side.org_id, self.project_ref(), env)
    }

    /// Where secrets are promoted from to this environment.
    ///
    /// # Panics
    /// Never: there is one of each class.
    pub fn promoted_from(&self) -> EnvSeed {
        let class = match self.env.class {
            EnvClass::Dev => EnvClass::Staging,
            EnvClass::Staging | EnvClass::Prod => EnvClass::Dev,
        };
        let found = self.side.envs.iter().find(|env| env.class == class);
        found.expect("an environment of each class").clone()
    }

    fn project_ref(&self) -> ProjectRef<'_> {
        ProjectRef {
            id: self.side.project_id,
            slug: &self.side.project,
        }
    }
}

/// The world.
pub struct World {
    pub own: Side,
    pub foreign: Side,
    /// The owner of the own side, for whom the bodies of public operations speak.
    pub owner: Person,
    pub owner_email: String,
    /// The owner of the foreign side.
    pub outsider: Person,
    /// Who is invited to the own side and has not come yet.
    pub invitee: Person,
    /// Who administers the instance, and is in no organisation but their own.
    pub superuser: Person,
    pub refresh_token: String,
    /// A link that verifies an address.
    pub link: String,
    pub setup_token: String,
    /// The owner's second factor, prepared and not in force.
    pub prepared: Authenticator,
    /// That of somebody who has one in force.
    pub locked: Authenticator,
    /// The sign-in of that person, waiting for a code.
    pub challenge_token: String,
    pub mailed: Mailed,
    /// The code of a device that waits for approval.
    pub user_code: String,
    pub realm: RealmSeed,
    pub receiver: Receiver,
}

/// A user of the own side's realm, signed in.
pub struct RealmSeed {
    pub email: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl World {
    /// Fills an application.
    ///
    /// # Panics
    /// When something is refused.
    pub async fn build(app: &TestApp) -> Self {
        // The worker makes them by itself after a minute, in the middle of a walk.
        let ready = app.app().signer.ready(app.db(), &app.app().keys).await;
        ready.expect("keys that sign");
        let receiver = Receiver::start().await;
        let (acme, globex) = (app.org("acme").await, app.org("globex").await);
        let (own, invitee) = side(&acme, &receiver, ["web", "ops", "old"], "API_KEY").await;
        let (foreign, _) = side(&globex, &receiver, ["vault", "lab", "gone"], "RIVAL_KEY").await;
        let realm = signed_in(&acme).await;
        // The other realm is off: it answers like none.
        let off = json!({ "realm_enabled": false });
        globex.owner.patch(&globex.path(""), off).await.expect(200).ok();
        let locked = app.person("locked").await;
        let (generator, _) = Authenticator::enable(locked.client(), &app.clock).await;
        let login = json!({ "email": locked.email, "password": PASSWORD, "transport": "bearer" });
        let waiting = app.anonymous().post("/v1/auth/login", login).await.expect(200);
        Self {
            prepared: Authenticator::prepare(acme.owner.client(), &app.clock).await,
            locked: generator,
            challenge_token: waiting.at("/challenge_token"),
            owner_email: acme.owner.email.clone(),
            refresh_token: acme.owner.refresh_token.clone(),
            link: link(app, &acme.owner).await,
            mailed: Mailed::collect(app, &acme.owner).await,
            user_code: device(app).await,
            realm,
            setup_token: app.setup_token().expect("a setup token").to_owned(),
            owner: acme.owner,
            outsider: globex.owner,
            invitee,
            superuser: superuser(app).await,
            own,
            foreign,
            receiver,
        }
    }

    /// The own side, in each class of environment.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.own.envs.iter().map(|env| Place {
            side: self.own.clone(),
            env: env.clone(),
        })
    }

    /// The own side's production.
    ///
    /// # Panics
    /// Never: there is one.
    pub fn production(&self) -> Place {
        self.places()
            .find(|place| place.env.class == EnvClass::Prod)
            .expect("production")
    }
}

/// One of two: the last could not delete their account.
async fn superuser(app: &TestApp) -> Person {
    let root = app.person("root").await;
    app.person("spare-root").await;
    app.sql("UPDATE users SET is_superuser = TRUE WHERE first_name IN ('root', 'spare-root')")
        .await;
    root
}

/// What mails brought to the owner, and to newcomers.
pub struct Mailed {
    /// Challenge token and code of a sign-in.
    pub sign_in: (String, String),
    /// Challenge token and code of a registration.
    pub registration: (String, String),
    /// The token of a registration whose address is proved.
    pub registering: String,
    /// The link that resets the password.
    pub reset: String,
    /// The code that verifies the second address.
    pub address_code: String,
}

impl Mailed {
    async fn collect(app: &TestApp, owner: &Person) -> Self {
        let anyone = app.anonymous();
        let body = json!({ "email": owner.email });
        anyone.post("/v1/auth/password/forgot", body).await.expect(200).ok();
        let registering = code_challenge(app, "/v1/auth/register", "proved@example.com").await;
        let proof = json!({ "challenge_token": registering.0, "code": registering.1 });
        let proved = anyone.post("/v1/auth/register/verify", proof).await.expect(200);
        Self {
            sign_in: code_challenge(app, "/v1/auth/code", &owner.email).await,
            registration: code_challenge(app, "/v1/auth/register", "fresh@example.com").await,
            registering: proved.at("/registration_token"),
            reset: expect_token(app, &owner.email, RESET, 1).await,
            address_code: expect_code(app, &second_address(owner), VERIFY, 1).await,
        }
    }
}

/// Asks for a code and waits for it.
async fn code_challenge(app: &TestApp, path: &str, email: &str) -> (String, String) {
    let begun = app.anonymous().post(path, json!({ "email": email })).await;
    let subject = if path.ends_with("code") { SIGN_IN } else { REGISTER };
    let token = begun.at("/challenge_token");
    (token, expect_code(app, email, subject, 1).await)
}

fn second_address(of: &Person) -> String {
    format!("second-{}", of.email)
}

async fn link(app: &TestApp, of: &Person) -> String {
    let tx = app.db().begin_write().await.expect("open a transaction");
    let sql = "SELECT id FROM user_emails WHERE user_id = $1 AND is_primary";
    let row = tx
        .conn()
        .query_one_raw(tx.sql(sql, [of.id.into()]))
        .await
        .expect("the query")
        .expect("an address");
    let email: EmailId = row.try_get_by_index(0).expect("an id");
    let token = verification::issue_link(&tx, app.app().keys.token_mac(), of.id, email)
        .await
        .expect("a link");
    tx.commit_bookkeeping().await.expect("commit");
    token.expose().to_owned()
}

/// Somebody who develops and views in the organisation, and views in the project.
async fn colleague(org: &Org<'_>, project: ProjectId) -> String {
    let colleague = org.developer(&format!("{}-colleague", org.slug)).await;
    let roles = org.path(&format!("/members/{}/roles", colleague.id));
    org.owner
        .post(&roles, json!({ "role": "viewer" }))
        .await
        .expect(201)
        .ok();
    org.grant(colleague.id, Some(project), "viewer").await;
    colleague.id.to_string()
}

/// The environments of a project as it is shown.
fn environments(shown: &serde_json::Value) -> Vec<EnvSeed> {
    let env = |env: &serde_json::Value| EnvSeed {
        id: env["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
        slug: env["slug"].as_str().expect("a slug").to_owned(),
        class: env["class"]
            .as_str()
            .and_then(|class| class.parse().ok())
            .expect("a class"),
    };
    let list = shown["environments"].as_array().expect("environments");
    list.iter().map(env).collect()
}

/// Fills one organisation; answers also who is invited to it.
async fn side(org: &Org<'_>, receiver: &Receiver, [project, hidden, deleted]: [&str; 3], key: &str) -> (Side, Person) {
    let owner: &Client = org.owner.client();
    let made = org.project(project).await;
    let shown = owner.get(&made.path).await.expect(200).json();
    let envs = environments(&shown);
    for env in &envs {
        let path = made.env(&env.slug).secret(key);
        for value in ["old", &env.slug] {
            owner.put(&path, json!({ "value": value })).await.ok();
        }
    }
    template(owner, &made.path, key).await;
    let (hidden_id, deleted_id) = (org.project(hidden).await.id, org.project(deleted).await.id);
    owner
        .delete(&org.path(&format!("/projects/{deleted}")))
        .await
        .expect(204)
        .ok();
    let hook = json!({ "url": receiver.url, "events": ["org.restored"] });
    let webhook = owner.post(&org.path("/webhooks"), hook).await.expect(201).at("/id");
    let test = org.path(&format!("/webhooks/{webhook}/test"));
    let delivery = owner.post(&test, json!({})).await.expect(200).at("/id");
    let Policy { role_name, role, rule } = policy(org, project).await;
    let event = owner.get(&org.path("/audit-logs")).await.expect(200).at("/data/0/id");
    let token = owner
        .post("/v1/auth/tokens", json!({ "name": "spare" }))
        .await
        .expect(201)
        .at("/id");
    let robot = json!({ "name": "robot", "description": "of the world", "role": "viewer" });
    let robot = owner.post(&org.path("/service-accounts"), robot).await.expect(201);
    let second = json!({ "email": second_address(&org.owner) });
    let email = owner.post("/v1/auth/emails", second).await.expect(201).at("/id");
    org.owner.signs_in_again().await;
    let session = owner.get("/v1/auth/sessions").await.expect(200).at("/data/0/id");
    let Invited {
        person,
        invite,
        token: invite_token,
    } = invited(org, &made.path).await;
    let side = Side {
        org: org.slug.clone(),
        org_id: org.id,
        owner_id: org.owner.id,
        member: colleague(org, made.id).await,
        project: project.to_owned(),
        project_id: made.id,
        envs,
        key: key.to_owned(),
        hidden: hidden.to_owned(),
        hidden_id,
        deleted: deleted.to_owned(),
        deleted_id,
        webhook,
        delivery,
        role,
        role_name,
        rule,
        event,
        token,
        session,
        service_account: robot.at("/id"),
        service_key: robot.at("/key_id"),
        oauth_client: oauth_client(owner).await,
        realm_user: realm_user(org).await,
        email,
        invite,
        invite_token,
        invitee_id: person.id,
        backup: backup(org.app).await,
    };
    (side, person)
}

/// Somebody who is invited to a project by a mail, and has not come yet.
struct Invited {
    person: Person,
    invite: String,
    token: String,
}

async fn invited(org: &Org<'_>, project: &str) -> Invited {
    let person = org.app.person(&format!("{}-invitee", org.slug)).await;
    let email = &person.email;
    let verified = format!("UPDATE user_emails SET verified_at = created_at WHERE canonical = '{email}'");
    org.app.sql(&verified).await;
    let made = org
        .owner
        .post(&format!("{project}/invites"), json!({ "email": email }))
        .await
        .expect(201);
    Invited {
        invite: made.at("/id"),
        token: expect_token(org.app, email, INVITE, 1).await,
        person,
    }
}

/// The address of the user of an organisation's realm.
fn realm_address(org: &Org<'_>) -> String {
    format!("{}-reader@example.com", org.slug)
}

/// Switches the realm on, and makes two roles of its application and a user who holds one.
async fn realm_user(org: &Org<'_>) -> String {
    let owner = org.owner.client();
    let on = json!({ "realm_enabled": true });
    owner.patch(&org.path(""), on).await.expect(200).ok();
    for name in ["app-editor", "app-author"] {
        let role = json!({ "name": name, "level": "org", "audience": "app", "permissions": ["comments:write"] });
        owner.post(&org.path("/roles"), role).await.expect(201).ok();
    }
    let reader = json!({ "email": realm_address(org), "password": PASSWORD, "role": "app-editor" });
    owner.post(&org.path("/users"), reader).await.expect(201).at("/id")
}

/// That user, signed in.
async fn signed_in(org: &Org<'_>) -> RealmSeed {
    let email = realm_address(org);
    let grant = json!({ "grant_type": "password", "email": email, "password": PASSWORD });
    let tokens = org.app.anonymous().post(&org.path("/tokens"), grant).await.expect(200);
    RealmSeed {
        email,
        access_token: tokens.at("/access_token"),
        refresh_token: tokens.at("/refresh_token"),
    }
}

/// A confidential client of somebody's.
async fn oauth_client(owner: &Client) -> String {
    let portal = json!({ "name": "portal", "confidential": true, "redirect_uris": ["https://portal.example.com/cb"] });
    owner.post("/v1/oauth/clients", portal).await.expect(201).at("/id")
}

/// A device that waits.
async fn device(app: &TestApp) -> String {
    let begun = app.anonymous().post("/v1/auth/device", json!({})).await;
    begun.expect(200).at("/user_code")
}

/// A backup as it stands when it is made.
async fn backup(app: &TestApp) -> String {
    let tx = app.db().begin_write().await.expect("open a transaction");
    let id: BackupId = tx.new_id().expect("an id");
    let sql = "INSERT INTO backups (id, state, cause, source, created_at, completed_at, rows_done)
        VALUES ($1, 'completed', 'requested', 'sqlite', $2, $2, 0)";
    let values = [id.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await.expect("a row");
    tx.commit_bookkeeping().await.expect("commit");
    id.to_string()
}

/// A template that knows the one key.
async fn template(owner: &Client, project: &str, key: &str) {
    let known = json!({ "key": key, "description": "of the world", "default": "none yet" });
    owner.post(&format!("{project}/template"), known).await.expect(201).ok();
}

/// A role that nobody holds, and a rule about it.
struct Policy {
    role_name: String,
    role: String,
    rule: String,
}

async fn policy(org: &Org<'_>, project: &str) -> Policy {
    let (owner, role_name) = (org.owner.client(), format!("{project}-auditor"));
    let auditor = json!({ "name": role_name, "level": "org", "permissions": ["audit:read"] });
    let role = owner.post(&org.path("/roles"), auditor).await.expect(201).at("/id");
    let about = json!({
        "subject": { "type": "role", "id": role }, "pattern": format!("{project}/staging"), "permissions": ["secrets:list"],
    });
    Policy {
        rule: owner.post(&org.path("/acl"), about).await.expect(201).at("/id"),
        role_name,
        role,
    }
}
