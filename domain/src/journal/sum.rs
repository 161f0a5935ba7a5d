//! A sum over rows that does not depend on their order, so that one row can be taken off it and another put in its place
//! without reading all of them: each row is hashed by itself, and the hashes are added up as numbers of 256 bits.

use super::chain::Fields;
use super::entity::seal;

/// Label and version of the row format.
const FORMAT: &[u8] = b"strongroom journal seal v1";

/// The sum; nothing at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum([u8; 32]);

impl Sum {
    /// Reads what [`Sum::bytes`] gave.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Puts a row in.
    pub(super) fn put(&mut self, row: &seal::Model) {
        self.add(&hash(row), 0);
    }

    /// Takes a row off that was put in.
    pub(super) fn take(&mut self, row: &seal::Model) {
        // The two's complement.
        self.add(&hash(row).map(|byte| !byte), 1);
    }

    /// Adds a number, most significant byte first.
    fn add(&mut self, number: &[u8; 32], carry: u16) {
        let mut carry = carry;
        for (byte, other) in self.0.iter_mut().zip(number).rev() {
            let [over, low] = (u16::from(*byte) + u16::from(*other) + carry).to_be_bytes();
            *byte = low;
            carry = over.into();
        }
    }
}

fn hash(row: &seal::Model) -> [u8; 32] {
    // No `..`: a new column must be hashed before this compiles.
    let seal::Model {
        ledger_id,
        secret_id,
        version,
        project_id,
        digest,
        seq,
        is_last,
        is_deleted,
    } = row;
    let mut hasher = Fields::new(FORMAT);
    hasher.part(Some(ledger_id.as_bytes()));
    hasher.part(Some(secret_id.0.as_bytes()));
    hasher.part(Some(&version.to_be_bytes()));
    hasher.part(Some(project_id.0.as_bytes()));
    hasher.part(digest.as_deref());
    hasher.part(Some(&seq.to_be_bytes()));
    hasher.part(Some(&[u8::from(*is_last), u8::from(*is_deleted)]));
    hasher.hash()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::id::{ProjectId, SecretId};

    fn row(version: i64) -> seal::Model {
        seal::Model {
            ledger_id: Uuid::nil(),
            secret_id: SecretId(Uuid::from_u128(7)),
            version,
            project_id: ProjectId(Uuid::nil()),
            digest: Some(vec![1; 32]),
            seq: 3,
            is_last: true,
            is_deleted: false,
        }
    }

    fn sum(versions: &[i64]) -> Sum {
        let mut sum = Sum::default();
        for version in versions {
            sum.put(&row(*version));
        }
        sum
    }

    #[test]
    fn the_order_does_not_count_and_every_row_does() {
        let all: Vec<i64> = (1..200).collect();
        let back: Vec<i64> = all.iter().rev().copied().collect();
        assert_eq!(sum(&all), sum(&back));
        assert_ne!(sum(&all), sum(&all[1..]));
        assert_ne!(sum(&[1, 1]), sum(&[]), "twice is not never");
    }

    #[test]
    fn a_row_that_is_taken_off_was_never_in() {
        let mut taken = sum(&(1..200).collect::<Vec<_>>());
        for version in (1..200).filter(|version| version % 3 == 0) {
            taken.take(&row(version));
        }
        let others: Vec<i64> = (1..200).filter(|version| version % 3 != 0).collect();
        assert_eq!(taken, sum(&others));
        let mut nothing = sum(&[5]);
        nothing.take(&row(5));
        assert_eq!(nothing, Sum::default());
        assert_eq!(Sum::read(&taken.bytes()), Some(taken));
        assert_eq!(Sum::read(&[0; 31]), None);
    }

    #[test]
    fn every_column_counts() {
        let plain = row(1);
        let other = |change: fn(&mut seal::Model)| {
            let mut changed = plain.clone();
            change(&mut changed);
            assert_ne!(hash(&plain), hash(&changed), "{changed:?}");
        };
        other(|row| row.ledger_id = Uuid::from_u128(1));
        other(|row| row.secret_id = SecretId(Uuid::from_u128(8)));
        other(|row| row.version = 2);
        other(|row| row.project_id = ProjectId(Uuid::from_u128(1)));
        other(|row| row.digest = None);
        other(|row| row.digest = Some(vec![2; 32]));
        other(|row| row.seq = 4);
        other(|row| row.is_last = false);
        other(|row| row.is_deleted = true);
    }
}
