//! Uses every operation that takes or gives a secret, well and badly.

use std::path::Path;
use std::time::Duration;

use domain::kernel::Clock;
use harness::processes::{Api, within};
use harness::{Answer, Authenticator, Client, Receiver};
use reqwest::Method;
use serde_json::{Value, json};

use super::Canaries;

/// Uses everything once and returns what may be nowhere.
pub async fn use_everything(api: &Api, receiver: &Receiver, dir: &Path) -> Canaries {
    let mut canaries = Canaries::default();
    let anonymous = Client::new(&api.url);
    let password = canaries.make("password");
    administer(&mut canaries, &anonymous, api).await;
    let person = sessions(&mut canaries, &anonymous, &password).await;
    mail(&mut canaries, &anonymous, &person, dir).await;
    codes(&mut canaries, &anonymous, dir).await;
    second_factor(&mut canaries, &anonymous).await;
    let client = tokens(&mut canaries, &person).await;
    applications(&mut canaries, &anonymous, &person).await;
    realm(&mut canaries, &anonymous, &person).await;
    webhooks(&mut canaries, &person, receiver).await;
    invitations(&mut canaries, &anonymous, &person, dir).await;
    secrets(&mut canaries, &client).await;
    refusals(&mut canaries, &anonymous, &client).await;
    let _ = person.post("/v1/auth/logout", json!({})).await;
    canaries
}

fn account(email: &str, password: &str, transport: &str) -> Value {
    json!({ "email": email, "password": password, "transport": transport })
}

async fn administer(canaries: &mut Canaries, anonymous: &Client, api: &Api) {
    let password = canaries.make("password of the administrator");
    let mut body = account("ada@example.com", &password, "bearer");
    body["setup_token"] = json!(api.setup_token.clone().expect("a setup token"));
    let made = anonymous
        .with("Idempotency-Key", "admin")
        .post("/v1/setup/create-admin", body)
        .await
        .expect(201);
    note_session(canaries, "administrator", &made);
}

fn note_session(canaries: &mut Canaries, whose: &str, answer: &Answer) -> (String, String) {
    let access = canaries.note(&format!("access token, {whose}"), answer.at("/access_token"));
    let refresh = canaries.note(&format!("refresh token, {whose}"), answer.at("/refresh_token"));
    (access, refresh)
}

async fn sessions(canaries: &mut Canaries, anonymous: &Client, password: &str) -> Client {
    let body = account("dana@example.com", password, "bearer");
    let once = anonymous.with("Idempotency-Key", "register");
    let made = once.post("/v1/auth/register", body.clone()).await.expect(201);
    note_session(canaries, "registered", &made);
    once.post("/v1/auth/register", body).await.ok();

    let cookie = anonymous
        .post("/v1/auth/login", account("dana@example.com", password, "cookie"))
        .await
        .expect(200);
    let cookie = cookie.header("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(['=', ';']).nth(1).expect("a value");
    canaries.note("session cookie", cookie);
    anonymous.cookie(cookie).get("/v1/auth/me").await.ok();

    let login = anonymous
        .post("/v1/auth/login", account("dana@example.com", password, "bearer"))
        .await
        .expect(200);
    let (_, refresh) = note_session(canaries, "signed in", &login);
    let trade = json!({ "refresh_token": refresh });
    let traded = anonymous
        .post("/v1/auth/token/refresh", trade.clone())
        .await
        .expect(200);
    note_session(canaries, "refreshed", &traded);
    // Its answer may have been lost: it may be traded once more, and the same comes again.
    let again = anonymous.post("/v1/auth/token/refresh", trade).await.expect(200);
    let (access, _) = note_session(canaries, "refreshed again", &again);
    anonymous.bearer(&access)
}

async fn mail(canaries: &mut Canaries, anonymous: &Client, person: &Client, dir: &Path) {
    let folder = dir.join("data/mail");
    let links = || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        // The others are being written.
        let whole = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "eml"));
        let texts = whole.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        // Long lines are folded in a mail.
        let texts: Vec<String> = texts
            .map(|text| text.replace("=\r\n", "").replace("=3D", "="))
            .collect();
        let mut links: Vec<String> = texts
            .iter()
            .flat_map(|text| text.match_indices("srm_lnk_").map(|(at, _)| text[at..].to_owned()))
            .map(|text| {
                text.chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect()
            })
            .collect();
        links.sort();
        links.dedup();
        links
    };
    person.post("/v1/auth/email/send-verification", json!({})).await.ok();
    within(Duration::from_mins(1), "the mails are written", || async {
        links().len() >= 3
    })
    .await;
    let mut verified = 0;
    for (n, link) in links().into_iter().enumerate() {
        canaries.mailed.insert(format!("link {n}"), link.clone());
        let answer = anonymous.post("/v1/auth/email/verify", json!({ "token": link })).await;
        verified += usize::from(answer.status() == 204);
    }
    assert!(verified >= 1, "a link works");
}

/// What mails bring to somebody who is not signed in: codes stay with the client that asked, a link resets a password.
async fn codes(canaries: &mut Canaries, anonymous: &Client, dir: &Path) {
    let (first, second) = (canaries.make("password by code"), canaries.make("password by link"));
    let newcomer = json!({ "email": "newcomer@example.com" });
    let begun = anonymous.post("/v1/auth/register", newcomer.clone()).await.expect(202);
    let challenge = canaries.note("challenge of a registration", begun.at("/challenge_token"));
    let code = canaries.note_code(
        "code of a registration",
        mailed(dir, "Your registration code", six_digits).await,
    );
    canaries.note_code(
        "code of an address",
        mailed(dir, "Confirm your e-mail address", six_digits).await,
    );
    let proof = json!({ "challenge_token": challenge, "code": code });
    let proved = anonymous.post("/v1/auth/register/verify", proof).await.expect(200);
    let token = canaries.note("registration token", proved.at("/registration_token"));
    let completion = json!({ "registration_token": token, "password": first, "transport": "bearer" });
    let made = anonymous
        .post("/v1/auth/register/complete", completion)
        .await
        .expect(201);
    note_session(canaries, "newcomer", &made);
    let begun = anonymous.post("/v1/auth/code", newcomer.clone()).await.expect(200);
    let challenge = canaries.note("challenge of a sign-in", begun.at("/challenge_token"));
    // Somebody who tries it out on their own machine finds this one in the log, and is meant to.
    let code = mailed(dir, "Your sign-in code", six_digits).await;
    let proof = json!({ "challenge_token": challenge, "code": code, "transport": "bearer" });
    let signed_in = anonymous.post("/v1/auth/code/verify", proof).await.expect(200);
    note_session(canaries, "by code", &signed_in);
    anonymous
        .post("/v1/auth/password/forgot", newcomer)
        .await
        .expect(200)
        .ok();
    let link = mailed(dir, "Reset your password", link_token).await;
    canaries.mailed.insert("reset link".to_owned(), link.clone());
    let reset = json!({ "token": link, "password": second });
    anonymous.post("/v1/auth/password/reset", reset).await.expect(204).ok();
}

/// The second factor: its seed, its codes, the recovery codes, and the challenge of a sign-in.
async fn second_factor(canaries: &mut Canaries, anonymous: &Client) {
    let clock = Clock::system();
    let password = canaries.make("password with a second factor");
    let person = account("fox@example.com", &password, "bearer");
    let made = anonymous.post("/v1/auth/register", person.clone()).await.expect(201);
    let (access, _) = note_session(canaries, "with a second factor", &made);
    let fox = anonymous.bearer(&access);
    let replaced = Authenticator::prepare(&fox, &clock).await;
    note_seed(canaries, "seed that was replaced", &replaced);
    let app = Authenticator::prepare(&fox, &clock).await;
    note_seed(canaries, "seed", &app);
    let code = json!({ "code": canaries.note_code("first code of a generator", app.code()) });
    let once = fox.with("Idempotency-Key", "enable");
    let enabled = once.post("/v1/auth/2fa/enable", code).await.expect(200).json();
    let recovery = note_recovery(canaries, "recovery code", &enabled);

    let challenge = waiting(canaries, anonymous, &person, "challenge of a second factor").await;
    let verify = |code: &str| json!({ "challenge_token": challenge, "code": code });
    let wrong = verify(&app.wrong_code());
    let _ = anonymous.post("/v1/auth/2fa/verify", wrong).await.expect(401);
    let right = verify(&canaries.note_code("next code of a generator", app.next_code()));
    let session = anonymous.post("/v1/auth/2fa/verify", right).await.expect(200);
    note_session(canaries, "by a generator", &session);

    let challenge = waiting(canaries, anonymous, &person, "challenge of a recovery").await;
    let right = json!({ "challenge_token": challenge, "code": recovery });
    let session = anonymous.post("/v1/auth/2fa/verify", right).await.expect(200);
    note_session(canaries, "by a recovery code", &session);
    let again = fox.post("/v1/auth/2fa/recovery-codes", json!({})).await.expect(200);
    note_recovery(canaries, "new recovery code", &again.json());
}

/// The challenge of a sign-in that waits for its second factor.
async fn waiting(canaries: &mut Canaries, anonymous: &Client, person: &Value, what: &str) -> String {
    let waiting = anonymous.post("/v1/auth/login", person.clone()).await.expect(200);
    canaries.note(what, waiting.at("/challenge_token"))
}

/// The seed as it is typed, and as it is.
fn note_seed(canaries: &mut Canaries, what: &str, app: &Authenticator) {
    canaries.note(what, app.secret.clone());
    let hex = app.seed_in_hex();
    canaries.note(&format!("{what}, hex"), hex.clone());
    canaries.note(&format!("{what}, hex in small letters"), hex.to_lowercase());
    let bytes = hex
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"))
        .map(|pair| u8::from_str_radix(pair, 16).expect("two digits"));
    canaries.bytes.insert(what.to_owned(), bytes.collect());
}

/// Every code of a set, with and without its dashes; returns the first.
fn note_recovery(canaries: &mut Canaries, what: &str, answer: &Value) -> String {
    let codes = answer["recovery_codes"].as_array().expect("recovery codes");
    let codes: Vec<&str> = codes.iter().filter_map(Value::as_str).collect();
    for (n, code) in codes.iter().enumerate() {
        canaries.note(&format!("{what} {n}"), *code);
        canaries.note(&format!("{what} {n}, bare"), code.replace('-', ""));
    }
    codes[0].to_owned()
}

/// What the mail of a subject brings, once it is there.
async fn mailed(dir: &Path, subject: &str, read: impl Fn(&str) -> Option<String>) -> String {
    let folder = dir.join("data/mail");
    let find = || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        let mut mails = texts.filter(|text| text.contains(&format!("Subject: {subject}")));
        mails.find_map(|mail| read(&mail))
    };
    within(Duration::from_mins(1), subject, || async { find().is_some() }).await;
    find().expect("the mail")
}

fn six_digits(mail: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).map(str::to_owned)
}

fn link_token(mail: &str) -> Option<String> {
    let (_, rest) = mail.split_once("#token=")?;
    Some(
        rest.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect(),
    )
}

async fn tokens(canaries: &mut Canaries, person: &Client) -> Client {
    let once = person.with("Idempotency-Key", "token");
    let body = json!({ "name": "canary" });
    let made = once.post("/v1/auth/tokens", body.clone()).await.expect(201);
    let token = canaries.note("personal token", made.at("/token"));
    // The stored answer is given again, token and all.
    let again = once.post("/v1/auth/tokens", body).await.expect(201);
    assert_eq!(again.at("/token"), token);
    let short = person
        .post("/v1/auth/tokens", json!({ "name": "short-lived" }))
        .await
        .expect(201);
    let revoked = canaries.note("revoked token", short.at("/token"));
    person
        .delete(&format!("/v1/auth/tokens/{}", short.at("/id")))
        .await
        .ok();
    let _ = person.bearer(&revoked).get("/v1/orgs").await.expect(401);
    person.bearer(&token)
}

/// A client's secret and own token, and the tokens of a device.
async fn applications(canaries: &mut Canaries, anonymous: &Client, person: &Client) {
    let portal = json!({
        "name": "portal", "confidential": true, "redirect_uris": ["https://portal.example.com/cb"],
        "grant_types": ["authorization_code", "client_credentials"],
    });
    let made = person.post("/v1/oauth/clients", portal).await.expect(201);
    let (id, secret) = (
        made.at("/client_id"),
        canaries.note("client secret", made.at("/client_secret")),
    );
    let send = async |form: String| {
        let kind = "application/x-www-form-urlencoded";
        anonymous
            .send_bytes(Method::POST, "/oauth/token", kind, form.into_bytes())
            .await
    };
    let own = send(format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}"
    ))
    .await;
    canaries.note("access token of a client", own.expect(200).at("/access_token"));
    let begun = anonymous.post("/v1/auth/device", json!({})).await.expect(200);
    let device = canaries.note("device code", begun.at("/device_code"));
    let approve = json!({ "user_code": begun.at("/user_code"), "decision": "approve" });
    person.post("/v1/auth/device/approve", approve).await.expect(200).ok();
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let given = send(format!(
        "grant_type={grant}&device_code={device}&client_id=strongroom-cli"
    ))
    .await;
    let (_, refresh) = note_session(canaries, "device", &given.expect(200));
    let bad = send(format!(
        "grant_type=refresh_token&refresh_token={refresh}x&client_id=strongroom-cli"
    ))
    .await;
    canaries.refusals.push_str(&bad.expect(400).text());
}

/// A user of a realm with its password and tokens, and a machine's token.
async fn realm(canaries: &mut Canaries, anonymous: &Client, person: &Client) {
    let password = canaries.make("password of a user of a realm");
    let org = json!({ "name": "Realm", "slug": "realm" });
    person.post("/v1/orgs", org).await.expect(201).ok();
    let on = json!({ "realm_enabled": true });
    person.patch("/v1/orgs/realm", on).await.expect(200).ok();
    let reader = json!({ "email": "reader@example.com", "password": password });
    person
        .with("Idempotency-Key", "realm-user")
        .post("/v1/orgs/realm/users", reader)
        .await
        .expect(201)
        .ok();
    let tokens = "/v1/orgs/realm/tokens";
    let grant = json!({ "grant_type": "password", "email": "reader@example.com", "password": password });
    let signed_in = anonymous.post(tokens, grant).await.expect(200);
    let (access, refresh) = note_session(canaries, "user of a realm", &signed_in);
    let trade = json!({ "grant_type": "refresh_token", "refresh_token": refresh });
    let once = anonymous.with("Idempotency-Key", "realm-refresh");
    let (_, last) = note_session(
        canaries,
        "user of a realm, again",
        &once.post(tokens, trade).await.expect(200),
    );
    for asked in [&access, &refresh] {
        let asked = json!({ "token": asked, "permission": "comments:write" });
        person.post("/v1/authorize", asked).await.expect(200).ok();
    }
    let machine = person
        .post("/v1/orgs/realm/service-accounts", json!({ "name": "robot" }))
        .await;
    let machine = machine.expect(201);
    let key = canaries.note("key of a machine of a realm", machine.at("/key"));
    let grant = json!({ "grant_type": "client_credentials", "client_id": machine.at("/id"), "client_secret": key });
    let given = anonymous.post(tokens, grant).await.expect(200);
    canaries.note("access token of a machine of a realm", given.at("/access_token"));
    let wrong = canaries.make("wrong password of a user of a realm");
    let grant = json!({ "grant_type": "password", "email": "reader@example.com", "password": wrong });
    canaries
        .refusals
        .push_str(&anonymous.post(tokens, grant).await.expect(401).text());
    let given_up = json!({ "token": last });
    anonymous
        .post(&format!("{tokens}/revoke"), given_up)
        .await
        .expect(204)
        .ok();
}

async fn webhooks(canaries: &mut Canaries, person: &Client, receiver: &Receiver) {
    person
        .post("/v1/orgs", json!({ "name": "Acme", "slug": "acme" }))
        .await
        .ok();
    let once = person.with("Idempotency-Key", "webhook");
    let body = json!({ "url": receiver.url, "events": ["*"] });
    let made = once.post("/v1/orgs/acme/webhooks", body.clone()).await.expect(201);
    let secret = canaries.note("signing secret", made.at("/secret"));
    let bytes = secret.strip_prefix("whsec_").expect("a signing secret").to_owned();
    canaries.note("signing secret, bare", bytes);
    once.post("/v1/orgs/acme/webhooks", body).await.ok();
    let path = format!("/v1/orgs/acme/webhooks/{}", made.at("/id"));
    person.post(&format!("{path}/test"), json!({})).await.ok();
    let once = person.with("Idempotency-Key", "rotation");
    let rotated = once.post(&format!("{path}/rotate-secret"), json!({})).await.expect(200);
    let secret = canaries.note("rotated signing secret", rotated.at("/secret"));
    let bytes = secret.strip_prefix("whsec_").expect("a signing secret").to_owned();
    canaries.note("rotated signing secret, bare", bytes);
    once.post(&format!("{path}/rotate-secret"), json!({})).await.ok();
    person.patch(&path, json!({ "description": "changed" })).await.ok();
    person.get(&format!("{path}/deliveries")).await.ok();
    person
        .post("/v1/orgs/acme/projects", json!({ "name": "web", "slug": "web" }))
        .await
        .ok();
}

/// Tokens stand in paths here; that of the mail makes an account.
async fn invitations(canaries: &mut Canaries, anonymous: &Client, person: &Client, dir: &Path) {
    let password = canaries.make("password by invitation");
    let invites = "/v1/orgs/acme/invites";
    let once = person.with("Idempotency-Key", "invitation");
    let made = once
        .post(invites, json!({ "email": "guest@example.com" }))
        .await
        .expect(201);
    let shown = canaries.note("token of an invitation", made.at("/token"));
    anonymous.get(&format!("/v1/invites/{shown}")).await.ok();
    let token = mailed(dir, "You have an invitation", link_token).await;
    canaries
        .mailed
        .insert("token of an invitation's mail".to_owned(), token.clone());
    let accept = format!("/v1/invites/{token}/accept");
    let body = json!({ "password": password, "transport": "bearer" });
    let joined = anonymous.post(&accept, body).await.expect(201);
    let (access, _) = note_session(canaries, "guest", &joined);
    let link = person.post(invites, json!({ "max_uses": 2 })).await.expect(201);
    let link = canaries.note("token of an open link", link.at("/token"));
    let guest = anonymous.bearer(&access);
    let refused = guest.post(&format!("/v1/invites/{link}/accept"), json!({})).await;
    let refused = refused.problem(409, "already_member");
    canaries.refusals.push_str(&refused.text());
    let unknown = canaries.note("token of no invitation", format!("srm_inv_{}", "q".repeat(36)));
    let refused = anonymous.get(&format!("/v1/invites/{unknown}")).await;
    canaries.refusals.push_str(&refused.problem(404, "not_found").text());
}

const SECRETS: &str = "/v1/orgs/acme/projects/web/environments/production/secrets";

async fn secrets(canaries: &mut Canaries, client: &Client) {
    let path = format!("{SECRETS}/CANARY_KEY");
    for n in 0..3 {
        let value = canaries.make(&format!("value {n}"));
        let comment = canaries.make(&format!("comment {n}"));
        let body = json!({ "value": value, "comment": comment });
        let once = client.with("Idempotency-Key", &format!("put-{n}"));
        once.put(&path, body.clone()).await.ok();
        once.put(&path, body).await.ok();
        assert_eq!(client.get(&path).await.expect(200).at("/value"), value);
    }
    let (value, comment) = (canaries.make("created value"), canaries.make("created comment"));
    let body = json!({ "key": "CREATED", "value": value, "comment": comment });
    client.post(SECRETS, body).await.ok();
    client.get(SECRETS).await.ok();
    client.get(&format!("{path}?version=1")).await.ok();
    client.get(&format!("{path}/versions")).await.ok();
    client.delete(&format!("{SECRETS}/CREATED")).await.ok();
    client.get("/v1/orgs/acme/audit-logs").await.ok();
    client.get("/v1/orgs/acme/audit-logs/verify").await.ok();
}

/// Everything that is refused with a secret in it; each answer is kept, and may not repeat it.
async fn refusals(canaries: &mut Canaries, anonymous: &Client, client: &Client) {
    let wrong = canaries.make("wrong password");
    let mut answers = vec![
        anonymous
            .post("/v1/auth/login", account("dana@example.com", &wrong, "bearer"))
            .await,
        anonymous
            .post("/v1/auth/login", account("nobody@example.com", &wrong, "bearer"))
            .await,
        anonymous
            .post("/v1/auth/register", account("dana@example.com", &wrong, "bearer"))
            .await,
        anonymous
            .post("/v1/auth/register", account("no address", &wrong, "bearer"))
            .await,
    ];
    let stray = canaries.make("stray token");
    for token in [stray.clone(), format!("srm_pat_{}", stray.replace('-', ""))] {
        answers.push(anonymous.bearer(&token).get("/v1/auth/me").await);
        answers.push(anonymous.api_key(&token).get("/v1/auth/me").await);
        answers.push(anonymous.cookie(&token).get("/v1/auth/me").await);
        answers.push(
            anonymous
                .post("/v1/auth/token/refresh", json!({ "refresh_token": token }))
                .await,
        );
        answers.push(anonymous.post("/v1/auth/email/verify", json!({ "token": token })).await);
    }
    canaries.note("stray token, bare", stray.replace('-', ""));
    let path = format!("{SECRETS}/CANARY_KEY");
    let bad = canaries.make("value in bad JSON");
    for body in [
        format!("{{\"value\": \"{bad}\""),
        format!("{{\"value\": [\"{bad}\"]}}"),
        format!("{{\"value\": \"{bad}\", \"value\": \"{bad}\"}}"),
        format!("\"{bad}\""),
        format!("value={bad}"),
        format!("{{\"value\": \"{bad}\\u0000\"}}"),
        format!("{{\"value\": \"{bad}\", \"expected_version\": 99}}"),
        format!("{{\"value\": \"{bad}\", \"expected_version\": \"{bad}\"}}"),
        format!("{{\"value\": \"{bad}{}\"}}", "x".repeat(70_000)),
        format!("{{\"value\": \"{bad}{}\"}}", "x".repeat(1_100_000)),
    ] {
        answers.push(
            client
                .send_bytes(Method::PUT, &path, "application/json", body.into_bytes())
                .await,
        );
    }
    // Names of unknown fields are told to who sent them, and to nobody else.
    let name = canaries.make("name of a field");
    let _ = client.put(&path, json!({ "value": "x", name: 1 })).await.expect(422);
    let form = format!("value={bad}").into_bytes();
    answers.push(
        client
            .send_bytes(Method::PUT, &path, "application/x-www-form-urlencoded", form)
            .await,
    );
    let hidden = format!("{}/CANARY_KEY", SECRETS.replace("acme", "elsewhere"));
    answers.push(client.put(&hidden, json!({ "value": bad })).await);
    let key = json!({ "value": bad });
    answers.push(client.with("Idempotency-Key", "put-0").put(&path, key).await);
    answers.extend(template(canaries, client).await);
    for answer in answers {
        assert!(
            (400..500).contains(&answer.status()),
            "{}: {}",
            answer.status(),
            answer.text()
        );
        canaries.refusals.push_str(&answer.text());
        canaries.refusals.push('\n');
    }
}

/// What a template refuses, and what it finds in values that are stored.
async fn template(canaries: &mut Canaries, client: &Client) -> Vec<Answer> {
    let project = "/v1/orgs/acme/projects/web";
    let template = format!("{project}/template");
    for key in ["CANARY_KEY", "CANARY_PORT"] {
        let number = json!({ "key": key, "required": false, "pattern": "^[0-9]+$", "enum": ["1"] });
        client.post(&template, number).await.ok();
    }
    client.get(&format!("{template}/validate")).await.ok();
    client
        .patch(project, json!({ "template_gate": "protected" }))
        .await
        .ok();
    let production = format!("{project}/environments/production");
    client.patch(&production, json!({ "protected": true })).await.ok();
    let value = canaries.make("value that the template refuses");
    let tried = json!({ "secrets": { "CANARY_PORT": value }, "dry_run": true });
    client.post(&format!("{production}/bulk"), tried).await.ok();
    let stored = json!({ "key": "CANARY_PORT", "value": value });
    let renamed = json!({ "key": "CANARY_PORT" });
    vec![
        client.post(SECRETS, stored).await,
        client.patch(&format!("{SECRETS}/CANARY_KEY"), renamed).await,
        client
            .post(&format!("{SECRETS}/CANARY_KEY/rollback"), json!({ "version": 1 }))
            .await,
    ]
}
