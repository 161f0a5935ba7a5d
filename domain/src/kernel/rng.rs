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
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
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
