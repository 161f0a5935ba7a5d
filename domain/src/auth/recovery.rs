//! Recovery codes: what lets a person in who has lost the generator. Ten of 120 bits each, so a keyed hash is enough
//! to keep them by; each is good once.

use std::fmt::Write as _;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use super::entity::second_factor;
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::{FactorId, UserId};
use crate::kernel::{Reads, Result, Rng, Secret, WriteTx};

/// Codes of a set. Source: design of identity.
pub const CODES: usize = 10;
/// Letters of a code, five bits each.
const LETTERS: usize = 24;
/// Letters between two dashes.
const GROUP: usize = 4;
/// RFC 4648 §6: no 0, 1 or 8, which are read as O, I and B.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The `kind` of their rows.
pub(super) const KIND: &str = "recovery";

/// A code as it is shown: `ABCD-EFGH-…`.
fn draw(rng: &Rng) -> Result<Secret<String>> {
    let mut code = String::with_capacity(LETTERS + LETTERS / GROUP);
    for (index, byte) in rng.bytes::<LETTERS>()?.into_iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: every letter is as likely as any other.
        let letter = ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
        let _ = code.write_char(char::from(letter));
    }
    Ok(Secret::new(code))
}

/// A code as it is hashed, from whatever a person typed; `None` for what can be none.
fn canonical(text: &str) -> Option<Secret<String>> {
    let letters = text.chars().filter(|letter| !matches!(letter, '-' | ' ' | '\u{a0}'));
    let mut code = String::with_capacity(LETTERS);
    for letter in letters {
        code.push(match letter.to_ascii_uppercase() {
            '0' => 'O',
            '1' => 'I',
            '8' => 'B',
            letter @ ('A'..='Z' | '2'..='7') => letter,
            _ => return None,
        });
    }
    (code.len() == LETTERS).then(|| Secret::new(code))
}

fn mac(macs: &TokenMacKey, user: UserId, canonical: &Secret<String>) -> Vec<u8> {
    macs.mac_text(&format!("recovery_code:{user}"), canonical.expose())
        .to_vec()
}

/// Makes a new set; the codes of the one before stop working. They are shown this once.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn replace(tx: &WriteTx, macs: &TokenMacKey, user: UserId) -> Result<Vec<Secret<String>>> {
    remove(tx, user).await?;
    let codes = (0..CODES).map(|_| draw(tx.rng())).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::with_capacity(CODES);
    for code in codes.iter().filter_map(|code| canonical(code.expose())) {
        rows.push(second_factor::ActiveModel {
            id: Set(tx.new_id::<FactorId>()?),
            user_id: Set(user),
            kind: Set(KIND.to_owned()),
            sealed_secret: Set(None),
            code_mac: Set(Some(mac(macs, user, &code))),
            last_step: Set(0),
            created_at: Set(tx.now()),
            confirmed_at: Set(Some(tx.now())),
            used_at: Set(None),
        });
    }
    second_factor::Entity::insert_many(rows)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(codes)
}

/// Removes the set.
pub(super) async fn remove(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql = "DELETE FROM second_factors WHERE user_id = $1 AND kind = 'recovery'";
    tx.conn().execute_raw(tx.sql(sql, [user.into()])).await?;
    Ok(())
}

/// Uses a code up; `false` for one that is unknown or used. Of two that use it at once, one succeeds.
pub(super) async fn consume(tx: &WriteTx, macs: &TokenMacKey, user: UserId, text: &str) -> Result<bool> {
    let Some(code) = canonical(text) else { return Ok(false) };
    let sql = "UPDATE second_factors SET used_at = $3
               WHERE user_id = $1 AND code_mac = $2 AND kind = 'recovery' AND used_at IS NULL";
    let values = [user.into(), mac(macs, user, &code).into(), tx.now().into()];
    let marked = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(marked.rows_affected() == 1)
}

#[derive(FromQueryResult)]
struct Left {
    n: i64,
}

/// How many codes are left.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn left(from: &impl Reads, user: UserId) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS n FROM second_factors WHERE user_id = $1 AND kind = 'recovery' AND used_at IS NULL";
    let left = Left::find_by_statement(from.sql(sql, [user.into()]))
        .one(from.conn())
        .await?;
    Ok(left.map_or(0, |left| left.n))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_grouped_for_people_and_read_however_they_are_typed() {
        let rng = Rng::seeded(1);
        let code = draw(&rng).unwrap();
        let text = code.expose();
        assert_eq!(text.len(), 29);
        assert!(text.split('-').all(|group| group.len() == 4), "{text}");
        let plain = canonical(text).unwrap();
        assert_eq!(plain.expose().len(), LETTERS);
        for typed in [
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            format!("  {text} "),
            text.replace('O', "0").replace('I', "1").replace('B', "8"),
        ] {
            assert!(
                canonical(&typed).is_some_and(|read| read.expose() == plain.expose()),
                "{typed}"
            );
        }
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for text in [
            "",
            "ABCD",
            "123456",
            &"A".repeat(25),
            &format!("{}!", "A".repeat(23)),
            &"Ä".repeat(24),
        ] {
            assert!(canonical(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other_and_no_code_comes_twice() {
        let rng = Rng::seeded(2);
        let mut counts = [0_u32; 128];
        let mut codes = BTreeSet::new();
        for _ in 0..2000 {
            let code = draw(&rng).unwrap();
            for byte in code.expose().bytes().filter(|byte| *byte != b'-') {
                counts[usize::from(byte)] += 1;
            }
            codes.insert(code.expose().clone());
        }
        assert_eq!(codes.len(), 2000);
        for letter in ALPHABET {
            let count = counts[usize::from(*letter)];
            assert!((1300..1700).contains(&count), "{}: {count}", char::from(*letter));
        }
    }

    #[test]
    fn the_same_code_of_two_people_is_kept_differently() {
        let macs = TokenMacKey::new([1; 32]);
        let code = canonical(&"A".repeat(24)).unwrap();
        let (dana, erin) = (UserId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
        assert_ne!(mac(&macs, dana, &code), mac(&macs, erin, &code));
    }
}
