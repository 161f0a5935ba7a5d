//! `/device`: a person types the code of a device, sees what asks, and decides.

use std::sync::Arc;

use domain::access::Caller;
use domain::access::grant::require_recent_sign_in;
use domain::auth::account;
use domain::kernel::{Error, ProblemCode};
use domain::oauth::device::{self, Waiting};
use domain::oauth::{Failure, authorize};
use poem::http::StatusCode;
use poem::web::Data;
use poem::{Request, Response, handler};
use url::form_urlencoded;

use super::form::Form;
use super::html::{Leads, escaped, message, page, redirect, wrong};
use super::{answer, consent, visitor};
use crate::app::App;

/// Where the forms of this page go.
const PATH: &str = "/device";

fn fault(error: Error) -> Response {
    let status = answer::logged(error);
    message(
        status,
        "Something went wrong",
        "It is not your doing. Try again in a moment.",
    )
}

fn to_sign_in(query: &str) -> Response {
    let next = if query.is_empty() {
        PATH.to_owned()
    } else {
        format!("{PATH}?{query}")
    };
    let mut onward = form_urlencoded::Serializer::new(String::new());
    onward.append_pair("next", &next);
    redirect(&format!("/sign-in?{}", onward.finish()))
}

/// The query of the page that shows what a code is for.
fn asking_for(code: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("user_code", code);
    query.finish()
}

/// Whether the session has ended, or its sign-in is too old by now.
fn wants_sign_in(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ProblemCode::Unauthenticated | ProblemCode::StepUpRequired)
    )
}

/// Asks for the code.
fn typed(status: StatusCode, said: Option<&str>) -> Response {
    let main = format!(
        "{}<form method=\"get\" action=\"{PATH}\">
<p><label for=\"user_code\">The code that your device shows</label>
<input id=\"user_code\" name=\"user_code\" class=\"code\" aria-describedby=\"hint\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"20\" required>
<span id=\"hint\" class=\"hint\">Eight letters, such as BCDF-GHJK.</span></p>
<p class=\"decision\"><button type=\"submit\" class=\"primary\">Go on</button></p>
</form>\n",
        said.map(wrong).unwrap_or_default()
    );
    page(status, "Connect a device", &main, &Leads::Here)
}

#[handler]
pub async fn ask(Data(app): Data<&Arc<App>>, request: &Request) -> Response {
    asking(app, request).await.unwrap_or_else(fault)
}

async fn asking(app: &App, request: &Request) -> Result<Response, Error> {
    let query = request.uri().query().unwrap_or_default();
    let code = Form::parse(query).unwrap_or_default().take("user_code");
    let Some(caller) = visitor::visitor(app, request).await? else {
        return Ok(to_sign_in(query));
    };
    let Some(code) = code else {
        return Ok(typed(StatusCode::OK, None));
    };
    match device::waiting(&app.db, app.keys.token_mac(), &code).await {
        // Who approves has just signed in: better before they have read it all than after.
        Ok(_) if require_recent_sign_in(&app.db, &caller).is_err() => Ok(to_sign_in(query)),
        Ok(waiting) => shown(app, &caller, &waiting, &code).await,
        Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(unknown()),
        Err(error) => Err(error),
    }
}

fn unknown() -> Response {
    let text = "No device waits with this code. Look again, or start anew on the device: a code works for ten minutes.";
    typed(StatusCode::NOT_FOUND, Some(text))
}

/// What asks, from where, for what.
async fn shown(app: &App, caller: &Caller, waiting: &Waiting, code: &str) -> Result<Response, Error> {
    let account = account::get(&app.db, caller.session_user()?).await?;
    let orgs = if waiting.scopes.reaches_organisations() {
        account::orgs(&app.db, account.id).await?
    } else {
        Vec::new()
    };
    let proof = visitor::proof(app.keys.token_mac(), caller, code);
    let inside = [
        consent::scopes(&waiting.scopes),
        consent::organisations(&orgs),
        consent::caution(&waiting.scopes, ""),
        consent::decision().to_owned(),
    ];
    let form = consent::form(PATH, &[("user_code", code), ("form", proof.as_str())], &inside.concat());
    let main = format!(
        "{}<p class=\"shown\">Go on only if your device shows this code:<code>{}</code></p>
<dl>
<dt>Device</dt><dd>{}</dd>
<dt>Application</dt><dd>{}</dd>
<dt>Address</dt><dd>{}</dd>
<dt>Program</dt><dd>{}</dd>
</dl>
<p>It will be able to:</p>
{form}",
        consent::signed_in(&account, &format!("{PATH}?user_code={code}")),
        escaped(code),
        escaped(&waiting.name),
        escaped(&waiting.client.name),
        escaped(waiting.ip.as_deref().unwrap_or("unknown")),
        escaped(waiting.user_agent.as_deref().unwrap_or("unknown"))
    );
    Ok(page(StatusCode::OK, "Connect this device?", &main, &Leads::Here))
}

#[handler]
pub async fn decide(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    decided(app, request, &body).await.unwrap_or_else(fault)
}

async fn decided(app: &App, request: &Request, body: &str) -> Result<Response, Error> {
    let mut form = Form::of_body(request, body).unwrap_or_default();
    let code = form.take("user_code").unwrap_or_default();
    let Some(caller) = visitor::visitor(app, request).await? else {
        return Ok(to_sign_in(&asking_for(&code)));
    };
    let proof = form.take("form");
    if !visitor::is_ours(app, request, &caller, &code, proof.as_deref()) {
        let text = "The form is not from this site, or another session began meanwhile. Type the code again.";
        return Ok(typed(StatusCode::FORBIDDEN, Some(text)));
    }
    let tx = app.db.begin_write().await?;
    let waiting = match device::waiting(&tx, app.keys.token_mac(), &code).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => return Ok(unknown()),
        waiting => waiting?,
    };
    if form.take("decision").as_deref() != Some("approve") {
        device::deny(&tx, &caller, &waiting).await?;
        answer::commit(app, tx).await?;
        let text = "The device gets nothing. You can close this page.";
        return Ok(message(StatusCode::OK, "Device refused", text));
    }
    let org = match authorize::chosen(&tx, &caller, form.take("org").as_deref()).await {
        Ok(org) if waiting.scopes.reaches_organisations() => org,
        Ok(_) => None,
        Err(Failure::Refused(refusal)) => return Ok(typed(StatusCode::BAD_REQUEST, Some(&refusal.description))),
        Err(Failure::Fault(error)) => return Err(error),
    };
    match device::approve(&tx, &caller, &waiting, org).await {
        Err(error) if wants_sign_in(&error) => return Ok(to_sign_in(&asking_for(&code))),
        approved => approved?,
    }
    answer::commit(app, tx).await?;
    let text = "The device is connected, and goes on by itself. You can close this page.";
    Ok(message(StatusCode::OK, "Device connected", text))
}
