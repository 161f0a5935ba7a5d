//! Making an account: the account, its personal organisation and its ownership, whole or not at all.

use sea_orm::{ActiveValue::Set, EntityTrait};
use uuid::Uuid;

use super::account::{self, Account};
use super::amr::{Amr, Method};
use super::claim;
use super::entity::{email, user};
use super::recipient;
use super::session::{self, NewSession, SessionTokens, Transport};
use super::verification;
use crate::access::{Origin, Principal};
use crate::crypto::key_store::KeyStore;
use crate::crypto::password::check_strength;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::text::{self, Email};
use crate::kernel::{Reads, Result, Secret, WriteTx};
use crate::orgs::organisation::{self, Organisation};

/// Longest first or last name, characters.
pub(super) const MAX_PERSON_NAME_LEN: usize = 100;

/// Checked input of a registration.
pub struct Registration {
    pub email: Email,
    pub first_name: String,
    pub last_name: String,
}

impl Registration {
    /// # Errors
    /// `invalid_field` naming the field.
    pub fn check(email: &str, password: &Secret<String>, first_name: &str, last_name: &str) -> Result<Self> {
        let email = text::email("email", email)?;
        let first_name = text::short("first_name", first_name.trim(), MAX_PERSON_NAME_LEN)?;
        let last_name = text::short("last_name", last_name.trim(), MAX_PERSON_NAME_LEN)?;
        check_strength(password, &[&email.canonical, &first_name, &last_name])?;
        Ok(Self {
            email,
            first_name,
            last_name,
        })
    }
}

/// What a registration made.
pub struct Registered {
    pub account: Account,
    pub org: Organisation,
    pub tokens: SessionTokens,
}

/// An account to be made.
pub struct NewAccount {
    pub email: Email,
    /// Whether the address is proved to be the person's own.
    pub verified: bool,
    pub first_name: String,
    pub last_name: String,
    /// `None`: it signs in by mailed code.
    pub password_hash: Option<String>,
}

/// Makes an account, its personal organisation and its ownership; the caller journals. The one way to make an account.
///
/// # Errors
/// `email_taken`.
pub async fn create_account(
    tx: &WriteTx,
    keys: &KeyStore,
    new: NewAccount,
) -> Result<(Account, EmailId, Organisation)> {
    if recipient::owner_of(tx, &new.email.canonical).await?.is_some() {
        return Err(claim::taken().into());
    }
    let id: UserId = tx.new_id()?;
    let email_id: EmailId = tx.new_id()?;
    let NewAccount {
        email: address,
        verified,
        first_name,
        last_name,
        password_hash,
    } = new;
    user::Entity::insert(user_row(tx, id, first_name, last_name, password_hash))
        .exec_without_returning(tx.conn())
        .await?;
    if verified {
        claim::evict(tx, &address.canonical, id).await?;
    }
    // Two registrations at once: PostgreSQL lets the second wait for the first and then tells.
    email::Entity::insert(email_row(tx, email_id, id, &address, verified))
        .exec_without_returning(tx.conn())
        .await
        .map_err(claim::unique)?;
    let org = organisation::insert_personal(tx, keys, Principal::User(id), &address).await?;
    let account = account::get(tx, id).await?;
    Ok((account, email_id, org))
}

/// Makes the account and signs it in. The password is hashed before the transaction is opened: hashing takes a while.
///
/// # Errors
/// `email_taken`.
pub async fn register(
    tx: &WriteTx,
    keys: &KeyStore,
    registration: Registration,
    password_hash: String,
    transport: Transport,
    origin: &Origin,
) -> Result<Registered> {
    let Registration {
        email,
        first_name,
        last_name,
    } = registration;
    let canonical = email.canonical.clone();
    let new = NewAccount {
        email,
        verified: false,
        first_name,
        last_name,
        password_hash: Some(password_hash),
    };
    let (account, email, org) = create_account(tx, keys, new).await?;
    verification::send(tx, keys.token_mac(), account.id, email, &canonical).await?;
    begin_first_session(tx, keys, account, org, transport, origin).await
}

/// Opens the session of an account that was just made, and journals the registration.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn begin_first_session(
    tx: &WriteTx,
    keys: &KeyStore,
    account: Account,
    org: Organisation,
    transport: Transport,
    origin: &Origin,
) -> Result<Registered> {
    let id = account.id;
    let session = NewSession {
        user: id,
        transport,
        family: tx.new_id()?,
        auth_time: Some(tx.now()),
        amr: &Amr::of(Method::Password),
        ends_at: None,
    };
    let opened = session::open(tx, keys.token_mac(), session, origin).await?;
    let mut origin = origin.clone().by_user(id, &account.email);
    origin.credential = Some(opened.access);
    let entry = Entry::of_account(id, Action::UserRegistered, Target::User(id)).with("org_id", org.id.to_string());
    journal::record(tx, &origin, entry).await?;
    Ok(Registered {
        account,
        org,
        tokens: opened.tokens,
    })
}

fn user_row(
    tx: &WriteTx,
    id: UserId,
    first_name: String,
    last_name: String,
    password_hash: Option<String>,
) -> user::ActiveModel {
    user::ActiveModel {
        id: Set(id),
        realm_id: Set(Uuid::nil()),
        username: Set(None),
        first_name: Set(first_name),
        last_name: Set(last_name),
        password_hash: Set(password_hash),
        is_superuser: Set(false),
        disabled_at: Set(None),
        auth_epoch: Set(0),
        last_login_at: Set(Some(tx.now())),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    }
}

fn email_row(tx: &WriteTx, id: EmailId, user_id: UserId, address: &Email, verified: bool) -> email::ActiveModel {
    email::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        realm_id: Set(Uuid::nil()),
        address: Set(address.display.clone()),
        canonical: Set(address.canonical.clone()),
        is_primary: Set(true),
        verified_at: Set(verified.then(|| tx.now())),
        created_at: Set(tx.now()),
    }
}
