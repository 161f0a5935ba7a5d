//! Finding people.

use std::sync::Arc;

use domain::auth::search::{self, Found};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct UsersApi(pub Arc<App>);

/// Somebody who was found.
#[derive(Clone, Debug, Object)]
pub struct FoundUser {
    /// Id of the account: `usr_…`.
    pub id: String,
    /// The default address.
    pub email: String,
    /// Empty if none was given.
    pub first_name: String,
    /// Empty if none was given.
    pub last_name: String,
}

impl From<Found> for FoundUser {
    fn from(found: Found) -> Self {
        let Found {
            id,
            email,
            first_name,
            last_name,
        } = found;
        Self {
            id: id.to_string(),
            email,
            first_name,
            last_name,
        }
    }
}

/// At most ten people.
#[derive(Clone, Debug, Object)]
pub struct FoundUsers {
    /// By address.
    pub data: Vec<FoundUser>,
}

#[OpenApi(tag = "Tag::Auth")]
impl UsersApi {
    /// Find people
    ///
    /// By their exact verified address, or by a part of name or address among people who share an organisation or a
    /// project with you. At most ten.
    #[oai(path = "/v1/users/search", method = "get", operation_id = "search_users")]
    async fn search_users(
        &self,
        caller: Caller,
        /// What to look for, at least two characters.
        q: Query<String>,
        /// Id or slug of an organisation of yours whose people are looked through. Absent: all of yours.
        org: Query<Option<String>>,
    ) -> Result<Json<FoundUsers>, ApiError> {
        let found = search::search(&self.0.db, &caller, &q, org.0.as_deref()).await?;
        let data = found.into_iter().map(FoundUser::from).collect();
        Ok(Json(FoundUsers { data }))
    }
}
