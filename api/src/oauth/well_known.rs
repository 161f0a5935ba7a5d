//! What anybody may know: what the provider can do, and the keys that its tokens are checked with.

use std::sync::Arc;

use domain::oauth::discovery as metadata;
use domain::signing;
use poem::http::{HeaderValue, header};
use poem::web::Data;
use poem::{Response, handler};

use super::answer;
use crate::app::App;

/// Whoever keeps the documents asks again after this long. A key is published a day before it is used.
const CACHE: &str = "public, max-age=300";

fn kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.remove(header::PRAGMA);
    response
}

#[handler]
pub async fn discovery(Data(app): Data<&Arc<App>>) -> Response {
    kept(answer::json(&metadata::document(app.issuer())))
}

#[handler]
pub async fn keys(Data(app): Data<&Arc<App>>) -> Response {
    if let Err(error) = app.signer.ready(&app.db, &app.keys).await {
        return answer::failed(error);
    }
    match signing::jwks(&app.db).await {
        Ok(keys) => kept(answer::json(&keys)),
        Err(error) => answer::failed(error),
    }
}
