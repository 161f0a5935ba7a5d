//! `/sign-in`: signing in without a script, on the way to somewhere here.

use std::sync::Arc;

use domain::auth::amr::Method;
use domain::auth::session::{self, Begun, SessionTokens, Transport};
use domain::auth::throttle::{Attempt, Subject};
use domain::auth::{password, pending};
use domain::kernel::{Error, ProblemCode, Secret};
use domain::sso::provider::{self, Provider};
use poem::http::{HeaderValue, StatusCode, header};
use poem::web::Data;
use poem::{Request, Response, handler};
use url::form_urlencoded::byte_serialize;

use super::form::Form;
use super::html::{Leads, escaped, hidden, message, page, redirect, wrong};
use super::{answer, visitor};
use crate::app::App;
use crate::auth::session::cookie_of;
use crate::http::authenticate::origin;

/// Where somebody who is signed in goes on, if the way says nothing.
const DEFAULT: &str = "/device";
/// The ways that lead on from here. Nothing else may be named, so that nobody is sent anywhere else.
const ONWARD: [&str; 3] = ["/oauth/authorize?", "/device", "/docs"];

/// The cookie that a form of somebody who is not signed in yet belongs to.
fn form_cookie(https: bool) -> &'static str {
    if https {
        "__Host-strongroom-form"
    } else {
        "strongroom-form"
    }
}

fn onward(next: Option<String>) -> String {
    next.filter(|next| ONWARD.iter().any(|way| next.starts_with(way)) && !next.contains(['\\', '\r', '\n']))
        .unwrap_or_else(|| DEFAULT.to_owned())
}

fn proof(app: &App, cookie: &str) -> String {
    hex::encode(app.keys.token_mac().mac_text("sign_in_form", cookie))
}

/// The page, with the cookie that its form belongs to.
fn shown(app: &App, request: &Request, status: StatusCode, fields: &str, next: &str, said: Option<&str>) -> Response {
    let name = form_cookie(app.is_https());
    let known = visitor::cookie(request, name).filter(|cookie| cookie.len() == 32);
    let cookie = match known {
        Some(cookie) => cookie,
        None => match app.db.rng().bytes::<16>() {
            Ok(bytes) => hex::encode(bytes),
            Err(error) => return fault(error),
        },
    };
    let main = format!(
        "{}<form method=\"post\" action=\"/sign-in\">\n{}{}{fields}</form>\n",
        said.map(wrong).unwrap_or_default(),
        hidden("next", next),
        hidden("form", &proof(app, &cookie)),
    );
    let mut response = page(status, "Sign in", &main, &leads(next));
    let secure = if app.is_https() { "; Secure" } else { "" };
    let cookie = format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Where the form leads: back to a question whose answer may be known, and so on to a client at once. Browsers hold all
/// of these steps to the policy of the page that the form is on.
fn leads(next: &str) -> Leads {
    let query = next.split_once('?').map_or("", |(_, query)| query);
    let asked = Form::parse(query).ok().and_then(|mut form| form.take("redirect_uri"));
    asked.map_or(Leads::Here, Leads::To)
}

fn fault(error: Error) -> Response {
    let status = answer::logged(error);
    message(
        status,
        "Something went wrong",
        "It is not your doing. Try again in a moment.",
    )
}

/// The fields for name and password.
fn first_factor(name: &str) -> String {
    format!(
        "<p><label for=\"email\">E-mail address or user name</label>
<input id=\"email\" name=\"email\" value=\"{}\" autocomplete=\"username\" required></p>
<p><label for=\"password\">Password</label>
<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required></p>
<p class=\"decision\"><button type=\"submit\" class=\"primary\">Sign in</button></p>\n",
        escaped(name)
    )
}

/// A way to the instance's identity provider, if there is one. Without it there is still the password.
async fn single_sign_on(app: &App, next: &str) -> String {
    let offered = provider::offered(&app.db, None).await.unwrap_or_default();
    let way = |provider: &Provider| {
        let name = if provider.name.is_empty() {
            "single sign-on"
        } else {
            &provider.name
        };
        let next = byte_serialize(next.as_bytes()).collect::<String>();
        let href = format!("/v1/auth/sso/{}/start?next={next}", provider.place.name());
        format!(
            "<p class=\"decision\"><a class=\"button\" href=\"{}\">Sign in with {}</a></p>\n",
            escaped(&href),
            escaped(name)
        )
    };
    let ways: String = offered.iter().map(way).collect();
    if ways.is_empty() {
        return ways;
    }
    format!("<p class=\"or\">or</p>\n{ways}")
}

/// The field for the second factor.
fn second_factor(challenge: &str) -> String {
    format!(
        "{}<p><label for=\"code\">Code of your authenticator app, or a recovery code</label>
<input id=\"code\" name=\"code\" inputmode=\"text\" autocomplete=\"one-time-code\" required></p>
<p class=\"decision\"><button type=\"submit\" class=\"primary\">Go on</button></p>\n",
        hidden("challenge", challenge)
    )
}

#[handler]
pub async fn ask(Data(app): Data<&Arc<App>>, request: &Request) -> Response {
    let form = Form::parse(request.uri().query().unwrap_or_default());
    let mut form = form.unwrap_or_default();
    let next = onward(form.take("next"));
    // Who comes from an identity provider has shown the first factor there.
    let [host, plain] = visitor::PENDING;
    let waits = form.take("step").is_some_and(|step| step == "code");
    let pending = visitor::cookie(request, if app.is_https() { host } else { plain }).filter(|_| waits);
    let fields = match pending {
        Some(challenge) => second_factor(&challenge),
        None => format!("{}{}", first_factor(""), single_sign_on(app, &next).await),
    };
    shown(app, request, StatusCode::OK, &fields, &next, None)
}

#[handler]
pub async fn submit(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    let Ok(mut form) = Form::of_body(request, &body) else {
        return message(
            StatusCode::BAD_REQUEST,
            "Please start again",
            "The form could not be read.",
        );
    };
    let next = onward(form.take("next"));
    let cookie = visitor::cookie(request, form_cookie(app.is_https())).unwrap_or_default();
    let is_ours = visitor::comes_from_here(request, &app.base_url)
        && !cookie.is_empty()
        && form
            .take("form")
            .is_some_and(|shown| visitor::is_same(&shown, &proof(app, &cookie)));
    if !is_ours {
        let text = "The page was open for too long, or your browser keeps no cookies. Try again.";
        return shown(
            app,
            request,
            StatusCode::FORBIDDEN,
            &first_factor(""),
            &next,
            Some(text),
        );
    }
    if let Some(challenge) = form.take("challenge") {
        return with_code(app, request, &challenge, form.take("code"), &next).await;
    }
    let (name, password) = (form.take("email"), form.take("password"));
    with_password(
        app,
        request,
        name.unwrap_or_default(),
        password.unwrap_or_default(),
        &next,
    )
    .await
}

/// The session begins, and the browser goes on.
fn begun(app: &App, tokens: &SessionTokens, next: &str) -> Response {
    let mut response = redirect(next);
    if let Ok(value) = HeaderValue::from_str(&cookie_of(app, &tokens.access)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// What somebody is told whose proof was not taken; `None` for a fault of ours.
fn told(error: Error) -> Result<(StatusCode, String), Error> {
    match error.code() {
        Some(ProblemCode::InvalidCredentials | ProblemCode::Unauthenticated) => {
            Ok((StatusCode::UNAUTHORIZED, error.into_problem().detail.into_owned()))
        }
        Some(ProblemCode::RateLimited) => Ok((StatusCode::TOO_MANY_REQUESTS, error.into_problem().detail.into_owned())),
        Some(_) | None => Err(error),
    }
}

async fn with_password(app: &App, request: &Request, name: String, password: String, next: &str) -> Response {
    match Box::pin(first(app, &name, password)).await {
        Ok(Begun::Session(tokens)) => begun(app, &tokens, next),
        Ok(Begun::SecondFactorNeeded(pending)) => {
            let fields = second_factor(pending.token.expose());
            shown(app, request, StatusCode::OK, &fields, next, None)
        }
        Err(error) => match told(error) {
            Ok((status, text)) => shown(app, request, status, &first_factor(&name), next, Some(&text)),
            Err(error) => fault(error),
        },
    }
}

async fn first(app: &App, name: &str, password: String) -> Result<Begun, Error> {
    let account = password::check(app.checks(), name, Secret::new(password), &origin()).await?;
    let tx = app.db.begin_write().await?;
    let macs = app.keys.token_mac();
    let begun = session::begin(&tx, macs, &account, Transport::Cookie, Method::Password, &origin()).await?;
    match &begun {
        Begun::Session(_) => answer::commit(app, tx).await?,
        // Nothing has happened yet that the journal would tell of.
        Begun::SecondFactorNeeded(_) => {
            tx.commit_bookkeeping().await?;
        }
    }
    Ok(begun)
}

async fn with_code(app: &App, request: &Request, challenge: &str, code: Option<String>, next: &str) -> Response {
    match Box::pin(second(app, challenge, code.unwrap_or_default())).await {
        Ok(tokens) => begun(app, &tokens, next),
        Err(error) => {
            let is_over = error.code() == Some(ProblemCode::Unauthenticated);
            match told(error) {
                Ok((status, text)) if is_over => shown(app, request, status, &first_factor(""), next, Some(&text)),
                Ok((status, text)) => shown(app, request, status, &second_factor(challenge), next, Some(&text)),
                Err(error) => fault(error),
            }
        }
    }
}

async fn second(app: &App, challenge: &str, code: String) -> Result<SessionTokens, Error> {
    let macs = app.keys.token_mac();
    let found = pending::find(&app.db, macs, challenge).await?;
    let subject = Subject::account(macs, Attempt::SecondFactor, found.user);
    let finish = Box::pin(async {
        found.count_try(&app.db).await?;
        let tx = app.db.begin_write().await?;
        let (_, tokens) = found.finish(&tx, &app.keys, &code, &origin()).await?;
        answer::commit(app, tx).await?;
        Ok::<_, Error>(tokens)
    });
    app.throttle.guard(&app.db, subject, finish).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for good in ["/oauth/authorize?client_id=x", "/device", "/device?user_code=BCDF-GHJK"] {
            assert_eq!(onward(Some(good.to_owned())), good);
        }
        for bad in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/v1/auth/logout",
            "/oauth/authorize",
            "/oauth/authorize?x\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(onward(Some(bad.to_owned())), DEFAULT, "{bad}");
        }
    }
}
