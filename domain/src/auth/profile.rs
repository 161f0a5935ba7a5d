//! What people change about themselves.

use sea_orm::{ActiveValue::Set, EntityTrait};

use super::account::{self, Account};
use super::entity::user;
use super::register::MAX_PERSON_NAME_LEN;
use crate::access::Caller;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx, text};

/// Shortest and longest username, characters.
const USERNAME_LEN: std::ops::RangeInclusive<usize> = 3..=32;

/// Changes to an account; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ProfilePatch {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// Empty takes it away.
    pub username: Option<String>,
}

/// Changes the caller's account.
///
/// # Errors
/// `invalid_field`; `conflict` when somebody has the username.
pub async fn update(tx: &WriteTx, caller: &Caller, patch: ProfilePatch) -> Result<Account> {
    let id = caller.session_user()?;
    let ProfilePatch {
        first_name,
        last_name,
        username,
    } = patch;
    let mut changed = Vec::new();
    let mut row = user::ActiveModel {
        id: Set(id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = first_name {
        row.first_name = Set(text::short("first_name", name.trim(), MAX_PERSON_NAME_LEN)?);
        changed.push("first_name");
    }
    if let Some(name) = last_name {
        row.last_name = Set(text::short("last_name", name.trim(), MAX_PERSON_NAME_LEN)?);
        changed.push("last_name");
    }
    if let Some(name) = username {
        row.username = Set(canonical_username(&name)?);
        changed.push("username");
    }
    user::Entity::update(row)
        .exec(tx.conn())
        .await
        .map_err(|error| match error.sql_err() {
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => {
                Problem::new(ProblemCode::Conflict, "Somebody has this username. Choose another.")
                    .with("field", "username")
                    .into()
            }
            _ => Error::Db(error),
        })?;
    let entry = Entry::of_account(id, Action::UserUpdated, Target::User(id)).with("changed", changed);
    journal::record(tx, &caller.origin, entry).await?;
    account::get(tx, id).await
}

/// The one spelling of a username that is stored and compared; `None` for none. It has no `@`, so it never looks like
/// an address.
fn canonical_username(typed: &str) -> Result<Option<String>> {
    let name = typed.trim().to_lowercase();
    if name.is_empty() {
        return Ok(None);
    }
    let fits = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let starts = name.bytes().next().is_some_and(fits);
    let rest = name.bytes().all(|letter| fits(letter) || b"._-".contains(&letter));
    if starts && rest && USERNAME_LEN.contains(&name.len()) {
        return Ok(Some(name));
    }
    Err(Problem::field(
        "username",
        "format",
        "must be 3 to 32 of a-z, 0-9, dot, underscore and hyphen, starting with a letter or digit",
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_have_one_spelling() {
        assert_eq!(canonical_username(" Dana.S_9 ").unwrap().as_deref(), Some("dana.s_9"));
        assert_eq!(canonical_username("").unwrap(), None);
        let long = "x".repeat(33);
        for bad in [
            "ab",
            ".dana",
            "-ab",
            "dana@example.com",
            "da na",
            "däna",
            "ＤＡＮＡ",
            &long,
        ] {
            assert!(canonical_username(bad).is_err(), "{bad}");
        }
    }
}
