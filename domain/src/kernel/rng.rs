//! Chance is an argument: keys, tokens, nonces and ids are drawn from an [`Rng`] that the application holds.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use uuid::Uuid;

use super::{Error, Result, Timestamp};

/// The operating system's random numbers, or a seeded sequence for tests.
#[derive(Clone, Default)]
pub struct Rng {
    seeded: Option<Arc<Mutex<StdRng>>>,
}

impl Rng {
    pub fn system() -> Self {
        Self { seeded: None }
    }

    /// A repeatable sequence. For tests: never build keys from it.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seeded: Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))),
        }
    }

    /// # Errors
    /// [`Error::Internal`] when the operating system gives no random numbers; nothing may go on without them.
    pub fn fill(&self, buffer: &mut [u8]) -> Result<()> {
        match &self.seeded {
            Some(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer);
                Ok(())
            }
            None => getrandom::fill(buffer).map_err(|e| Error::internal(format!("no random numbers: {e}"))),
        }
    }

    /// # Errors
    /// See [`Rng::fill`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A UUIDv7 of this instant.
    ///
    /// # Errors
    /// See [`Rng::fill`].
    pub fn uuid(&self, now: Timestamp) -> Result<Uuid> {
        self.nth_uuid(now, 0)
    }

    /// The UUIDv7 of this instant and place: those of one transaction sort in the order in which they were made.
    /// Behind the millisecond stand the microseconds (RFC 9562 §6.2, method 3), then 14 bits of `n`, then chance.
    ///
    /// # Errors
    /// See [`Rng::fill`].
    pub fn nth_uuid(&self, now: Timestamp, n: u16) -> Result<Uuid> {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let fraction = u16::try_from(now.micros().rem_euclid(1000) * 4096 / 1000)
            .unwrap_or(0)
            .to_be_bytes();
        let place = (n & 0x3fff).to_be_bytes();
        let [_, _, _, _, chance @ ..] = self.bytes::<10>()?;
        let mut tail = [0; 10];
        for (to, from) in tail.iter_mut().zip(fraction.iter().chain(&place).chain(&chance)) {
            *to = *from;
        }
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// A factor spread evenly over `1 - spread ..= 1 + spread`, for retry delays.
    ///
    /// # Errors
    /// See [`Rng::fill`].
    pub fn jitter(&self, spread: f64) -> Result<f64> {
        let fraction = f64::from(u32::from_le_bytes(self.bytes()?)) / f64::from(u32::MAX);
        Ok(1.0 - spread + 2.0 * spread * fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_then_by_place() {
        let rng = Rng::seeded(1);
        let at = |micros: i64, n| rng.nth_uuid(Timestamp(1_900_000_000_000_000 + micros), n).unwrap();
        let made = [at(0, 0), at(0, 1), at(0, 300), at(250, 0), at(999, 5), at(1000, 0)];
        assert!(made.is_sorted());
        assert!(
            made.iter()
                .all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
        );
        assert_ne!(at(0, 0), at(0, 0));
    }
}
