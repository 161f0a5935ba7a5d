//! A client of the API: one credential, plain verbs, answers that are easy to ask.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::events::Events;

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    None,
    Bearer(String),
    ApiKey(String),
    /// A session cookie, with the headers that a change needs.
    Cookie(String),
}

/// A client of one application.
#[derive(Clone)]
pub struct Client {
    /// Origin of the API.
    pub base: String,
    pub credential: Credential,
    http: reqwest::Client,
    headers: HeaderMap,
}

impl Client {
    /// A client that shows no credential.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    pub fn new(base: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1))
            // Shorter than the server's patience with an idle connection: a request must not meet its end.
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .expect("an HTTP client");
        Self {
            base: base.to_owned(),
            credential: Credential::None,
            http,
            headers: HeaderMap::new(),
        }
    }

    /// The same client, showing no credential.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            credential: Credential::None,
            ..self.clone()
        }
    }

    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        Self {
            credential: Credential::Bearer(token.to_owned()),
            ..self.clone()
        }
    }

    #[must_use]
    pub fn api_key(&self, key: &str) -> Self {
        Self {
            credential: Credential::ApiKey(key.to_owned()),
            ..self.clone()
        }
    }

    #[must_use]
    pub fn cookie(&self, token: &str) -> Self {
        Self {
            credential: Credential::Cookie(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same client, sending one more header with everything.
    ///
    /// # Panics
    /// When it is no header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        let name = HeaderName::try_from(name).expect("a header name");
        client
            .headers
            .append(name, HeaderValue::try_from(value).expect("a header value"));
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends JSON, or nothing.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|json| ("application/json", json.to_string().into_bytes()));
        self.try_send(method, path, body).await.expect("an answer")
    }

    /// Sends bytes of a media type.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send_bytes(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        self.try_send(method, path, Some((content_type, body)))
            .await
            .expect("an answer")
    }

    /// A request with everything that this client sends along.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .headers(self.headers.clone());
        match &self.credential {
            Credential::None => request,
            Credential::Bearer(token) => request.bearer_auth(token),
            Credential::ApiKey(key) => request.header("X-API-Key", key),
            Credential::Cookie(token) => request
                .header("Cookie", format!("strongroom={token}"))
                .header("X-Requested-With", "strongroom")
                .header("Origin", &self.base),
        }
    }

    /// Opens a stream of events; it is refused or begins at once.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn events(&self, path: &str) -> Events {
        Events::new(self.request(Method::GET, path).send().await.expect("an answer"))
    }

    /// Sends, and tells when no answer came.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.request(method, path);
        if let Some((content_type, bytes)) = body {
            request = request.header("Content-Type", content_type).body(bytes);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A text in the body, by JSON pointer: `/data/0/key`.
    pub fn at(&self, pointer: &str) -> String {
        match self.json().pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    /// The code of a problem: `not_found`.
    pub fn code(&self) -> String {
        self.at("/code")
    }

    /// Asserts the status and goes on; shows the body when it is another.
    ///
    /// # Panics
    /// When it is another.
    #[must_use = "or use `ok`"]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Asserts a 2xx and goes on.
    ///
    /// # Panics
    /// When it is none.
    #[expect(clippy::return_self_not_must_use, reason = "often called for the assertion alone")]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self
    }

    /// Asserts a problem of this code, in its full shape.
    ///
    /// # Panics
    /// When it is something else.
    #[expect(clippy::return_self_not_must_use, reason = "often called for the assertion alone")]
    pub fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        let json = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(json["type"], format!("/problems/{code}"));
        assert_eq!(json["status"], status);
        assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(json["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"));
        self
    }
}
