//! Partners' applications: clients, consent, tokens, devices, and what must not get in.

pub mod attacks;
mod clients;
mod consent;
mod devices;
mod discovery;
mod exchange;
mod grants;
mod meanwhile;
mod peers;
mod reach;
mod redirects;
mod refresh;
mod rotation;
mod service_accounts;
mod tokens;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::people::PASSWORD;
use harness::{Answer, Client, Person, TestApp};
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const REDIRECT: &str = "https://portal.example.com/cb";
const FORM: &str = "application/x-www-form-urlencoded";
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A client of OAuth's.
#[derive(Clone)]
pub struct Partner {
    pub id: String,
    pub secret: Option<String>,
    pub redirect: String,
}

/// Makes a client; what is absent is usual.
pub async fn partner(owner: &Person, body: Value) -> Partner {
    let mut whole = json!({
        "name": "Portal", "confidential": true, "redirect_uris": [REDIRECT],
        "scopes": ["openid", "profile", "email", "offline_access", "org:read", "projects:read", "secrets:read"],
    });
    for (name, value) in body.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let made = owner.post("/v1/oauth/clients", whole.clone()).await.expect(201);
    let secret = made.at("/client_secret");
    Partner {
        id: made.at("/client_id"),
        secret: (!secret.is_empty()).then_some(secret),
        redirect: whole["redirect_uris"][0].as_str().unwrap_or_default().to_owned(),
    }
}

/// `a=b&c=d`.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://x/", pairs).unwrap();
    url.query().unwrap_or_default().to_owned()
}

/// Sends a form.
pub async fn post(client: &Client, path: &str, pairs: &[(&str, &str)]) -> Answer {
    client
        .send_bytes(Method::POST, path, FORM, encoded(pairs).into_bytes())
        .await
}

/// A browser in which a person is signed in.
pub async fn browser(t: &TestApp, person: &Person) -> Client {
    let login = json!({ "email": person.email, "password": PASSWORD });
    let answer = t.anonymous().post("/v1/auth/login", login).await.expect(200);
    t.anonymous().cookie(&cookie(&answer, "strongroom"))
}

/// A cookie that an answer sets.
pub fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.header("set-cookie").unwrap_or_default();
    let pair = set.split(';').next().unwrap_or_default();
    let value = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    value.unwrap_or_default().to_owned()
}

impl Partner {
    /// A request for a code, with some parameters set otherwise; an empty one is left out.
    pub fn asks(&self, other: &[(&str, &str)]) -> String {
        let mut all = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", self.redirect.as_str()),
            ("scope", "openid email"),
            ("state", "st4te"),
            ("nonce", "n0nce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        all.extend(other.iter().copied());
        all.retain(|_, value| !value.is_empty());
        let pairs: Vec<_> = all.into_iter().collect();
        format!("/oauth/authorize?{}", encoded(&pairs))
    }

    /// A token request of this client, its secret in the form.
    pub async fn token(&self, t: &TestApp, pairs: &[(&str, &str)]) -> Answer {
        self.calls(t, "/oauth/token", pairs).await
    }

    /// A request of this client to an endpoint.
    pub async fn calls(&self, t: &TestApp, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut all = pairs.to_vec();
        all.push(("client_id", self.id.as_str()));
        if let Some(secret) = &self.secret {
            all.push(("client_secret", secret.as_str()));
        }
        post(&t.anonymous(), path, &all).await
    }

    /// A person agrees; answers the code.
    pub async fn code(&self, browser: &Client, other: &[(&str, &str)]) -> String {
        let answer = agrees(browser, &self.asks(other), &[]).await;
        let sent = sent(&answer);
        assert_eq!(sent.get("state").map(String::as_str), Some("st4te"), "{sent:?}");
        sent["code"].clone()
    }

    /// Trades a code.
    pub async fn trades(&self, t: &TestApp, code: &str) -> Answer {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", VERIFIER),
        ];
        self.token(t, &pairs).await
    }

    /// Trades a refresh token.
    pub async fn renews(&self, t: &TestApp, token: &str) -> Answer {
        self.token(t, &[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    /// All the way to tokens.
    pub async fn signs_in(&self, t: &TestApp, browser: &Client, scope: &str) -> Answer {
        let code = self.code(browser, &[("scope", scope)]).await;
        self.trades(t, &code).await.expect(200)
    }
}

/// The hidden fields of a page.
pub fn hidden(page: &str) -> BTreeMap<String, String> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        let (value, _) = rest.split_once('"')?;
        let plain = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ];
        Some(
            plain
                .iter()
                .fold(value.to_owned(), |text, (from, to)| text.replace(from, to)),
        )
    };
    let tags = page
        .split("<input ")
        .skip(1)
        .filter(|tag| tag.starts_with("type=\"hidden\""));
    tags.filter_map(|tag| Some((attribute(tag, " name")?, attribute(tag, " value")?)))
        .collect()
}

/// A person opens a page that asks, and presses a button.
pub async fn decides(browser: &Client, path: &str, decision: &str, other: &[(&str, &str)]) -> Answer {
    let page = browser.get(path).await.expect(200);
    let fields = hidden(&page.text());
    let mut pairs: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    pairs.push(("decision", decision));
    pairs.extend(other);
    let (action, _) = path.split_once('?').unwrap_or((path, ""));
    post(browser, action, &pairs).await
}

/// A person agrees; if they did before, they are not even asked.
pub async fn agrees(browser: &Client, path: &str, other: &[(&str, &str)]) -> Answer {
    let page = browser.get(path).await;
    if page.status() == 303 {
        return page;
    }
    decides(browser, path, "approve", other).await
}

/// What a redirect brings to a client.
pub fn sent(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status(), 303, "{}", answer.text());
    let url = Url::parse(answer.header("location").unwrap_or_default()).unwrap();
    url.query_pairs().into_owned().collect()
}

/// The claims of a signed token, unchecked.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The header of a signed token.
pub fn head(token: &str) -> Value {
    let header = token.split('.').next().unwrap_or_default();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// An error as RFC 6749 has it.
pub fn error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status(), answer.at("/error").as_str()),
        (status, code),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!answer.at("/error_description").is_empty());
}
