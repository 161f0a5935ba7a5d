//! The way to a provider and back. The state goes through the provider, the other half stays in the browser as a cookie:
//! nonce and PKCE verifier follow from both, so that neither the database nor whoever sees the address has them. Each is
//! good once, for ten minutes, for the provider that it was begun with.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ConnectionTrait, FromQueryResult};
use sha2::{Digest, Sha256};
use url::Url;

use super::connection::{Connection, Tokens};
use super::person::{self, Person};
use super::provider::{Place, Provider};
use super::refusal;
use crate::crypto::key_store::KeyStore;
use crate::crypto::{Token, TokenKind, TokenMacKey};
use crate::foreign::{Checked, Failure, Issuers};
use crate::kernel::id::UserId;
use crate::kernel::{Db, Error, Reads, Result, Rng, WriteTx};

/// How long somebody may be at the provider.
pub const TTL: Duration = Duration::from_mins(10);
/// Ended ones are kept for this long.
const KEPT: Duration = Duration::from_hours(1);
/// Which provider a session came from is kept as long as a session can live.
const SESSIONS_KEPT: Duration = Duration::from_hours(90 * 24);
/// Letters of the browser's half.
const HALF_LEN: usize = 64;
/// Longest code and error that is looked at, bytes.
const MAX_CODE: usize = 2048;

/// What the way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SignIn,
    /// To join the identity with an account, by its signed-in person.
    Link(UserId),
    /// To see what would happen.
    Test(UserId),
}

impl Purpose {
    fn parts(self) -> (&'static str, Option<UserId>) {
        match self {
            Self::SignIn => ("sign_in", None),
            Self::Link(user) => ("link", Some(user)),
            Self::Test(user) => ("test", Some(user)),
        }
    }

    fn read(text: &str, user: Option<UserId>) -> Option<Self> {
        match (text, user) {
            ("sign_in", None) => Some(Self::SignIn),
            ("link", Some(user)) => Some(Self::Link(user)),
            ("test", Some(user)) => Some(Self::Test(user)),
            _ => None,
        }
    }
}

/// What a way is begun for.
pub struct Wish<'a> {
    pub purpose: Purpose,
    /// Where it goes on; see [`super::next::local`].
    pub next: &'a str,
    /// The half that the browser has already.
    pub known: Option<&'a str>,
    /// The instance's address without a slash at the end.
    pub base: &'a str,
}

/// A way that has begun.
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps.
    pub half: String,
}

/// The browser's half: the one that it has, so that two windows go side by side, or a new one.
fn half(rng: &Rng, known: Option<&str>) -> Result<String> {
    let good = |text: &&str| text.len() == HALF_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match known.filter(good) {
        Some(known) => Ok(known.to_owned()),
        None => Ok(hex::encode(rng.bytes::<32>()?)),
    }
}

/// What follows from state and half.
struct Derived {
    nonce: String,
    verifier: String,
}

impl Derived {
    fn of(macs: &TokenMacKey, state: &str, half: &str) -> Self {
        let of = |purpose| hex::encode(macs.mac_text(purpose, &format!("{state}|{half}")));
        Self {
            nonce: of("sso_nonce"),
            verifier: of("sso_verifier"),
        }
    }
}

fn half_mac(macs: &TokenMacKey, half: &str) -> [u8; 32] {
    macs.mac_text("sso_half", half)
}

/// Where the provider sends people back to: `base` is the instance's address without a slash at the end.
pub fn callback(base: &str, place: Place) -> String {
    format!("{base}/v1/auth/sso/{}/callback", place.name())
}

/// Begins a way to a provider.
///
/// # Errors
/// `unavailable` when the provider does not say where it is reached.
pub async fn begin(
    tx: &WriteTx,
    macs: &TokenMacKey,
    connection: &Connection,
    provider: &Provider,
    wish: Wish<'_>,
) -> Result<Begun> {
    let Wish {
        purpose,
        next,
        known,
        base,
    } = wish;
    let state = Token::generate(tx.rng(), TokenKind::Challenge)?;
    let half = half(tx.rng(), known)?;
    let (word, user) = purpose.parts();
    let sql =
        "INSERT INTO sso_attempts (state_mac, browser_mac, provider_id, purpose, user_id, next, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        macs.mac(&state).to_vec().into(),
        half_mac(macs, &half).to_vec().into(),
        provider.place.id().into(),
        word.into(),
        user.into(),
        next.into(),
        tx.now().into(),
        (tx.now() + TTL).into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    let derived = Derived::of(macs, state.expose(), &half);
    let url = authorization_url(connection, provider, &callback(base, provider.place), &state, &derived)?;
    Ok(Begun { url, half })
}

fn authorization_url(
    connection: &Connection,
    provider: &Provider,
    redirect_uri: &str,
    state: &Token,
    derived: &Derived,
) -> Result<String> {
    let broken = |_| Error::internal("an authorization endpoint is no address");
    let mut url = Url::parse(&connection.authorization).map_err(broken)?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(derived.verifier.as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &connection.client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &provider.scopes)
        .append_pair("state", state.expose())
        .append_pair("nonce", &derived.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(url.into())
}

/// What the browser brings back.
#[derive(Default)]
pub struct Returned {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub iss: Option<String>,
}

/// A way that somebody came back on.
pub struct Attempt {
    pub place: Place,
    pub purpose: Purpose,
    pub next: String,
    derived: Derived,
}

#[derive(FromQueryResult)]
struct Row {
    purpose: String,
    user_id: Option<UserId>,
    next: String,
}

/// Uses a way up, whatever comes of it then. The caller commits before anybody is asked anything.
///
/// # Errors
/// `forbidden` when it was begun in another browser or with another provider, is too old, or was used.
pub async fn take(
    tx: &WriteTx,
    macs: &TokenMacKey,
    provider: &str,
    returned: &Returned,
    half: Option<&str>,
) -> Result<Attempt> {
    let state = returned.state.as_deref().and_then(|text| Token::parse(text).ok());
    let state = state.filter(|state| state.kind() == TokenKind::Challenge);
    let (Some(place), Some(state), Some(half)) = (Place::parse(provider), state, half) else {
        return Err(refusal::lost().into());
    };
    let sql = "UPDATE sso_attempts SET used_at = $4
               WHERE state_mac = $1 AND browser_mac = $2 AND provider_id = $3 AND used_at IS NULL AND expires_at > $4
               RETURNING purpose, user_id, next";
    let values = [
        macs.mac(&state).to_vec().into(),
        half_mac(macs, half).to_vec().into(),
        place.id().into(),
        tx.now().into(),
    ];
    let row = Row::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    let Row { purpose, user_id, next } = row.ok_or_else(refusal::lost)?;
    let purpose = Purpose::read(&purpose, user_id).ok_or_else(|| Error::internal("a sign-in is stored wrongly"))?;
    Ok(Attempt {
        place,
        purpose,
        next,
        derived: Derived::of(macs, state.expose(), half),
    })
}

impl Attempt {
    /// Asks the provider who came back.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`]; inside, what is not taken of what the provider says.
    pub async fn person(
        &self,
        db: &Db,
        keys: &KeyStore,
        issuers: &Issuers,
        provider: &Provider,
        returned: &Returned,
        base: &str,
    ) -> Result<Checked<Person>> {
        let secret = provider.secret(db, keys).await?;
        let now = db.now();
        let ask = async {
            let connection = Connection::of(issuers, provider, now).await?;
            let code = code_of(&connection, returned)?;
            let redirect_uri = callback(base, provider.place);
            let verifier = &self.derived.verifier;
            let tokens = connection
                .trade(issuers, secret.as_ref(), code, verifier, &redirect_uri)
                .await?;
            self.read(&connection, issuers, tokens, db).await
        };
        Ok(ask.await)
    }

    async fn read(&self, connection: &Connection, issuers: &Issuers, tokens: Tokens, db: &Db) -> Checked<Person> {
        let nonce = &self.derived.nonce;
        let claims = connection.check(issuers, &tokens.id_token, nonce, db.now()).await?;
        let subject = person::subject(&claims)?;
        let userinfo = if person::needs_userinfo(&claims, &tokens) {
            let token = tokens.access_token.as_deref();
            connection.userinfo(issuers, token, &subject).await?
        } else {
            serde_json::Map::new()
        };
        Ok(Person::read(&connection.issuer, subject, &claims, &userinfo))
    }
}

/// The code that came back, from whom it must come: another provider's answer is of no use here (RFC 9207).
fn code_of<'a>(connection: &Connection, returned: &'a Returned) -> Checked<&'a str> {
    match &returned.iss {
        Some(iss) if *iss != connection.issuer => return Err(Failure::Refused("the answer is another issuer's")),
        None if connection.names_itself => return Err(Failure::Refused("the answer does not name its issuer")),
        Some(_) | None => {}
    }
    let code = returned.code.as_deref().filter(|_| returned.error.is_none());
    code.filter(|code| code.len() <= MAX_CODE)
        .ok_or(Failure::Refused("the answer brings no code"))
}

/// Deletes ways that are over, and what is known of sessions that have ended; returns how many.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let mut deleted = 0;
    for (sql, before) in [
        ("DELETE FROM sso_attempts WHERE expires_at < $1", tx.now() - KEPT),
        (
            "DELETE FROM sso_sessions WHERE created_at < $1",
            tx.now() - SESSIONS_KEPT,
        ),
    ] {
        let done = tx.conn().execute_raw(tx.sql(sql, [before.into()])).await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(names_itself: bool) -> Connection {
        Connection::for_tests("https://idp.example", names_itself)
    }

    fn taken(names_itself: bool, iss: Option<&str>, error: Option<&str>) -> bool {
        let returned = Returned {
            code: Some("c".to_owned()),
            iss: iss.map(str::to_owned),
            error: error.map(str::to_owned),
            ..Returned::default()
        };
        code_of(&connection(names_itself), &returned).is_ok()
    }

    #[test]
    fn an_answer_is_taken_from_the_issuer_that_was_asked() {
        assert!(taken(true, Some("https://idp.example"), None) && taken(false, None, None));
        assert!(!taken(true, None, None));
        for evil in ["https://evil.example", "https://idp.example/", ""] {
            assert!(!taken(false, Some(evil), None), "{evil}");
        }
        assert!(!taken(false, None, Some("access_denied")));
    }

    #[test]
    fn verifier_and_nonce_follow_from_both_halves() {
        let macs = TokenMacKey::new([7; 32]);
        let one = Derived::of(&macs, "s", "h");
        assert!((43..=128).contains(&one.verifier.len()));
        assert_ne!(one.verifier, one.nonce);
        for other in [Derived::of(&macs, "t", "h"), Derived::of(&macs, "s", "i")] {
            assert!(other.nonce != one.nonce && other.verifier != one.verifier);
        }
    }

    #[test]
    fn a_browser_keeps_its_half_and_gets_a_new_one_for_a_broken_one() {
        let rng = Rng::seeded(1);
        let known = "ab".repeat(32);
        assert_eq!(half(&rng, Some(&known)).unwrap(), known);
        for bad in [None, Some(""), Some("abc"), Some(&*"zz".repeat(32))] {
            let made = half(&rng, bad).unwrap();
            assert!(made.len() == HALF_LEN && Some(&*made) != bad);
        }
    }
}
