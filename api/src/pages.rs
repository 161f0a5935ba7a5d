//! The few pages that links in mails lead to. They are static, load nothing from elsewhere, and talk to the API.

use poem::http::{StatusCode, header};
use poem::{Response, Route, get, handler};

/// Own files only; the page may call its own origin.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn page(content_type: &'static str, body: &'static str) -> Response {
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .body(body)
}

#[handler]
fn verify_email() -> Response {
    page(
        "text/html; charset=utf-8",
        include_str!("../assets/pages/verify-email.html"),
    )
}

#[handler]
fn verify_email_script() -> Response {
    page(
        "text/javascript; charset=utf-8",
        include_str!("../assets/pages/verify-email.js"),
    )
}

#[handler]
fn reset_password() -> Response {
    page(
        "text/html; charset=utf-8",
        include_str!("../assets/pages/reset-password.html"),
    )
}

#[handler]
fn reset_password_script() -> Response {
    page(
        "text/javascript; charset=utf-8",
        include_str!("../assets/pages/reset-password.js"),
    )
}

#[handler]
fn invite() -> Response {
    page("text/html; charset=utf-8", include_str!("../assets/pages/invite.html"))
}

#[handler]
fn invite_script() -> Response {
    page(
        "text/javascript; charset=utf-8",
        include_str!("../assets/pages/invite.js"),
    )
}

#[handler]
fn billing() -> Response {
    page("text/html; charset=utf-8", include_str!("../assets/pages/billing.html"))
}

#[handler]
fn style() -> Response {
    page("text/css; charset=utf-8", include_str!("../assets/pages/page.css"))
}

#[handler]
fn mark() -> Response {
    page("image/svg+xml", include_str!("../assets/pages/mark.svg"))
}

/// Adds the pages to the routes.
pub fn add(routes: Route) -> Route {
    routes
        .at("/verify-email", get(verify_email))
        .at("/pages/verify-email.js", get(verify_email_script))
        .at("/reset-password", get(reset_password))
        .at("/pages/reset-password.js", get(reset_password_script))
        .at("/invite", get(invite))
        .at("/pages/invite.js", get(invite_script))
        .at("/billing", get(billing))
        .at("/pages/page.css", get(style))
        .at("/pages/mark.svg", get(mark))
}
