//! `/oauth/authorize`: a client sends a browser here; the person decides; the browser goes back.

use std::sync::Arc;

use domain::access::Caller;
use domain::auth::account;
use domain::kernel::{Error, ProblemCode, Reads};
use domain::oauth::authorize::{self, Asked, Rejected, Request as Wanted};
use domain::oauth::{Failure, RefusalCode};
use poem::http::StatusCode;
use poem::web::Data;
use poem::{Request, Response, handler};
use url::{Host, Url, form_urlencoded};

use super::form::Form;
use super::html::{Leads, escaped, message, page, redirect};
use super::{answer, consent, visitor};
use crate::app::App;

/// Where forms of this page go.
const PATH: &str = "/oauth/authorize";

fn asked(form: &mut Form) -> Asked {
    Asked {
        has_request: form.has("request"),
        has_request_uri: form.has("request_uri"),
        client_id: form.take("client_id"),
        redirect_uri: form.take("redirect_uri"),
        response_type: form.take("response_type"),
        response_mode: form.take("response_mode"),
        scope: form.take("scope"),
        state: form.take("state"),
        code_challenge: form.take("code_challenge"),
        code_challenge_method: form.take("code_challenge_method"),
        nonce: form.take("nonce"),
        prompt: form.take("prompt"),
        max_age: form.take("max_age"),
        resource: form.take("resource"),
        organization: form.take("organization"),
    }
}

/// An address of a client's with parameters added; nothing of it is written anew.
fn back(to: &str, parameters: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        query.append_pair(name, value);
    }
    let joint = if to.contains('?') { '&' } else { '?' };
    redirect(&format!("{to}{joint}{}", query.finish()))
}

/// Tells whoever is to be told.
fn rejected(app: &App, rejected: Rejected) -> Response {
    match rejected {
        Rejected::Shown(refusal) => message(
            StatusCode::BAD_REQUEST,
            "This request cannot be trusted",
            &refusal.description,
        ),
        Rejected::Sent {
            redirect_uri,
            state,
            refusal,
        } => {
            let mut parameters = vec![
                ("error", refusal.code.as_str()),
                ("error_description", &*refusal.description),
                ("iss", app.issuer()),
            ];
            if let Some(state) = &state {
                parameters.push(("state", state.as_str()));
            }
            back(&redirect_uri, &parameters)
        }
        Rejected::Fault(error) => fault(error),
    }
}

fn fault(error: Error) -> Response {
    let status = answer::logged(error);
    message(
        status,
        "Something went wrong",
        "It is not your doing. Try again in a moment.",
    )
}

/// What a query asks.
async fn wanted(app: &App, query: &str) -> Result<Wanted, Rejected> {
    let mut form = Form::parse(query).map_err(Rejected::Shown)?;
    authorize::check(&app.db, app.issuer(), asked(&mut form)).await
}

/// To sign in, and back. What wanted the sign-in is left out of what comes back, or it would be wanted again.
fn to_sign_in(query: &str, is_again: bool) -> Response {
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if is_again && name == "prompt" {
            let words: Vec<_> = value.split(' ').filter(|word| *word != "login").collect();
            kept.append_pair("prompt", &words.join(" "));
        } else {
            kept.append_pair(&name, &value);
        }
    }
    let next = format!("{PATH}?{}", kept.finish());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &next);
    redirect(&format!("/sign-in?{}", query.finish()))
}

#[handler]
pub async fn ask(Data(app): Data<&Arc<App>>, request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    match asking(app, request, query).await {
        Ok(response) => response,
        Err(error) => rejected(app, error),
    }
}

async fn asking(app: &App, request: &Request, query: &str) -> Result<Response, Rejected> {
    let wanted = wanted(app, query).await?;
    let prompt = wanted.prompt;
    let Some(caller) = visitor::visitor(app, request).await? else {
        if prompt.is_none {
            return Err(wanted.refused(RefusalCode::LoginRequired, "Nobody is signed in."));
        }
        return Ok(to_sign_in(query, true));
    };
    if prompt.wants_login || !wanted.takes_sign_in_of(caller.auth_time, app.db.now()) {
        if prompt.is_none {
            return Err(wanted.refused(RefusalCode::LoginRequired, "The sign-in is too old."));
        }
        return Ok(to_sign_in(query, true));
    }
    let orgs = wanted.organisations(&app.db, &caller).await?;
    if !prompt.wants_consent
        && let Some(known) = wanted.known_consent(&app.db, &caller, &orgs).await?
    {
        return match approved(app, &caller, &wanted, known.org).await {
            Err(error) if is_over(&error) && prompt.is_none => {
                Err(wanted.refused(RefusalCode::LoginRequired, "Nobody is signed in."))
            }
            Err(error) if is_over(&error) => Ok(to_sign_in(query, true)),
            approved => Ok(approved?),
        };
    }
    if prompt.is_none {
        return Err(wanted.refused(RefusalCode::ConsentRequired, "The person must be asked."));
    }
    let account = account::get(&app.db, caller.session_user()?).await?;
    let proof = visitor::proof(app.keys.token_mac(), &caller, query);
    let inside = [
        consent::scopes(&wanted.scopes),
        consent::organisations(&orgs),
        consent::caution(&wanted.scopes, &destination(&wanted.redirect_uri)),
        consent::decision().to_owned(),
    ];
    let form = consent::form(PATH, &[("query", query), ("form", proof.as_str())], &inside.concat());
    let main = format!(
        "{}{}{form}",
        consent::signed_in(&account, &format!("{PATH}?{query}")),
        asks(&wanted)
    );
    let leads = Leads::To(wanted.redirect_uri.clone());
    Ok(page(StatusCode::OK, &question(&wanted), &main, &leads))
}

/// What is at stake: who the person is, or what they may do.
fn question(wanted: &Wanted) -> String {
    let name = &wanted.client.name;
    if wanted.scopes.reaches_organisations() {
        format!("{name} asks for access")
    } else {
        format!("Sign in to {name}?")
    }
}

/// Which application it is.
fn asks(wanted: &Wanted) -> String {
    let name = escaped(&wanted.client.name);
    let name = match &wanted.client.homepage {
        None => format!("<strong>{name}</strong>"),
        Some(homepage) => format!(
            "<a href=\"{}\" rel=\"noreferrer noopener\"><strong>{name}</strong></a>",
            escaped(homepage)
        ),
    };
    format!("<p>{name} will be able to:</p>\n")
}

/// Where the answer goes: the one thing about an application that is certain.
fn destination(redirect_uri: &str) -> String {
    let url = Url::parse(redirect_uri).ok();
    let place = |url: &Url| match (url.scheme(), url.host()) {
        ("http" | "https", Some(Host::Domain(name))) => (name != "localhost", name.to_owned()),
        ("http" | "https", Some(Host::Ipv4(ip))) => (!ip.is_loopback(), ip.to_string()),
        ("http" | "https", Some(Host::Ipv6(ip))) => (!ip.is_loopback(), ip.to_string()),
        // Programs answer to schemes of their own, whatever looks like a host in them.
        (scheme, _) => (false, scheme.to_owned()),
    };
    let (is_elsewhere, name) = url.as_ref().map_or((false, String::new()), place);
    let whose = if is_elsewhere {
        ""
    } else {
        "an application on this device, "
    };
    format!("You will be sent back to {whose}<strong>{}</strong>. ", escaped(&name))
}

/// Whether the session has ended while its person was asked.
fn is_over(error: &Error) -> bool {
    error.code() == Some(ProblemCode::Unauthenticated)
}

async fn approved(
    app: &App,
    caller: &Caller,
    wanted: &Wanted,
    org: Option<domain::kernel::id::OrgId>,
) -> Result<Response, Error> {
    let tx = app.db.begin_write().await?;
    let code = authorize::approve(&tx, app.keys.token_mac(), caller, wanted, org).await?;
    answer::commit(app, tx).await?;
    let mut parameters = vec![("code", code.expose()), ("iss", app.issuer())];
    if let Some(state) = &wanted.state {
        parameters.push(("state", state.as_str()));
    }
    Ok(back(&wanted.redirect_uri, &parameters))
}

#[handler]
pub async fn decide(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    match decided(app, request, &body).await {
        Ok(response) => response,
        Err(error) => rejected(app, error),
    }
}

async fn decided(app: &App, request: &Request, body: &str) -> Result<Response, Rejected> {
    let mut form = Form::of_body(request, body).map_err(Rejected::Shown)?;
    if !form.has("query") && form.has("response_type") {
        return Ok(by_get(body));
    }
    let query = form.take("query").unwrap_or_default();
    let wanted = wanted(app, &query).await?;
    let Some(caller) = visitor::visitor(app, request).await? else {
        return Ok(to_sign_in(&query, false));
    };
    let proof = form.take("form");
    if !visitor::is_ours(app, request, &caller, &query, proof.as_deref()) {
        return Ok(message(
            StatusCode::FORBIDDEN,
            "Please start again",
            "The form is not from this site, or another session began meanwhile. Go back to the application.",
        ));
    }
    if form.take("decision").as_deref() != Some("approve") {
        let tx = app.db.begin_write().await?;
        authorize::deny(&tx, &caller, &wanted.client).await?;
        answer::commit(app, tx).await?;
        return Err(wanted.refused(RefusalCode::AccessDenied, "The person refused."));
    }
    let org = match authorize::chosen(&app.db, &caller, form.take("org").as_deref()).await {
        Ok(org) if wanted.scopes.reaches_organisations() => org,
        Ok(_) => None,
        Err(Failure::Refused(refusal)) => return Err(Rejected::Shown(refusal)),
        Err(Failure::Fault(error)) => return Err(error.into()),
    };
    match approved(app, &caller, &wanted, org).await {
        Err(error) if is_over(&error) => Ok(to_sign_in(&query, false)),
        approved => Ok(approved?),
    }
}

/// A client may send what it asks as a form (OpenID Connect Core §3.1.2.1). Browsers bring no cookie along from another
/// site then, so it is asked once more, as a query.
fn by_get(body: &str) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(form_urlencoded::parse(body.as_bytes()));
    redirect(&format!("{PATH}?{}", query.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_a_site_from_an_application_here() {
        for (redirect_uri, wanted) in [
            (
                "https://portal.example.com/cb?x=1",
                "to <strong>portal.example.com</strong>.",
            ),
            ("https://192.0.2.7/cb", "to <strong>192.0.2.7</strong>."),
            (
                "http://127.0.0.1:4711/cb",
                "to an application on this device, <strong>127.0.0.1</strong>.",
            ),
            (
                "http://[::1]:4711/cb",
                "to an application on this device, <strong>::1</strong>.",
            ),
            (
                "http://localhost/cb",
                "to an application on this device, <strong>localhost</strong>.",
            ),
            (
                "com.example.app:/cb",
                "to an application on this device, <strong>com.example.app</strong>.",
            ),
            (
                "com.example.app://bank.example/cb",
                "to an application on this device, <strong>com.example.app</strong>.",
            ),
        ] {
            assert_eq!(destination(redirect_uri), format!("You will be sent back {wanted} "));
        }
    }
}
