//! The addresses of an account: one is the default, the others sign in too once they are verified.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::challenge::Purpose;
use super::challenge::code::{self, At};
use super::claim;
use super::entity::email;
use super::{recipient, verification};
use crate::access::Caller;
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx, text};
use crate::mail::{self, NewMail, Template, To};

/// Addresses of one account at most.
const MAX_ADDRESSES: usize = 10;

/// An address of the caller's.
#[derive(Clone, Debug)]
pub struct Address {
    pub id: EmailId,
    pub address: String,
    pub is_default: bool,
    pub verified_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl From<email::Model> for Address {
    fn from(row: email::Model) -> Self {
        let email::Model {
            id,
            user_id: _,
            realm_id: _,
            address,
            canonical: _,
            is_primary,
            verified_at,
            created_at,
        } = row;
        Self {
            id,
            address,
            is_default: is_primary,
            verified_at,
            created_at,
        }
    }
}

/// The caller's addresses: the default first, then by age.
///
/// # Errors
/// `session_required` for an API token.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Address>> {
    let rows = all(from, caller.session_user()?).await?;
    Ok(Page::of(rows.into_iter().map(Address::from).collect(), page))
}

async fn all(from: &impl Reads, user: UserId) -> Result<Vec<email::Model>> {
    Ok(email::Entity::find()
        .filter(email::Column::UserId.eq(user))
        .order_by_desc(email::Column::IsPrimary)
        .order_by_asc(email::Column::CreatedAt)
        .order_by_asc(email::Column::Id)
        .all(from.conn())
        .await?)
}

/// One of the caller's addresses by its id.
async fn own(from: &impl Reads, user: UserId, id: &str) -> Result<email::Model> {
    let id: EmailId = id.parse().map_err(|_| Problem::not_found())?;
    let row = email::Entity::find_by_id(id).one(from.conn()).await?;
    Ok(row.filter(|row| row.user_id == user).ok_or_else(Problem::not_found)?)
}

/// What changes the addresses of one account goes one after the other.
async fn lock(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql = "UPDATE users SET updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    Ok(())
}

/// Tells the person behind the default address.
async fn tell(tx: &WriteTx, template: Template, to: To, address: &str) -> Result<()> {
    mail::queue(tx, NewMail::new(template, to).with("address", address)).await
}

fn conflict(detail: &'static str) -> Error {
    Problem::new(ProblemCode::Conflict, detail).into()
}

/// Adds an address to the caller's account and mails a link and a code there. It opens nothing until it is verified.
///
/// # Errors
/// `invalid_field`; `email_taken` when it belongs to an account; `conflict` when the caller has it or has ten.
pub async fn add(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, address: &str) -> Result<Address> {
    let user = caller.session_user()?;
    let address = text::email("email", address)?;
    lock(tx, user).await?;
    let rows = all(tx, user).await?;
    if rows.iter().any(|row| row.canonical == address.canonical) {
        return Err(conflict("The account has this address already."));
    }
    if rows.len() >= MAX_ADDRESSES {
        return Err(conflict("An account has ten addresses at most. Remove one first."));
    }
    if recipient::owner_of(tx, &address.canonical).await?.is_some() {
        return Err(claim::taken().into());
    }
    let row = email::ActiveModel {
        id: Set(tx.new_id()?),
        user_id: Set(user),
        realm_id: Set(Uuid::nil()),
        address: Set(address.display),
        canonical: Set(address.canonical),
        is_primary: Set(false),
        verified_at: Set(None),
        created_at: Set(tx.now()),
    };
    let row = email::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    verification::send(tx, macs, user, row.id, &row.canonical).await?;
    tell(tx, Template::AddressAdded, To::Primary(user), &row.address).await?;
    record(tx, caller, user, Action::UserEmailAdded, &row).await?;
    Ok(row.into())
}

async fn record(tx: &WriteTx, caller: &Caller, user: UserId, action: Action, row: &email::Model) -> Result<()> {
    let entry = Entry::of_account(user, action, Target::Email(row.id)).with("address", row.address.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// A code that was right, for an address of the caller's.
pub struct Proved {
    user: UserId,
    row: email::Model,
    met: code::Met,
}

/// Which of the caller's addresses a code is for.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// By its id.
    Id(&'a str),
    /// By the address itself.
    Address(&'a str),
    Default,
}

/// Tries the code that was mailed to one of the caller's addresses. Call it before the transaction of the change is
/// opened: the try is counted in one of its own.
///
/// # Errors
/// `not_found`; `invalid_field` for a code that is wrong, used or too old.
pub async fn try_code(db: &Db, macs: &TokenMacKey, caller: &Caller, which: Which<'_>, code: &str) -> Result<Proved> {
    let user = caller.session_user()?;
    let row = match which {
        Which::Id(id) => own(db, user, id).await?,
        Which::Default => named(db, user, |row| row.is_primary).await?,
        Which::Address(text) => {
            let wanted = text::email("email", text)?.canonical;
            let unknown = |_| Problem::field("email", "unknown", "is no address of the account");
            named(db, user, |row| row.canonical == wanted).await.map_err(unknown)?
        }
    };
    let met = code::try_code(db, macs, Purpose::VerifyEmailCode, At::Email(row.id), code).await?;
    let met = met.ok_or_else(wrong_code)?;
    Ok(Proved { user, row, met })
}

async fn named(from: &impl Reads, user: UserId, is_it: impl Fn(&email::Model) -> bool) -> Result<email::Model> {
    let rows = all(from, user).await?;
    Ok(rows.into_iter().find(is_it).ok_or_else(Problem::not_found)?)
}

fn wrong_code() -> Problem {
    Problem::field(
        "code",
        "invalid",
        "is wrong, used or too old; after five tries ask for a new one",
    )
}

impl Proved {
    /// Verifies the address.
    ///
    /// # Errors
    /// `invalid_field` when the code was used meanwhile; `email_taken` when another account was first.
    pub async fn verify(self, tx: &WriteTx, caller: &Caller) -> Result<()> {
        let Self { user, row, met } = self;
        if !code::finish(tx, &met).await? {
            return Err(wrong_code().into());
        }
        claim::prove(tx, row.id).await?;
        record(tx, caller, user, Action::UserEmailVerified, &row).await
    }
}

/// Mails a new link and code to one of the caller's addresses. Beyond three mails an hour none goes out.
///
/// # Errors
/// `not_found`; `conflict` when the address is verified.
pub async fn resend(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, id: &str) -> Result<()> {
    let user = caller.session_user()?;
    let row = own(tx, user, id).await?;
    verification::send_again(tx, macs, caller, &row).await
}

/// Makes a verified address the default, where mails go. Tells whether it was not the default before.
///
/// # Errors
/// `not_found`; `email_unverified`.
pub async fn set_default(tx: &WriteTx, caller: &Caller, id: &str) -> Result<(Address, bool)> {
    let user = caller.session_user()?;
    lock(tx, user).await?;
    let row = own(tx, user, id).await?;
    if row.is_primary {
        return Ok((row.into(), false));
    }
    if row.verified_at.is_none() {
        let detail = "Verify the address before it becomes the default.";
        return Err(Problem::new(ProblemCode::EmailUnverified, detail).into());
    }
    let old = named(tx, user, |row| row.is_primary).await?;
    for (sql, id) in [
        ("UPDATE user_emails SET is_primary = FALSE WHERE id = $1", old.id),
        ("UPDATE user_emails SET is_primary = TRUE WHERE id = $1", row.id),
    ] {
        tx.conn().execute_raw(tx.sql(sql, [id.into()])).await?;
    }
    let to = To::Email { user, email: old.id };
    tell(tx, Template::DefaultAddressChanged, to, &row.address).await?;
    record(tx, caller, user, Action::UserEmailDefaultChanged, &row).await?;
    let row = email::Model {
        is_primary: true,
        ..row
    };
    Ok((row.into(), true))
}

/// Shows one of the caller's addresses.
///
/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, caller: &Caller, id: &str) -> Result<Address> {
    Ok(own(from, caller.session_user()?, id).await?.into())
}

/// Removes an address. Links and codes that went there stop working.
///
/// # Errors
/// `not_found`; `conflict` for the default.
pub async fn delete(tx: &WriteTx, caller: &Caller, id: &str) -> Result<()> {
    let user = caller.session_user()?;
    lock(tx, user).await?;
    let row = own(tx, user, id).await?;
    if row.is_primary {
        return Err(conflict("This is the default address. Make another the default first."));
    }
    email::Entity::delete_by_id(row.id).exec(tx.conn()).await?;
    tell(tx, Template::AddressRemoved, To::Primary(user), &row.address).await?;
    record(tx, caller, user, Action::UserEmailRemoved, &row).await
}
