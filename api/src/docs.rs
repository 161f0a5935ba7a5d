//! The published API document and its interactive page, which works without the internet.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use poem::error::{InternalServerError, NotFoundError};
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::{Data, Path};
use poem::{Endpoint, EndpointExt, Response, Route, get, handler};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the page may load: our own files, and the inline styles and data images that swagger-ui makes.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document changes with every release, so it is asked for again each time; unchanged answers are a 304.
const DOCUMENT_CACHE: &str = "no-cache";

/// The page's files carry no version in their names; an hour bounds how long an upgrade shows the old page.
const ASSET_CACHE: &str = "public, max-age=3600";

/// The files of the page: name in the path, media type, content. swagger-ui's come from swagger-ui-dist 5.35.0.
const ASSETS: [(&str, &str, &[u8]); 8] = [
    (
        "index.html",
        "text/html; charset=utf-8",
        include_bytes!("../assets/docs/index.html"),
    ),
    (
        "init.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/docs/init.js"),
    ),
    (
        "swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/docs/swagger-ui-bundle.js"),
    ),
    (
        "swagger-ui.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/docs/swagger-ui.css"),
    ),
    (
        "favicon-32x32.png",
        "image/png",
        include_bytes!("../assets/docs/favicon-32x32.png"),
    ),
    (
        "swagger-ui-bundle.js.LICENSE.txt",
        "text/plain; charset=utf-8",
        include_bytes!("../assets/docs/swagger-ui-bundle.js.LICENSE.txt"),
    ),
    (
        "LICENSE",
        "text/plain; charset=utf-8",
        include_bytes!("../assets/docs/LICENSE"),
    ),
    (
        "NOTICE",
        "text/plain; charset=utf-8",
        include_bytes!("../assets/docs/NOTICE"),
    ),
];

/// One answer: its bytes, what they are and the tag that names this version of them.
#[derive(Clone)]
struct File {
    body: Bytes,
    content_type: &'static str,
    cache_control: &'static str,
    etag: String,
}

impl File {
    fn new(body: Bytes, content_type: &'static str, cache_control: &'static str) -> Self {
        let mut etag = String::from('"');
        for byte in Sha256::digest(&body).iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        Self {
            body,
            content_type,
            cache_control,
            etag,
        }
    }

    /// The file, or 304 when the caller holds it.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let builder = Response::builder()
            .header(header::ETAG, &self.etag)
            .header(header::CACHE_CONTROL, self.cache_control)
            .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer");
        if self.is_held(headers) {
            return builder.status(StatusCode::NOT_MODIFIED).finish();
        }
        builder
            .header(header::CONTENT_TYPE, self.content_type)
            .body(self.body.clone())
    }

    /// Weak comparison, as RFC 9110 §13.1.2 asks for.
    fn is_held(&self, headers: &HeaderMap) -> bool {
        let tags = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        tags.flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

/// The published document, written out when it is first asked for: a start waits for nobody's curiosity.
pub struct Document {
    source: Arc<Value>,
    json: OnceLock<File>,
    yaml: OnceLock<File>,
}

impl Document {
    pub fn new(document: Arc<Value>) -> Self {
        Self {
            source: document,
            json: OnceLock::new(),
            yaml: OnceLock::new(),
        }
    }

    /// As JSON: the bytes that are committed.
    fn json(&self) -> &File {
        self.json.get_or_init(|| {
            let json = openapi::to_pretty(&self.source);
            File::new(json.into(), "application/json", DOCUMENT_CACHE)
        })
    }

    /// As YAML.
    fn yaml(&self) -> poem::Result<&File> {
        if let Some(file) = self.yaml.get() {
            return Ok(file);
        }
        let yaml = serde_saphyr::to_string(&*self.source).map_err(InternalServerError)?;
        Ok(self
            .yaml
            .get_or_init(|| File::new(yaml.into(), "application/yaml", DOCUMENT_CACHE)))
    }
}

/// The page's files, ready to send.
struct Assets(Vec<(&'static str, File)>);

impl Assets {
    fn new() -> Self {
        let file = |content_type, body| File::new(Bytes::from_static(body), content_type, ASSET_CACHE);
        Self(
            ASSETS
                .iter()
                .map(|(name, content_type, body)| (*name, file(content_type, body)))
                .collect(),
        )
    }

    fn answer(&self, name: &str, headers: &HeaderMap) -> poem::Result<Response> {
        let asset = self.0.iter().find(|(known, _)| *known == name);
        asset
            .map(|(_, file)| file.answer(headers))
            .ok_or_else(|| NotFoundError.into())
    }
}

#[handler]
fn get_json(Data(document): Data<&Arc<Document>>, headers: &HeaderMap) -> Response {
    document.json().answer(headers)
}

#[handler]
fn get_yaml(Data(document): Data<&Arc<Document>>, headers: &HeaderMap) -> poem::Result<Response> {
    Ok(document.yaml()?.answer(headers))
}

#[handler]
fn get_page(Data(assets): Data<&Arc<Assets>>, headers: &HeaderMap) -> poem::Result<Response> {
    assets.answer("index.html", headers)
}

#[handler]
fn get_asset(
    Data(assets): Data<&Arc<Assets>>,
    Path(name): Path<String>,
    headers: &HeaderMap,
) -> poem::Result<Response> {
    assets.answer(&name, headers)
}

fn with_assets(endpoint: impl Endpoint + 'static, assets: &Arc<Assets>) -> impl Endpoint + 'static {
    endpoint.data(Arc::clone(assets))
}

/// Serves `/openapi.json`, `/openapi.yaml`, `/docs` and `/docs/{file}`. Nest the API into what it answers.
pub fn routes(document: Arc<Document>) -> Route {
    let assets = Arc::new(Assets::new());
    Route::new()
        .at("/openapi.json", get(get_json).data(Arc::clone(&document)))
        .at("/openapi.yaml", get(get_yaml).data(document))
        .at("/docs", with_assets(get(get_page), &assets))
        .at("/docs/:file", with_assets(get(get_asset), &assets))
}

#[cfg(test)]
mod tests {
    use poem::Request;
    use serde_json::json;

    use super::*;

    fn served() -> Route {
        let document = json!({"openapi": "3.1.0", "info": {"title": "no", "version": "1.0"}, "paths": {}});
        routes(Arc::new(Document::new(Arc::new(document))))
    }

    async fn fetch(path: &str, held: &str) -> Response {
        let request = Request::builder().uri_str(path).header("if-none-match", held).finish();
        served().get_response(request).await
    }

    async fn text(response: Response) -> String {
        response.into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn serves_the_document_as_json_and_yaml() {
        let response = fetch("/openapi.json", "").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let json = text(response).await;
        assert!(
            json.starts_with("{\n  \"openapi\": \"3.1.0\"") && json.ends_with("}\n"),
            "{json}"
        );

        let response = fetch("/openapi.yaml", "").await;
        assert_eq!(response.header("content-type"), Some("application/yaml"));
        let yaml = text(response).await;
        // Unquoted, YAML 1.1 readers would see false and a number.
        assert!(
            yaml.contains("title: \"no\"\n") && yaml.contains("version: \"1.0\"\n"),
            "{yaml}"
        );
    }

    #[tokio::test]
    async fn serves_every_file_that_the_page_names() {
        let response = fetch("/docs", "").await;
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(
            response.header("content-security-policy"),
            Some(CONTENT_SECURITY_POLICY)
        );
        let html = text(response).await;
        let paths: Vec<_> = html.split('"').filter(|part| part.starts_with("/docs/")).collect();
        assert_eq!(paths.len(), 4, "{html}");
        for path in paths {
            assert_eq!(fetch(path, "").await.status(), StatusCode::OK, "{path}");
        }
        // The policy forbids inline scripts.
        assert_eq!(html.matches("<script").count(), html.matches("<script src=").count());
    }

    #[tokio::test]
    async fn answers_304_to_a_caller_that_holds_it() {
        for path in ["/openapi.json", "/openapi.yaml", "/docs", "/docs/init.js"] {
            let etag = fetch(path, "\"other\"").await.header("etag").unwrap().to_owned();
            let held = fetch(path, &format!("\"other\", W/{etag}")).await;
            assert_eq!(held.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(held.header("etag"), Some(etag.as_str()));
            assert!(text(held).await.is_empty());
        }
    }

    #[tokio::test]
    async fn unknown_files_are_not_found() {
        for path in ["/docs/x.js", "/docs/..%2fdocs.rs", "/docs/"] {
            assert_eq!(fetch(path, "").await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
