//! Challenges that begin for an address, known or not, and are met with what is mailed there: a six-digit code, or a
//! link. Beginning one does the same work whoever has the address: only the worker, as it sends the mail, looks whether
//! it belongs to an account and makes the code. Until then the row holds a secret that nothing fits.
//!
//! The asking client holds the challenge's token: a code is good only together with it, so a code that was asked for by
//! one client is of no use to another.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Purpose, Subject};
use crate::access::{ActorKind, Origin};
use crate::auth::entity::challenge;
use crate::crypto::token::{Token, TokenKind, TokenMacKey, numeric_code};
use crate::kernel::id::{ChallengeId, EmailId, UserId};
use crate::kernel::text::{self, Email};
use crate::kernel::{Backend, Db, Error, Reads, Result, Secret, Timestamp, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// How long a code works. Source: ASVS 5.0, 6.5.5.
pub const CODE_TTL: Duration = Duration::from_mins(10);
/// Tries at a code, right or wrong.
const MAX_TRIES: i32 = 5;
/// Tries at all the codes of one address and purpose within an hour. Source: design of identity.
const TRIES_AN_HOUR: i64 = 10;
/// Mails to one address for one purpose within an hour.
const MAILS_AN_HOUR: i64 = 3;

/// A challenge that has begun.
pub struct Begun {
    pub id: ChallengeId,
    /// For the asking client alone.
    pub token: Token,
    pub expires_at: Timestamp,
}

/// Who asked, for the mail and the journal.
#[derive(Serialize, Deserialize)]
struct Asked {
    address: String,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

/// Begins a challenge and queues the mail that meets it. Earlier ones of the purpose and address stop working. Beyond
/// three mails an hour the answer is the same and no mail goes out; the code of the last one goes on working then.
///
/// # Errors
/// [`Error::Db`].
pub async fn begin(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    template: Template,
    address: &Email,
    ttl: Duration,
    origin: &Origin,
) -> Result<Begun> {
    let id: ChallengeId = tx.new_id()?;
    let token = Token::generate(tx.rng(), TokenKind::Challenge)?;
    let expires_at = tx.now() + ttl;
    one_at_a_time(tx, macs, purpose, &address.canonical).await?;
    let mails = mails_of_last_hour(tx, purpose, &address.canonical).await?;
    if mails < MAILS_AN_HOUR {
        supersede(tx, purpose, &address.canonical).await?;
    }
    let row = challenge::ActiveModel {
        id: Set(id),
        purpose: Set(purpose.as_str().to_owned()),
        user_id: Set(None),
        email_id: Set(None),
        email: Set(Some(address.canonical.clone())),
        // Chance, until there is a code: nothing has this as its keyed hash.
        secret_mac: Set(tx.rng().bytes::<32>()?.to_vec()),
        binding_mac: Set(Some(macs.mac(&token).to_vec())),
        payload: Set(Some(asked(address, origin)?)),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(expires_at),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    if mails < MAILS_AN_HOUR {
        let mail = NewMail::new(template, To::Address(address.clone()));
        let challenge = Some(id);
        mail::queue(tx, NewMail { challenge, ..mail }).await?;
    }
    Ok(Begun { id, token, expires_at })
}

fn asked(address: &Email, origin: &Origin) -> Result<String> {
    let asked = Asked {
        address: address.display.clone(),
        ip: origin.ip.clone(),
        user_agent: origin.user_agent.clone(),
        request_id: origin.request_id.clone(),
    };
    serde_json::to_string(&asked).map_err(|e| Error::internal(format!("who asked: {e}")))
}

/// Two that ask for one address at once are counted one after the other. SQLite has one writer anyway.
async fn one_at_a_time(tx: &WriteTx, macs: &TokenMacKey, purpose: Purpose, canonical: &str) -> Result<()> {
    match tx.backend() {
        Backend::Sqlite => Ok(()),
        Backend::Postgres => {
            let mac = macs.mac_text(purpose.as_str(), canonical);
            let lock = i64::from_be_bytes(mac.first_chunk().copied().unwrap_or_default());
            let sql = "SELECT pg_advisory_xact_lock($1)";
            tx.conn().execute_raw(tx.sql(sql, [lock.into()])).await?;
            Ok(())
        }
    }
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

async fn mails_of_last_hour(tx: &WriteTx, purpose: Purpose, canonical: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS n FROM challenges c JOIN mails m ON m.challenge_id = c.id
               WHERE c.purpose = $1 AND c.email = $2 AND m.created_at > $3";
    let values = [
        purpose.as_str().into(),
        canonical.into(),
        (tx.now() - Duration::from_hours(1)).into(),
    ];
    let count = Count::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    Ok(count.map_or(0, |count| count.n))
}

/// Ends the challenges of a purpose and address.
async fn supersede(tx: &WriteTx, purpose: Purpose, canonical: &str) -> Result<()> {
    let sql = "UPDATE challenges SET consumed_at = $3 WHERE purpose = $1 AND email = $2 AND consumed_at IS NULL";
    let values = [purpose.as_str().into(), canonical.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// A challenge that still waits to be met, as the worker finds it when it sends the mail.
pub struct Waiting {
    pub id: ChallengeId,
    pub address: Email,
    /// Whether nothing was mailed for it yet.
    pub is_first: bool,
    /// Where the request came from.
    pub origin: Origin,
}

/// `None` when it was met, replaced or has ended.
///
/// # Errors
/// [`Error::Db`].
pub async fn waiting(tx: &WriteTx, id: ChallengeId) -> Result<Option<Waiting>> {
    let row = challenge::Entity::find_by_id(id).one(tx.conn()).await?;
    let live = row.filter(|row| row.consumed_at.is_none() && row.expires_at > tx.now());
    let Some(row) = live else { return Ok(None) };
    let payload = row.payload.unwrap_or_default();
    let Asked {
        address,
        ip,
        user_agent,
        request_id,
    } = serde_json::from_str(&payload).map_err(|_| Error::internal(format!("challenge {id} is stored wrongly")))?;
    Ok(Some(Waiting {
        id,
        address: text::email("email", &address)?,
        is_first: row.user_id.is_none(),
        origin: Origin {
            actor: ActorKind::System,
            actor_id: None,
            actor_label: None,
            credential: None,
            ip,
            user_agent,
            request_id,
        },
    }))
}

/// Makes the code of a challenge, for an account or for nobody yet; the one before stops working.
///
/// # Errors
/// [`Error::Db`].
pub async fn issue_code(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    id: ChallengeId,
    user: Option<UserId>,
) -> Result<Secret<String>> {
    let code = numeric_code(tx.rng())?;
    set_secret(tx, id, user, &code_mac(macs, purpose, id, code.expose())).await?;
    Ok(code)
}

/// Makes the link of a challenge; the one before stops working.
///
/// # Errors
/// [`Error::Db`].
pub async fn issue_link(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    id: ChallengeId,
    user: UserId,
) -> Result<Token> {
    let token = Token::generate(tx.rng(), purpose.kind())?;
    set_secret(tx, id, Some(user), &macs.mac(&token)).await?;
    Ok(token)
}

async fn set_secret(tx: &WriteTx, id: ChallengeId, user: Option<UserId>, mac: &[u8]) -> Result<()> {
    let sql = "UPDATE challenges SET secret_mac = $2, user_id = $3 WHERE id = $1";
    let values = [id.into(), mac.to_vec().into(), user.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// The address of a challenge that its client wants to begin anew: it may have ended, and was neither met nor replaced.
///
/// # Errors
/// [`Error::Db`].
pub async fn begun_for(tx: &WriteTx, macs: &TokenMacKey, purpose: Purpose, text: &str) -> Result<Option<Email>> {
    let Some(token) = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Challenge)
    else {
        return Ok(None);
    };
    let sql = "SELECT * FROM challenges WHERE binding_mac = $1 AND purpose = $2 AND consumed_at IS NULL";
    let values = [macs.mac(&token).to_vec().into(), purpose.as_str().into()];
    let row = challenge::Model::find_by_statement(tx.sql(sql, values))
        .one(tx.conn())
        .await?;
    Ok(row.and_then(|row| row.payload.as_deref().and_then(address_of)))
}

/// Hands a proved address on to the next step: a token that is good once.
///
/// # Errors
/// [`Error::Db`].
pub async fn hand_on(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    address: &Email,
    ttl: Duration,
    origin: &Origin,
) -> Result<Token> {
    let token = Token::generate(tx.rng(), purpose.kind())?;
    let row = challenge::ActiveModel {
        id: Set(tx.new_id()?),
        purpose: Set(purpose.as_str().to_owned()),
        user_id: Set(None),
        email_id: Set(None),
        email: Set(Some(address.canonical.clone())),
        secret_mac: Set(macs.mac(&token).to_vec()),
        binding_mac: Set(None),
        payload: Set(Some(asked(address, origin)?)),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + ttl),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(token)
}

/// Makes a code for an address of an account, to be typed where its person is signed in; earlier ones stop working.
///
/// # Errors
/// [`Error::Db`].
pub async fn issue_for(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    subject: Subject,
    ttl: Duration,
) -> Result<Secret<String>> {
    let id: ChallengeId = tx.new_id()?;
    let code = numeric_code(tx.rng())?;
    let sql = "UPDATE challenges SET consumed_at = $3 WHERE purpose = $1 AND email_id = $2 AND consumed_at IS NULL";
    let values = [purpose.as_str().into(), subject.email.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    let row = challenge::ActiveModel {
        id: Set(id),
        purpose: Set(purpose.as_str().to_owned()),
        user_id: Set(subject.user),
        email_id: Set(subject.email),
        email: Set(None),
        secret_mac: Set(code_mac(macs, purpose, id, code.expose()).to_vec()),
        binding_mac: Set(None),
        payload: Set(None),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + ttl),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(code)
}

/// Equal codes of two challenges differ in what is stored.
fn code_mac(macs: &TokenMacKey, purpose: Purpose, id: ChallengeId, code: &str) -> [u8; 32] {
    macs.mac_text(&format!("{}:{id}", purpose.as_str()), code)
}

/// What a code is tried at.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The challenge whose token the client holds.
    Token(&'a str),
    /// The newest challenge of an address, for its signed-in person.
    Email(EmailId),
}

/// A challenge whose code was right. [`finish`] uses it up.
#[derive(Debug)]
pub struct Met {
    pub id: ChallengeId,
    pub user: Option<UserId>,
    pub email: Option<EmailId>,
    /// The address that it began for.
    pub address: Option<Email>,
}

/// Tries a code. The try is counted, and stays counted whatever happens next, before the code is looked at; after five
/// the challenge is dead, after ten at one address no other helps for an hour. `None` for a wrong code and for a
/// challenge that is unknown, met, replaced, ended or dead: they are not told apart. Opens a transaction of its own: call
/// it before the one of the change.
///
/// # Errors
/// [`Error::Db`].
pub async fn try_code(db: &Db, macs: &TokenMacKey, purpose: Purpose, at: At<'_>, code: &str) -> Result<Option<Met>> {
    let Some(row) = counted(db, macs, purpose, at).await? else {
        return Ok(None);
    };
    // People copy spaces along.
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let mac = code_mac(macs, purpose, row.id, &code);
    if !bool::from(mac.as_slice().ct_eq(&row.secret_mac)) {
        return Ok(None);
    }
    Ok(Some(Met {
        id: row.id,
        user: row.user_id,
        email: row.email_id,
        address: row.payload.as_deref().and_then(address_of),
    }))
}

pub(in crate::auth) fn address_of(payload: &str) -> Option<Email> {
    let asked: Asked = serde_json::from_str(payload).ok()?;
    text::email("email", &asked.address).ok()
}

async fn counted(db: &Db, macs: &TokenMacKey, purpose: Purpose, at: At<'_>) -> Result<Option<challenge::Model>> {
    let (column, value): (_, sea_orm::Value) = match at {
        At::Token(text) => match Token::parse(text) {
            Ok(token) if token.kind() == TokenKind::Challenge => ("binding_mac", macs.mac(&token).to_vec().into()),
            Ok(_) | Err(_) => return Ok(None),
        },
        At::Email(id) => ("email_id", id.into()),
    };
    let tx = db.begin_write().await?;
    // Of an address one mailed code works at a time: what was tried at the others stands still meanwhile. Challenges that
    // nothing was mailed for do not count: nobody could use up another's tries with them.
    let sql = format!(
        "UPDATE challenges SET attempts = attempts + 1
         WHERE {column} = $1 AND purpose = $2 AND attempts < $3 AND consumed_at IS NULL AND expires_at > $4
           AND attempts + (SELECT COALESCE(SUM(o.attempts), 0) FROM challenges o
               WHERE o.id <> challenges.id AND o.purpose = challenges.purpose AND o.created_at > $5
                 AND (o.email_id = challenges.email_id OR (o.email = challenges.email
                     AND EXISTS (SELECT 1 FROM mails m WHERE m.challenge_id = o.id)))) < $6
         RETURNING *"
    );
    // A code that was made an hour ago could be tried until its end.
    let since = tx.now() - Duration::from_hours(1) - CODE_TTL;
    let values = [
        value,
        purpose.as_str().into(),
        MAX_TRIES.into(),
        tx.now().into(),
        since.into(),
        TRIES_AN_HOUR.into(),
    ];
    let row = challenge::Model::find_by_statement(tx.sql(&sql, values))
        .one(tx.conn())
        .await?;
    tx.commit_bookkeeping().await?;
    Ok(row)
}

/// Uses a challenge up; tells whether it was still there to be used: of two right codes at once one counts.
///
/// # Errors
/// [`Error::Db`].
pub async fn finish(tx: &WriteTx, met: &Met) -> Result<bool> {
    let sql = "UPDATE challenges SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2";
    let used = tx
        .conn()
        .execute_raw(tx.sql(sql, [met.id.into(), tx.now().into()]))
        .await?;
    Ok(used.rows_affected() == 1)
}
