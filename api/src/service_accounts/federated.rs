//! Tokens of other issuers that stand for service accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::access::grant::ServiceAccountsManage;
use domain::access::org as gate;
use domain::kernel::Reads;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::service_accounts::trade::{self, Traded};
use domain::service_accounts::trust::{self, NewFederatedIdentity as DomainNew};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use crate::app::App;
use crate::auth::session::Done;
use crate::http::authenticate::origin;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct FederatedIdentitiesApi(pub Arc<App>);

/// Which tokens of an issuer stand for a service account.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewFederatedIdentity {
    /// What it is for, up to 200 characters.
    #[oai(default)]
    pub name: String,
    /// Who signs the tokens, letter by letter as they say it: `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// Where the issuer's keys are; absent: where its discovery document says.
    pub jwks_uri: Option<String>,
    /// Whom the tokens must be made for, such as the address of this instance.
    pub audience: String,
    /// A pattern for each claim that counts, at most 20; all must fit. `*` is any run of characters:
    /// `{"sub": "repo:acme/web:ref:refs/heads/*"}`. A name that begins with `/` leads into objects:
    /// `/kubernetes.io/namespace`. For an issuer that makes tokens for everybody a pattern must name the owner.
    pub claims: BTreeMap<String, String>,
}

impl From<NewFederatedIdentity> for DomainNew {
    fn from(new: NewFederatedIdentity) -> Self {
        let NewFederatedIdentity {
            name,
            issuer,
            jwks_uri,
            audience,
            claims,
        } = new;
        Self {
            name,
            issuer,
            jwks_uri,
            audience,
            claims,
        }
    }
}

/// Which tokens of an issuer stand for a service account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct FederatedIdentity {
    /// Id of the rule: `fid_…`.
    pub id: String,
    /// What it is for; may be empty.
    pub name: String,
    /// Who signs the tokens.
    pub issuer: String,
    /// Where the issuer's keys are, if not where it says itself.
    pub jwks_uri: Option<String>,
    /// Whom the tokens must be made for.
    pub audience: String,
    /// A pattern for each claim that counts.
    pub claims: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Time,
    /// When a token was last traded by it.
    pub last_used_at: Option<Time>,
}

impl From<trust::FederatedIdentity> for FederatedIdentity {
    fn from(rule: trust::FederatedIdentity) -> Self {
        let trust::FederatedIdentity {
            id,
            account: _,
            name,
            issuer,
            jwks_uri,
            audience,
            claims,
            created_at,
            last_used_at,
        } = rule;
        Self {
            id: id.to_string(),
            name,
            issuer,
            jwks_uri,
            audience,
            claims: claims.into_map(),
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
        }
    }
}

/// A token of another issuer, to be traded.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct TokenExchange {
    /// Id of the service account: `sa_…`.
    pub service_account: String,
    /// The token, a JWT. It is good for this once.
    #[oai(write_only)]
    pub token: String,
}

/// A short-lived token of a service account.
#[derive(Clone, Debug, Object)]
pub struct ExchangedToken {
    /// Send it as `X-API-Key`.
    pub token: String,
    /// Id of the service account: `sa_…`.
    pub service_account: String,
    /// Id of its organisation: `org_…`.
    pub org_id: String,
    /// Its life, seconds.
    pub expires_in: i64,
    /// When it ends.
    pub expires_at: Time,
}

#[derive(Clone, ApiResponse)]
pub enum FederatedIdentityCreated {
    /// The rule was made.
    #[oai(status = 201)]
    Created(Json<FederatedIdentity>),
}

#[OpenApi(tag = "Tag::ServiceAccounts")]
impl FederatedIdentitiesApi {
    /// List the federated identities of a service account
    ///
    /// Which tokens of other issuers stand for it, oldest first.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/federated-identities",
        method = "get",
        operation_id = "list_federated_identities"
    )]
    async fn list_federated_identities(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<FederatedIdentity>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let access = gate::<ServiceAccountsManage>(&self.0.db, &caller, &org).await?;
        let rules = trust::list(&self.0.db, &access, &service_account, page).await?;
        Ok(Json(List::of(rules, FederatedIdentity::from)))
    }

    /// Let tokens of another issuer stand for a service account
    ///
    /// For CI and clusters, which then need no key: they trade a token that their platform makes for them, such as that of
    /// a GitHub or GitLab job or a Kubernetes service account, for one of the service account that lives 15 minutes. At
    /// most 20 for one account.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/federated-identities",
        method = "post",
        operation_id = "create_federated_identity"
    )]
    async fn create_federated_identity(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        body: Json<NewFederatedIdentity>,
    ) -> Result<FederatedIdentityCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        let egress = self.0.issuers.policy();
        let made = trust::create(&tx, egress, &caller, &access, &service_account, body.0.into()).await?;
        tx.commit(FederatedIdentityCreated::Created(Json(made.into()))).await
    }

    /// Delete a federated identity of a service account
    ///
    /// Tokens that were traded by it are refused from the next request on.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/federated-identities/:federated_identity",
        method = "delete",
        operation_id = "delete_federated_identity"
    )]
    async fn delete_federated_identity(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        /// Id of the federated identity: `fid_…`.
        federated_identity: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        trust::delete(&tx, &caller, &access, &service_account, &federated_identity).await?;
        tx.commit(Done::Done).await
    }

    /// Trade a token of another issuer for one of a service account
    ///
    /// Each token once, at most an hour after it was made. Whatever does not fit, the answer is the same. The new token
    /// lives 15 minutes, however soon the other one ends, and may do what the service account may; it is refused once its
    /// rule is deleted, and is not traded for others.
    #[oai(path = "/v1/auth/token/exchange", method = "post", operation_id = "exchange_token")]
    async fn exchange_token(&self, body: Json<TokenExchange>) -> Result<Json<ExchangedToken>, ApiError> {
        let TokenExchange { service_account, token } = body.0;
        let taken = trade::check(&self.0.db, &self.0.issuers, &service_account, &token).await?;
        let tx = self.0.begin_write().await?;
        let traded = taken.trade(&tx, self.0.keys.token_mac(), &origin()).await?;
        let Traded {
            account,
            org,
            token,
            expires_at,
        } = traded;
        let answer = Json(ExchangedToken {
            token: token.expose().to_owned(),
            service_account: account.to_string(),
            org_id: org.to_string(),
            expires_in: expires_at.secs() - tx.now().secs(),
            expires_at: expires_at.into(),
        });
        tx.commit(answer).await
    }
}
