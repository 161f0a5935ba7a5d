//! Passwords: Argon2id (RFC 9106), stored as PHC strings. A key of the instance goes into each hash, so that whoever
//! reads the database alone has nothing to try passwords against.
//!
//! A password is what its person types, however the keyboard composes it: it is brought into NFKC before it is hashed,
//! which the Unicode standard promises not to change for assigned characters. Source: RFC 8265 §4.2, NIST SP 800-63B.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;

use argon2::password_hash::Error as HashError;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use unicode_normalization::UnicodeNormalization;
use zxcvbn::{Score, zxcvbn};

use crate::kernel::config::PasswordCosts;
use crate::kernel::{Error, Problem, ProblemCode, Result, Rng, Secret};

/// Shortest password, bytes. Source: NIST SP 800-63B.
pub const MIN_LEN: usize = 8;
/// Longest password, bytes. Source: design of identity.
pub const MAX_LEN: usize = 1024;
/// Length of a salt, bytes. Source: RFC 9106 §3.1.
const SALT_LEN: usize = 16;
/// Stands before a PHC string, which itself begins with `$`, when the instance's key went into the hash.
pub const KEYED: &str = "k1";
/// Begins what follows.
const PHC_PREFIX: &str = "$argon2id$v=19$";
/// How much of what is stored stands behind the costs, bytes: a salt, a dollar sign and the hash. Source: PHC string format.
pub const STORED_BEHIND_COSTS: usize = 66;
/// For hashes that no key went into. Source: RFC 9106 §3.2, where the length of the key is zero then.
const NO_KEY: &[u8] = &[];

/// How many may wait for each hash that may run: with the default costs the last of them waits four seconds.
const WAITING: u64 = 128;
/// How many may wait if a hash is so dear that four seconds are not enough.
const LEAST_WAITING: u64 = 4;
/// After this time there is room again, seconds.
const CROWDED: u64 = 4;
const MOST_PERMITS: usize = 1024;

/// Argon2id of these costs, with a key or with [`NO_KEY`].
fn argon2(costs: PasswordCosts, key: &[u8]) -> Result<Argon2<'_>> {
    let refused = |_| Error::internal("Argon2 does not take these costs");
    let params = Params::new(costs.memory_kib(), costs.passes(), costs.lanes(), None).map_err(refused)?;
    Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params).map_err(refused)
}

/// What every stored hash of these costs begins with.
fn stored_prefix(costs: PasswordCosts) -> String {
    format!("{KEYED}{PHC_PREFIX}{costs}$")
}

/// A stored hash of these costs that nobody's password belongs to: a salt and a hash of zeros.
fn decoy(costs: PasswordCosts) -> String {
    format!("{}{}${}", stored_prefix(costs), "A".repeat(22), "A".repeat(43))
}

/// Outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right,
    /// It is the password, hashed with other costs than today's or without the instance's key. This is how it is to be
    /// stored.
    RightButOutdated(String),
    /// It is not, or there is no such account.
    Wrong,
}

/// Hashes and verifies, a few at a time: every hash fills its memory and keeps a core busy. Whoever comes when many
/// wait already is told to come back.
#[derive(Clone)]
pub struct Passwords {
    costs: PasswordCosts,
    /// Costs of passwords that were stored before these.
    former: Arc<RwLock<BTreeSet<PasswordCosts>>>,
    key: Secret<[u8; 32]>,
    /// For those that run and those that wait.
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    // Salts must be unique for ever, so they come from the system even where a test seeds everything else.
    rng: Rng,
}

/// A place among those whose passwords are hashed, or wait for it.
pub struct Place {
    _held: OwnedSemaphorePermit,
}

impl Passwords {
    /// `key` goes into every hash: without it, or with another, no password is right. At most `permits` hashes run at
    /// once, at least one; see [`default_permits`].
    pub fn new(costs: PasswordCosts, key: Secret<[u8; 32]>, permits: usize) -> Self {
        let permits = permits.clamp(1, MOST_PERMITS);
        Self {
            costs,
            former: Arc::default(),
            key,
            places: Arc::new(Semaphore::new(permits * (1 + waiting(costs)))),
            permits: Arc::new(Semaphore::new(permits)),
            rng: Rng::system(),
        }
    }

    /// Says that passwords are stored with these costs, too. What is wrong takes as long as one hash of each: so nobody is
    /// told by the time it takes whether there is an account, and whether its person has signed in lately. Returns
    /// whether any of them are others than today's.
    pub fn know_former(&self, stored: impl IntoIterator<Item = PasswordCosts>) -> bool {
        let former: BTreeSet<_> = stored.into_iter().filter(|costs| *costs != self.costs).collect();
        let any = !former.is_empty();
        *self.former.write().unwrap_or_else(PoisonError::into_inner) = former;
        any
    }

    /// A place, for whoever has to wait for something else before the hash; others get theirs along with it.
    ///
    /// # Errors
    /// `rate_limited` when there is none: too many wait.
    pub fn place(&self) -> Result<Place> {
        let held = Arc::clone(&self.places).try_acquire_owned().map_err(|_| crowded())?;
        Ok(Place { _held: held })
    }

    /// Hashes a password into what is stored of it.
    ///
    /// # Errors
    /// `rate_limited` when too many wait; [`Error::Internal`] when the machine fails: no memory, no random numbers.
    pub async fn hash(&self, password: Secret<String>) -> Result<String> {
        let place = self.place()?;
        let salt = self.rng.bytes::<SALT_LEN>()?;
        let (costs, key, password) = (self.costs, self.key.clone(), composed(&password));
        self.run(place, move || stored(costs, key.expose(), &password, &salt))
            .await
    }

    /// Verifies a password against what is stored, which may be a PHC string that no key went into. `None` stands for an
    /// account that is unknown or has no password: it takes as long as a real one, and is always wrong.
    ///
    /// # Errors
    /// [`Error::Internal`] when what is stored cannot be read, or the machine fails.
    pub async fn verify(&self, place: Place, password: Secret<String>, stored_as: Option<String>) -> Result<Verdict> {
        let salt = self.rng.bytes::<SALT_LEN>()?;
        let (costs, key, password) = (self.costs, self.key.clone(), composed(&password));
        let former = self.former.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.run(place, move || {
            let is_known = stored_as.is_some();
            let stored_as = stored_as.unwrap_or_else(|| decoy(costs));
            let right = matches(&password, &stored_as, key.expose())?;
            if is_known && right {
                if stored_as.starts_with(&stored_prefix(costs)) {
                    return Ok(Verdict::Right);
                }
                return stored(costs, key.expose(), &password, &salt).map(Verdict::RightButOutdated);
            }
            let others = former.into_iter().chain([costs]);
            for other in others.filter(|other| !stored_as.starts_with(&stored_prefix(*other))) {
                matches(&password, &decoy(other), key.expose())?;
            }
            Ok(Verdict::Wrong)
        })
        .await
    }

    /// Runs a hash away from the threads that serve requests.
    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        hash: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = |_| Error::internal("password hashing has stopped");
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let task = spawn_blocking(move || {
            let outcome = hash();
            // Given back by the hash and not by the request, which may be gone long before.
            drop((permit, place));
            outcome
        });
        task.await.map_err(|_| Error::internal("password hashing broke off"))?
    }
}

fn crowded() -> Problem {
    let detail = "Too many passwords are being checked at this moment. Try again in a moment.";
    Problem::new(ProblemCode::RateLimited, detail).with("retry_after", CROWDED)
}

/// How many may wait for each hash that may run.
fn waiting(costs: PasswordCosts) -> usize {
    let work = |costs: PasswordCosts| u64::from(costs.memory_kib()) * u64::from(costs.passes());
    let fit = WAITING * work(PasswordCosts::default()) / work(costs).max(1);
    usize::try_from(fit.clamp(LEAST_WAITING, WAITING)).unwrap_or(usize::MAX)
}

/// A password as it is stored.
fn stored(costs: PasswordCosts, key: &[u8], password: &Secret<String>, salt: &[u8]) -> Result<String> {
    let hash = argon2(costs, key)?.hash_password_with_salt(password.expose().as_bytes(), salt);
    hash.map(|hash| format!("{KEYED}{hash}"))
        .map_err(|_| Error::internal("Argon2 cannot hash"))
}

/// The costs of a stored password, by what it begins with; `None` for what no key went into, and for costs that are never
/// used.
pub fn costs_of(prefix: &str) -> Option<PasswordCosts> {
    let costs = prefix.strip_prefix(KEYED)?.strip_prefix(PHC_PREFIX)?;
    costs.trim_end_matches('$').parse().ok()
}

/// As many hashes at once as there are cores.
pub fn default_permits() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// NFKC.
fn composed(password: &Secret<String>) -> Secret<String> {
    // Room enough at once for nearly all: a text that grew would leave pieces of the password in freed memory.
    let mut text = String::with_capacity(password.expose().len() * 2);
    text.extend(password.expose().nfkc());
    Secret::new(text)
}

fn matches(password: &Secret<String>, stored: &str, key: &[u8]) -> Result<bool> {
    let unreadable = || Error::internal("a stored password hash cannot be read");
    let (phc, key) = match stored.strip_prefix(KEYED) {
        Some(phc) => (phc, key),
        None => (stored, NO_KEY),
    };
    let hash = PasswordHash::new(phc).map_err(|_| unreadable())?;
    // The costs are those of the hash.
    let hasher = argon2(PasswordCosts::default(), key)?;
    match hasher.verify_password(password.expose().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(_) => Err(unreadable()),
    }
}

/// Refuses a new password that is too short, too long or easy to guess: zxcvbn's score must be 3 of 4. `user_inputs`
/// are words that a guesser would try first: the address and the name of the person, the name of the organisation.
///
/// # Errors
/// `invalid_field` naming `password`, with the reason `too_short`, `too_long` or `too_weak`.
pub fn check_strength(password: &Secret<String>, user_inputs: &[&str]) -> Result<()> {
    check_strength_of("password", password, user_inputs)
}

/// Like [`check_strength`], for a field of another name.
///
/// # Errors
/// `invalid_field` naming `field`.
pub fn check_strength_of(field: &'static str, password: &Secret<String>, user_inputs: &[&str]) -> Result<()> {
    let password = composed(password);
    let password = password.expose();
    let refuse = |reason, message: String| Err(Problem::field(field, reason, message).into());
    if password.len() < MIN_LEN {
        return refuse("too_short", format!("must have at least {MIN_LEN} bytes"));
    }
    if password.len() > MAX_LEN {
        return refuse("too_long", format!("must have at most {MAX_LEN} bytes"));
    }
    // An address is guessed by its parts, too: `dana` of dana@example.com.
    let parts = user_inputs
        .iter()
        .flat_map(|input| input.split(|c: char| !c.is_alphanumeric()));
    let words: Vec<&str> = user_inputs
        .iter()
        .copied()
        .chain(parts)
        .chain(["strongroom"])
        .filter(|w| w.len() > 2)
        .collect();
    let guess = zxcvbn(password, &words);
    if guess.score() >= Score::Three {
        return Ok(());
    }
    let advice = guess
        .feedback()
        .and_then(zxcvbn::feedback::Feedback::warning)
        .map(|warning| format!(": {warning}"));
    refuse(
        "too_weak",
        format!("is too easy to guess{}", advice.unwrap_or_default()),
    )
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
