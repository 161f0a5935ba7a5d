//! Where a provider is reached, and how it is spoken to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::provider::Provider;
use crate::foreign::{Checked, Expected, Failure, Issuers};
use crate::kernel::{Secret, Timestamp};
use crate::signing::Claims;

/// A provider's endpoints, and what it can do.
#[derive(Clone, Debug)]
pub struct Connection {
    pub issuer: String,
    pub client_id: String,
    pub authorization: String,
    pub token: String,
    pub userinfo: Option<String>,
    pub jwks: String,
    pub end_session: Option<String>,
    /// Whether the client shows its secret in the form, not in a header.
    secret_in_form: bool,
    /// Whether it names itself on the way back (RFC 9207).
    pub names_itself: bool,
}

/// What the token endpoint gives.
#[derive(Deserialize)]
pub struct Tokens {
    pub id_token: String,
    pub access_token: Option<String>,
}

impl Connection {
    /// Finds out where a provider is reached: what is set here comes first, then what it says itself.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn of(issuers: &Issuers, provider: &Provider, now: Timestamp) -> Checked<Self> {
        let said = if provider.discovery {
            Some(issuers.metadata(&provider.issuer, now).await?)
        } else {
            None
        };
        let said = said.as_ref();
        let missing = || Failure::Refused("an endpoint is missing");
        let first =
            |set: &Option<String>, said: Option<&Option<String>>| set.clone().or_else(|| said.cloned().flatten());
        let auth_methods = said.and_then(|said| said.token_endpoint_auth_methods_supported.as_ref());
        let can = |method: &str| auth_methods.is_none_or(|all| all.iter().any(|known| known == method));
        let connection = Self {
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            authorization: first(
                &provider.authorization_endpoint,
                said.map(|said| &said.authorization_endpoint),
            )
            .ok_or_else(missing)?,
            token: first(&provider.token_endpoint, said.map(|said| &said.token_endpoint)).ok_or_else(missing)?,
            userinfo: first(&provider.userinfo_endpoint, said.map(|said| &said.userinfo_endpoint)),
            jwks: first(&provider.jwks_uri, said.map(|said| &said.jwks_uri)).ok_or_else(missing)?,
            end_session: first(
                &provider.end_session_endpoint,
                said.map(|said| &said.end_session_endpoint),
            ),
            secret_in_form: !can("client_secret_basic") && can("client_secret_post"),
            names_itself: said.is_some_and(|said| said.authorization_response_iss_parameter_supported),
        };
        // Browsers are sent there, so it must be an address that could be called.
        let sent_to = [Some(&connection.authorization), connection.end_session.as_ref()];
        for address in sent_to.into_iter().flatten() {
            let checked = issuers.policy().check_url(address);
            checked.map_err(|_| Failure::Refused("an endpoint is no address that may be called"))?;
        }
        Ok(connection)
    }

    #[cfg(test)]
    pub(super) fn for_tests(issuer: &str, names_itself: bool) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: "strongroom".to_owned(),
            authorization: format!("{issuer}/auth"),
            token: format!("{issuer}/token"),
            userinfo: None,
            jwks: format!("{issuer}/jwks"),
            end_session: None,
            secret_in_form: false,
            names_itself,
        }
    }

    /// Trades a code for tokens.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn trade(
        &self,
        issuers: &Issuers,
        secret: Option<&Secret<String>>,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Checked<Tokens> {
        let (form, authorization) = self.request(secret, code, verifier, redirect_uri);
        issuers
            .fetch_json("token endpoint", &self.token, authorization, Some(form))
            .await
    }

    /// The form that trades a code, and the header that goes with it.
    fn request(
        &self,
        secret: Option<&Secret<String>>,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> (String, Option<String>) {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut authorization = None;
        match secret {
            Some(secret) if !self.secret_in_form => authorization = Some(self.basic(secret)),
            Some(secret) => {
                form.append_pair("client_id", &self.client_id)
                    .append_pair("client_secret", secret.expose());
            }
            None => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        (form.finish(), authorization)
    }

    /// Id and secret, each form-encoded before they are joined: RFC 6749 §2.3.1.
    fn basic(&self, secret: &Secret<String>) -> String {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose()));
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// The claims of an ID token that was made for this very way there.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn check(&self, issuers: &Issuers, id_token: &str, nonce: &str, now: Timestamp) -> Checked<Claims> {
        let expected = Expected {
            issuer: &self.issuer,
            audience: &self.client_id,
            jwks_uri: &self.jwks,
        };
        let claims = issuers.check(id_token, &expected, now).await?;
        if claims.text("nonce") != Some(nonce) {
            return Err(Failure::Refused("the ID token was made for another sign-in"));
        }
        if claims.instant("iat").is_none() {
            return Err(Failure::Refused("the ID token does not say when it was made"));
        }
        Ok(claims)
    }

    /// What the provider says of the person besides; it must speak of the same one.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn userinfo(
        &self,
        issuers: &Issuers,
        access_token: Option<&str>,
        subject: &str,
    ) -> Checked<Map<String, Value>> {
        let (Some(address), Some(token)) = (&self.userinfo, access_token) else {
            return Ok(Map::new());
        };
        // What cannot be in a header is no token.
        let authorization =
            Some(format!("Bearer {token}")).filter(|value| value.bytes().all(|b| (32..127).contains(&b)));
        if authorization.is_none() {
            return Err(Failure::Refused("the access token is none"));
        }
        let said: Map<String, Value> = issuers.fetch_json("userinfo", address, authorization, None).await?;
        if said.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(Failure::Refused("userinfo speaks of somebody else"));
        }
        Ok(said)
    }
}
