//! The endpoints that clients call: token, userinfo, revoke, introspect, and the begin of a device's wait.

use std::sync::Arc;

use domain::kernel::WriteTx;
use domain::oauth::exchange::{Exchanged, TokenForm, exchange};
use domain::oauth::party::{self, Party};
use domain::oauth::{
    Failure, Issued, Outcome, Refusal, RefusalCode, device, introspect as introspection, userinfo as person,
};
use poem::http::header;
use poem::web::Data;
use poem::{Request, Response, handler};
use serde_json::{Map, Value, json};

use super::answer;
use super::form::{self, Form};
use crate::app::App;
use crate::http::authenticate::origin;

/// The form of a request and who makes it.
async fn asked(app: &App, request: &Request, body: &str) -> Outcome<(Form, Party)> {
    let mut form = Form::of_body(request, body)?;
    let proof = form::proof(request, &mut form)?;
    let party = party::identify(&app.db, app.keys.token_mac(), proof, &origin()).await?;
    Ok((form, party))
}

#[handler]
pub async fn issue_tokens(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    answer::of(trade(app, request, &body).await)
}

async fn trade(app: &App, request: &Request, body: &str) -> Outcome<Value> {
    let (mut form, party) = asked(app, request, body).await?;
    let wanted = TokenForm {
        grant_type: form.take("grant_type"),
        code: form.take("code"),
        redirect_uri: form.take("redirect_uri"),
        code_verifier: form.take("code_verifier"),
        refresh_token: form.take("refresh_token"),
        device_code: form.take("device_code"),
        scope: form.take("scope"),
        resource: form.take("resource"),
    };
    app.signer.ready(&app.db, &app.keys).await?;
    let tx = app.db.begin_write().await?;
    // Boxed: it holds every grant there is, and every caller would carry room for it.
    let came = Box::pin(exchange(&tx, &app.minter(), &party, &wanted, &origin())).await?;
    match came {
        Exchanged::Tokens(issued) => {
            let shown = shown(&issued);
            answer::commit(app, tx).await?;
            Ok(shown)
        }
        Exchanged::Ended(refusal) => {
            answer::commit(app, tx).await?;
            Err(refusal.into())
        }
        Exchanged::Noted(refusal) => {
            noted(app, tx).await?;
            Err(refusal.into())
        }
    }
}

async fn noted(app: &App, tx: WriteTx) -> Outcome<()> {
    let lanes = tx.commit_bookkeeping().await?;
    app.bell.ring(&lanes).await;
    Ok(())
}

fn shown(issued: &Issued) -> Value {
    let Issued {
        access_token,
        expires_in,
        refresh_token,
        id_token,
        scope,
        org,
    } = issued;
    let mut shown = Map::new();
    let mut show = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    show("access_token", access_token.as_str().into());
    show("token_type", "Bearer".into());
    show("expires_in", (*expires_in).into());
    if !scope.is_empty() {
        show("scope", scope.as_str().into());
    }
    if let Some(token) = refresh_token {
        show("refresh_token", token.expose().into());
    }
    if let Some(token) = id_token {
        show("id_token", token.as_str().into());
    }
    if let Some(org) = org {
        show("org_id", org.to_string().into());
    }
    shown.into()
}

#[handler]
pub async fn userinfo(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    answer::of(told(app, request, &body).await)
}

async fn told(app: &App, request: &Request, body: &str) -> Outcome<Value> {
    let mut given = request.headers().get_all(header::AUTHORIZATION).iter();
    let in_header = match (given.next(), given.next()) {
        (None, _) => None,
        (Some(one), None) => one.to_str().ok().and_then(|text| text.split_once(' ')),
        (Some(_), Some(_)) => return Err(Refusal::request("Send one Authorization header.").into()),
    };
    let token = match in_header {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
        Some(_) => None,
        // RFC 6750 §2.2: in a form.
        None => Form::of_body(request, body)?.take("access_token"),
    };
    let missing = || {
        Refusal::new(
            RefusalCode::InvalidToken,
            "Send an access token as `Authorization: Bearer`.",
        )
    };
    let claims = person::of_token(&app.db, app.issuer(), &token.ok_or_else(missing)?).await?;
    Ok(claims.into())
}

#[handler]
pub async fn revoke(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    match given_up(app, request, &body).await {
        Ok(()) => Response::builder().header(header::CACHE_CONTROL, "no-store").finish(),
        Err(failure) => answer::of(Err(failure)),
    }
}

async fn given_up(app: &App, request: &Request, body: &str) -> Outcome<()> {
    let (mut form, party) = asked(app, request, body).await?;
    let token = form
        .take("token")
        .ok_or_else(|| Refusal::request("token is missing."))?;
    let tx = app.db.begin_write().await?;
    let macs = app.keys.token_mac();
    if domain::oauth::revoke::revoke(&tx, macs, app.issuer(), &party, &token, &origin()).await? {
        answer::commit(app, tx).await?;
    } else {
        tx.rollback().await?;
    }
    Ok(())
}

#[handler]
pub async fn introspect(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    answer::of(looked_at(app, request, &body).await)
}

async fn looked_at(app: &App, request: &Request, body: &str) -> Outcome<Value> {
    let (mut form, party) = asked(app, request, body).await?;
    // Whoever proves nothing is told nothing: a public client's id is no secret.
    if let Party::Client(client) = &party
        && !client.is_confidential
    {
        return Err(Refusal::new(RefusalCode::InvalidClient, "Only a client with a secret may ask.").into());
    }
    let token = form
        .take("token")
        .ok_or_else(|| Refusal::request("token is missing."))?;
    let macs = app.keys.token_mac();
    Ok(introspection::introspect(&app.db, macs, app.issuer(), &party, &token).await?)
}

#[handler]
pub async fn begin_device(Data(app): Data<&Arc<App>>, request: &Request, body: String) -> Response {
    answer::of(begun(app, request, &body).await)
}

async fn begun(app: &App, request: &Request, body: &str) -> Outcome<Value> {
    let (mut form, party) = asked(app, request, body).await?;
    let client = party.client().map_err(Failure::from)?;
    let scope = form.take("scope");
    let tx = app.db.begin_write().await?;
    let macs = app.keys.token_mac();
    let begun = device::begin(&tx, macs, client, scope.as_deref(), &client.name, &origin()).await?;
    noted(app, tx).await?;
    let page = format!("{}/device", app.issuer());
    Ok(json!({
        "device_code": begun.device_code.expose(),
        "user_code": begun.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", begun.user_code),
        "expires_in": device::TTL.as_secs(),
        "interval": device::INTERVAL,
    }))
}
