//! Tokens that are none of ours, or not for this: all refused, at the API and at userinfo, and each alike.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::signing::{Alg, Typ};
use harness::{TestApp, on_both};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{browser, claims, head, partner};

/// A token that works, taken apart.
pub struct Good<'a> {
    t: &'a TestApp,
    pub token: String,
    pub claims: Value,
    head: Value,
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// One thing changed; null takes it away.
pub fn with(whole: &Value, name: &str, value: &Value) -> Value {
    let mut changed: Map<String, Value> = whole.as_object().cloned().unwrap_or_default();
    if value.is_null() {
        changed.remove(name);
    } else {
        changed.insert(name.to_owned(), value.clone());
    }
    changed.into()
}

pub async fn sign(t: &TestApp, claims: &Value, typ: Typ, alg: Alg) -> String {
    let app = t.app();
    app.signer.ready(&app.db, &app.keys).await.unwrap();
    let claims = claims.as_object().cloned().unwrap_or_default();
    app.signer.sign(&app.db, &app.keys, &claims, typ, alg).await.unwrap()
}

fn hs256(head: &Value, claims: &Value, key: &[u8]) -> String {
    let head = with(head, "alg", &json!("HS256"));
    let signed = format!("{}.{}", part(&head), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

impl<'a> Good<'a> {
    pub fn of(t: &'a TestApp, token: &str) -> Self {
        Self {
            t,
            claims: claims(token),
            head: head(token),
            token: token.to_owned(),
        }
    }
}

impl Good<'_> {
    /// Whatever can be made of it that is no good, each with what it is.
    pub async fn corpus(&self) -> Vec<(String, String)> {
        let mut corpus = self.of_headers();
        corpus.extend(self.of_shapes());
        corpus.extend(self.of_public_keys().await);
        corpus.extend(self.of_claims().await);
        corpus
    }

    fn signature(&self) -> &str {
        self.token.rsplit_once('.').unwrap().1
    }

    /// Another header over the signature that there is.
    fn headed(&self, name: &str, value: &Value) -> String {
        format!(
            "{}.{}.{}",
            part(&with(&self.head, name, value)),
            part(&self.claims),
            self.signature()
        )
    }

    /// What our own key would never sign, signed by it: whatever else is wrong, the signature is right.
    async fn claiming(&self, name: &str, value: &Value) -> String {
        sign(self.t, &with(&self.claims, name, value), Typ::AccessToken, Alg::Rs256).await
    }

    /// Headers that are not what they were.
    fn of_headers(&self) -> Vec<(String, String)> {
        let evil = "https://evil.example/jwks.json";
        let own = json!({ "kty": "oct", "k": "AAAA" });
        let changes = [
            ("alg", json!("none")),
            ("alg", json!("None")),
            ("alg", json!("NONE")),
            ("alg", json!("")),
            ("alg", Value::Null),
            ("alg", json!("HS256")),
            ("alg", json!("RS384")),
            ("alg", json!("PS256")),
            ("alg", json!("ES256")),
            ("alg", json!(["RS256"])),
            ("kid", Value::Null),
            ("kid", json!("")),
            ("kid", json!("unknown")),
            ("kid", json!("../../../../dev/null")),
            ("kid", json!("' OR '1'='1")),
            ("kid", json!(7)),
            ("typ", json!("JWT")),
            ("typ", Value::Null),
            ("typ", json!("at+jwt+x")),
            ("jku", json!(evil)),
            ("x5u", json!(evil)),
            ("jwk", own),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("cty", json!("JWT")),
        ];
        let named = changes.into_iter();
        named
            .map(|(name, value)| (format!("header {name} {value}"), self.headed(name, &value)))
            .collect()
    }

    /// Shapes that are no token.
    fn of_shapes(&self) -> Vec<(String, String)> {
        let (signed, signature) = self.token.rsplit_once('.').unwrap();
        let (head, payload) = signed.split_once('.').unwrap();
        let none = part(&json!({ "alg": "none", "typ": "at+jwt" }));
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[0] ^= 1;
        let other = part(&with(&self.claims, "sub", &json!("usr_00000000000000000000000000")));
        let shapes = [
            ("no signature", format!("{signed}.")),
            ("two parts", signed.to_owned()),
            ("four parts", format!("{}.x", self.token)),
            ("none and no signature", format!("{none}.{payload}.")),
            ("none and the old signature", format!("{none}.{payload}.{signature}")),
            ("another bit", format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&flipped))),
            ("another payload", format!("{head}.{other}.{signature}")),
            ("padding", format!("{}=", self.token)),
            (
                "a zero signature",
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 256])),
            ),
            (
                "an empty signature for ECDSA",
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
            ),
            (
                "the alphabet of links",
                format!("{signed}.{}", STANDARD.encode([0xff; 256])),
            ),
            ("dots", "..".to_owned()),
        ];
        shapes
            .into_iter()
            .map(|(what, token)| (what.to_owned(), token))
            .collect()
    }

    /// Symmetric signatures with what everybody knows for a key.
    async fn of_public_keys(&self) -> Vec<(String, String)> {
        let jwks = self.t.anonymous().get("/.well-known/jwks.json").await.expect(200);
        let keys = jwks.json()["keys"].as_array().cloned().unwrap_or_default();
        let key = keys
            .iter()
            .find(|key| key["alg"] == "RS256")
            .cloned()
            .unwrap_or_default();
        let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap_or_default()).unwrap();
        let text = key.to_string();
        [modulus.as_slice(), text.as_bytes(), jwks.bytes(), b"", b"secret"]
            .into_iter()
            .enumerate()
            .map(|(number, key)| {
                (
                    format!("HS256 with public key {number}"),
                    hs256(&self.head, &self.claims, key),
                )
            })
            .collect()
    }

    /// Claims that are not what they must be, under a good signature.
    async fn of_claims(&self) -> Vec<(String, String)> {
        let (now, jti) = (self.claims["iat"].as_i64().unwrap(), "tok_00000000000000000000000000");
        let mut all = Vec::new();
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(format!("{}/", self.t.url))),
            ("iss", json!([self.t.url])),
            ("iss", Value::Null),
            ("aud", json!("https://evil.example")),
            ("aud", json!([])),
            ("aud", json!({ "url": self.t.url })),
            ("aud", Value::Null),
            ("exp", json!(now - 1)),
            ("exp", json!((now + 600).to_string())),
            ("exp", Value::Null),
            ("exp", json!(true)),
            ("exp", json!(1e300)),
            ("nbf", json!(now + 3600)),
            ("nbf", json!("0")),
            ("iat", json!(now + 3600)),
            ("jti", Value::Null),
            ("jti", json!(jti)),
            ("jti", json!(7)),
            ("jti", json!("' OR '1'='1")),
        ] {
            all.push((format!("claim {name} {value}"), self.claiming(name, &value).await));
        }
        all
    }
}

on_both! {
    async fn sixty_tokens_that_are_not_what_they_seem_open_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let tokens = portal.signs_in(&t, &window, "openid offline_access org:read").await;
        let token = tokens.at("/access_token");
        let good = Good::of(&t, &token);
        let elsewhere = TestApp::spawn(harness::Backend::Sqlite).await;
        let mut corpus = good.corpus().await;
        corpus.push(("another instance's key".into(), sign(&elsewhere, &good.claims, Typ::AccessToken, Alg::Rs256).await));
        corpus.push(("an ID token".into(), tokens.at("/id_token")));
        corpus.push(("all of an access token, as an ID token".into(), sign(&t, &good.claims, Typ::IdToken, Alg::Rs256).await));
        corpus.push(("a refresh token".into(), tokens.at("/refresh_token")));
        let refresh = t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'oauth_refresh'").await;
        assert_eq!(refresh, 1);
        assert!(corpus.len() >= 60, "{}", corpus.len());
        for (what, token) in &corpus {
            let shown = t.anonymous().bearer(token);
            shown.get("/v1/orgs").await.problem(401, "unauthenticated");
            assert_eq!(shown.get("/oauth/userinfo").await.status(), 401, "{what}");
            let asked = json!({ "token": token, "permission": "org:read", "resource": { "org": dana.personal_org } });
            let answer = dana.post("/v1/authorize", asked).await.expect(200);
            assert_eq!((answer.at("/allowed"), answer.at("/reason")), ("false".into(), "invalid_token".into()), "{what}");
        }
        let works = t.anonymous().bearer(&good.token);
        works.get("/v1/orgs").await.expect(200).ok();
        works.get("/oauth/userinfo").await.expect(200).ok();
        elsewhere.stop().await;
    }

    async fn what_we_signed_ourselves_is_believed_for_what_it_is(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let token = portal.signs_in(&t, &browser(&t, &dana).await, "openid org:read").await.at("/access_token");
        let good = Good::of(&t, &token);
        for alg in Alg::ALL {
            let again = sign(&t, &good.claims, Typ::AccessToken, alg).await;
            t.anonymous().bearer(&again).get("/v1/orgs").await.expect(200).ok();
        }
        // Whose it is stands in the database: what the token says of its person is not even read.
        let lie = good.claiming("sub", &json!("usr_00000000000000000000000000")).await;
        let orgs = t.anonymous().bearer(&lie).get("/v1/orgs").await.expect(200);
        assert_eq!(orgs.at("/data/0/slug"), dana.personal_org);
    }

    async fn a_signed_token_is_no_api_key_and_no_cookie(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let token = portal.signs_in(&t, &browser(&t, &dana).await, "openid org:read").await.at("/access_token");
        t.anonymous().api_key(&token).get("/v1/orgs").await.problem(401, "unauthenticated");
        t.anonymous().cookie(&token).get("/v1/orgs").await.problem(401, "unauthenticated");
    }
}
