//! Fetching something to read: the settings of an issuer, its keys, a token. The same vetting as for deliveries: no
//! redirects, no addresses inside, one wall.

use std::borrow::Cow;

use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};

use super::client::{Egress, classify, root_cause};
use super::exchange::Outcome;

const AGENT: &str = concat!("Strongroom/", env!("CARGO_PKG_VERSION"));

/// What to fetch.
pub struct Fetch {
    /// Checked right before it is called.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Posted as a form; `None` = a GET.
    pub form: Option<String>,
    /// Bytes of the answer at most; a longer one is no answer.
    pub limit: usize,
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// `Ok` for a 2xx status with the whole body, `Http` for another status.
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub body: Vec<u8>,
    /// For people, without the URL: why there is no answer.
    pub error: Option<String>,
}

impl Fetched {
    fn failed(outcome: Outcome, status: Option<u16>, error: impl Into<String>) -> Self {
        Self {
            outcome,
            status,
            body: Vec::new(),
            error: Some(error.into()),
        }
    }

    /// Whether anything answered, whatever it said.
    pub fn was_answered(&self) -> bool {
        matches!(self.outcome, Outcome::Ok | Outcome::Http)
    }
}

impl Egress {
    /// Fetches. It never fails: whatever happens is the outcome, within the wall.
    pub async fn fetch(&self, fetch: Fetch) -> Fetched {
        match tokio::time::timeout(self.wall, self.fetch_it(fetch)).await {
            Ok(fetched) => fetched,
            Err(_) => Fetched::failed(Outcome::Timeout, None, "no complete answer in time"),
        }
    }

    async fn fetch_it(&self, fetch: Fetch) -> Fetched {
        let Fetch {
            url,
            headers,
            form,
            limit,
        } = fetch;
        let url = match self.policy.check_url(&url) {
            Ok(url) => url,
            Err(refused) => return Fetched::failed(Outcome::Blocked, None, refused.to_string()),
        };
        let client = if url.scheme() == "https" {
            &self.secure
        } else {
            &self.plain
        };
        let request = match form {
            None => client.get(url),
            Some(form) => client
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
        };
        let mut request = request.header(ACCEPT, "application/json").header(USER_AGENT, AGENT);
        for (name, value) in headers {
            request = request.header(name.as_ref(), value);
        }
        match request.send().await {
            Ok(response) => read(response, limit).await,
            Err(error) => Fetched::failed(classify(&error), None, root_cause(&error)),
        }
    }
}

async fn read(mut response: reqwest::Response, limit: usize) -> Fetched {
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Fetched::failed(Outcome::Http, Some(status.as_u16()), "the answer is too long"),
            Ok(None) => break,
            Err(error) => return Fetched::failed(classify(&error), Some(status.as_u16()), root_cause(&error)),
        }
    }
    let outcome = if status.is_success() {
        Outcome::Ok
    } else {
        Outcome::Http
    };
    Fetched {
        outcome,
        status: Some(status.as_u16()),
        body,
        error: (!status.is_success()).then(|| format!("it answered {}", status.as_u16())),
    }
}
