//! What an issuer says of itself (OpenID Connect Discovery 1.0).

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{Checked, Failure, Issuers, Kept};
use crate::kernel::Timestamp;

/// Where it says so, behind the issuer.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// How long it is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);

/// An issuer's settings, as far as they matter here.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Where an issuer says what it is like.
    pub fn address(issuer: &str) -> String {
        format!("{}{DISCOVERY}", issuer.trim_end_matches('/'))
    }
}

impl Issuers {
    /// What an issuer says of itself, fetched or remembered. It must name itself by the very text by which it was asked.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn metadata(&self, issuer: &str, now: Timestamp) -> Checked<Metadata> {
        if let Some(kept) = self.metadata.get(issuer)
            && now.since(kept.at) < REMEMBERED_FOR
        {
            return Ok(kept.value.clone());
        }
        let url = Metadata::address(issuer);
        let found: Metadata = self.fetch_json("discovery", &url, None, None).await?;
        if found.issuer != issuer {
            return Err(Failure::Refused("the discovery document is another issuer's"));
        }
        let kept = Kept {
            at: now,
            value: found.clone(),
        };
        self.metadata.insert(issuer.to_owned(), Arc::new(kept));
        Ok(found)
    }

    /// Forgets what an issuer said of itself.
    pub fn forget(&self, issuer: &str) {
        self.metadata.invalidate(issuer);
    }
}
