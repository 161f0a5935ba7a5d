//! Devices without a browser, such as our command line (RFC 8628): the device shows a short code, and a signed-in person
//! types it elsewhere, sees what asks from where for what, and decides.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::exchange::{Exchanged, issue};
use super::grant;
use super::refusal::{Outcome, Refusal, RefusalCode};
use super::{Client, GrantType, Minter, Scopes, authorize, client};
use crate::access::grant::require_recent_sign_in;
use crate::access::{Caller, Origin};
use crate::auth::sessions;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal;
use crate::kernel::id::{DeviceId, OAuthClientId, OAuthGrantId, OrgId};
use crate::kernel::{Error, Problem, Reads, Result, Rng, Timestamp, WriteTx};

/// How long a device waits. Source: RFC 8628 §3.2 leaves it open; ten minutes as for mailed codes.
pub const TTL: Duration = Duration::from_mins(10);
/// Seconds between two looks of a device.
pub const INTERVAL: i64 = 5;
/// What a look that comes too early adds, seconds. Source: RFC 8628 §3.5.
const SLOWER: i64 = 5;
/// Letters of the code that people type: no vowels, so that no words come out, and nothing that looks alike.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 20^8 codes, of which few live at once, and each look at one takes a session.
const LEN: usize = 8;

/// A device that waits.
pub struct Begun {
    pub device_code: Token,
    /// `BCDF-GHJK`.
    pub user_code: String,
}

/// What asks for approval.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: DeviceId,
    pub client: Client,
    /// The device, as it calls itself.
    pub name: String,
    pub scopes: Scopes,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

fn draw(rng: &Rng) -> Result<String> {
    let mut letters = Vec::with_capacity(LEN);
    while letters.len() < LEN {
        // 240 is the largest multiple of 20 in a byte.
        let drawn = rng.bytes::<16>()?;
        let fair = drawn.into_iter().filter(|byte| *byte < 240).take(LEN - letters.len());
        letters.extend(fair.filter_map(|byte| LETTERS.get(usize::from(byte % 20)).copied().map(char::from)));
    }
    let code: String = letters.into_iter().collect();
    let (one, two) = code.split_at(LEN / 2);
    Ok(format!("{one}-{two}"))
}

/// The code as it is looked up, however it was typed.
fn canonical(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric).take(LEN + 1);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn mac(macs: &TokenMacKey, typed: &str) -> Vec<u8> {
    macs.mac_text("device_user_code", &canonical(typed)).to_vec()
}

/// Begins to wait. Only our own command line may ask for everything, by asking for nothing in particular.
///
/// # Errors
/// `unauthorized_client`, `invalid_scope`.
pub async fn begin(
    tx: &WriteTx,
    macs: &TokenMacKey,
    client: &Client,
    scope: Option<&str>,
    name: &str,
    origin: &Origin,
) -> Outcome<Begun> {
    if !client.may(GrantType::DeviceCode) {
        let detail = "The client was not registered for the device grant.";
        return Err(Refusal::new(RefusalCode::UnauthorizedClient, detail).into());
    }
    let asked = scope
        .map(Scopes::parse)
        .transpose()?
        .filter(|scopes| !scopes.is_empty());
    let scopes = match (asked, client.owner) {
        (Some(scopes), _) => scopes,
        (None, None) => Scopes::everything(),
        (None, Some(_)) => {
            return Err(Refusal::new(RefusalCode::InvalidScope, "Ask for at least one scope.").into());
        }
    };
    if !scopes.are_within(&client.scopes) {
        let detail = "The client was not registered for all of these scopes.";
        return Err(Refusal::new(RefusalCode::InvalidScope, detail).into());
    }
    let device_code = Token::generate(tx.rng(), TokenKind::Device)?;
    let user_code = draw(tx.rng())?;
    let id: DeviceId = tx.new_id()?;
    let sql =
        "INSERT INTO oauth_devices (id, client_id, client_name, device_mac, user_code_mac, scopes, ip, user_agent,
                   state, pause, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10, $11)";
    let values = [
        id.into(),
        client.id.into(),
        name.into(),
        macs.mac(&device_code).to_vec().into(),
        mac(macs, &user_code).into(),
        scopes.to_string().into(),
        origin.ip.clone().into(),
        origin.user_agent.clone().into(),
        INTERVAL.into(),
        tx.now().into(),
        (tx.now() + TTL).into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(Begun { device_code, user_code })
}

#[derive(FromQueryResult)]
struct Row {
    id: DeviceId,
    client_id: OAuthClientId,
    client_name: String,
    scopes: String,
    ip: Option<String>,
    user_agent: Option<String>,
    state: String,
    grant_id: Option<OAuthGrantId>,
    created_at: Timestamp,
    expires_at: Timestamp,
}

const SELECT: &str = "SELECT id, client_id, client_name, scopes, ip, user_agent, state, grant_id, created_at,
    expires_at FROM oauth_devices";

/// The device of a code that a person typed, while it waits.
///
/// # Errors
/// `not_found`.
pub async fn waiting(from: &impl Reads, macs: &TokenMacKey, typed: &str) -> Result<Waiting> {
    let sql = format!("{SELECT} WHERE user_code_mac = $1 AND state = 'waiting' AND expires_at > $2");
    let values = [mac(macs, typed).into(), from.now().into()];
    let row = Row::find_by_statement(from.sql(&sql, values)).one(from.conn()).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let client = client::by_id(from, row.client_id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let scopes = Scopes::from_stored(&row.scopes);
    Ok(Waiting {
        id: row.id,
        client,
        name: row.client_name,
        scopes: scopes.ok_or_else(|| Error::internal("a device is stored wrongly"))?,
        ip: row.ip,
        user_agent: row.user_agent,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

/// A person lets a device act for them, in one organisation or in all of theirs. What it gets lives for months, so they
/// have just signed in, or confirmed that it is them.
///
/// # Errors
/// `not_found` when somebody was first; `step_up_required`; `unauthenticated` when the session has ended meanwhile;
/// `session_required`.
pub async fn approve(tx: &WriteTx, caller: &Caller, device: &Waiting, org: Option<OrgId>) -> Result<()> {
    let caller = &sessions::hold(tx, caller).await?;
    require_recent_sign_in(tx, caller)?;
    let grant = authorize::of_session(tx, caller, &device.client, &device.scopes, org, None).await?;
    grant::insert(tx, &grant).await?;
    decide(tx, device.id, "approved", Some(grant.id)).await?;
    let entry = authorize::granted(&grant, &device.client).with("device", device.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// A person refuses a device.
///
/// # Errors
/// `not_found` when somebody was first; `session_required`.
pub async fn deny(tx: &WriteTx, caller: &Caller, device: &Waiting) -> Result<()> {
    decide(tx, device.id, "denied", None).await?;
    authorize::deny(tx, caller, &device.client).await
}

async fn decide(tx: &WriteTx, id: DeviceId, state: &str, grant: Option<OAuthGrantId>) -> Result<()> {
    let sql =
        "UPDATE oauth_devices SET state = $2, grant_id = $3 WHERE id = $1 AND state = 'waiting' AND expires_at > $4";
    let values = [id.into(), state.into(), grant.into(), tx.now().into()];
    let decided = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    if decided.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Problem::not_found().into())
    }
}

/// A device looks whether it was approved, and gets its tokens then.
///
/// # Errors
/// `invalid_grant`, `expired_token`.
pub(super) async fn trade(
    tx: &WriteTx,
    minter: &Minter<'_>,
    client: &Client,
    text: &str,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let refused = || Refusal::grant("The device code is unknown or used, or another client's.");
    let token = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Device);
    let mac = minter.keys.token_mac().mac(&token.ok_or_else(refused)?).to_vec();
    let sql = format!("{SELECT} WHERE device_mac = $1");
    let row = Row::find_by_statement(tx.sql(&sql, [mac.into()]))
        .one(tx.conn())
        .await?;
    let row = row.filter(|row| row.client_id == client.id).ok_or_else(refused)?;
    if row.expires_at <= tx.now() {
        let detail = "The device code is too old. Begin again.";
        return Err(Refusal::new(RefusalCode::ExpiredToken, detail).into());
    }
    match (row.state.as_str(), row.grant_id) {
        ("waiting", _) => look(tx, row.id).await,
        ("denied", _) => Err(Refusal::new(RefusalCode::AccessDenied, "The person refused.").into()),
        ("approved", Some(id)) => {
            // The account first, as whoever approves does.
            let grant = grant::hold(tx, id).await?.ok_or_else(refused)?;
            let sql = "UPDATE oauth_devices SET state = 'used' WHERE id = $1 AND state = 'approved'";
            let used = tx.conn().execute_raw(tx.sql(sql, [row.id.into()])).await?;
            if used.rows_affected() != 1 {
                return Err(refused().into());
            }
            issue(tx, minter, client, &grant, origin).await
        }
        _ => Err(refused().into()),
    }
}

#[derive(FromQueryResult)]
struct Looked {
    pause: i64,
    polled_at: Option<Timestamp>,
}

/// Nobody has decided yet. A device that looks too often is told to wait longer, for good.
async fn look(tx: &WriteTx, id: DeviceId) -> Outcome<Exchanged> {
    // Written to first, so that two looks at once take turns.
    let sql = "UPDATE oauth_devices SET pause = pause WHERE id = $1 RETURNING pause, polled_at";
    let looked = Looked::find_by_statement(tx.sql(sql, [id.into()]))
        .one(tx.conn())
        .await?;
    let Looked { pause, polled_at } = looked.ok_or_else(|| Error::internal("a device went while it was looked at"))?;
    let wait = Duration::from_secs(u64::try_from(pause).unwrap_or(5));
    let is_early = polled_at.is_some_and(|at| tx.now().since(at) < wait);
    let pause = if is_early { pause + SLOWER } else { pause };
    let sql = "UPDATE oauth_devices SET polled_at = $2, pause = $3 WHERE id = $1";
    let values = [id.into(), tx.now().into(), pause.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(Exchanged::Noted(if is_early {
        Refusal::new(
            RefusalCode::SlowDown,
            "Wait five seconds longer between two looks from now on.",
        )
    } else {
        Refusal::new(RefusalCode::AuthorizationPending, "Nobody has decided yet.")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_easy_to_type_and_read_however_they_are_typed() {
        let rng = Rng::seeded(1);
        for _ in 0..1000 {
            let code = draw(&rng).unwrap();
            assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
            assert!(code.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)));
        }
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "b-c-d-f-g-h-j-k"] {
            assert_eq!(canonical(typed), "BCDFGHJK");
        }
        assert_ne!(canonical("BCDF-GHJKX"), "BCDFGHJK");
    }
}
