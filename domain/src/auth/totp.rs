//! One-time passwords by time (RFC 6238): SHA-1, six digits, thirty seconds, which is what authenticator apps do.

use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use crate::kernel::{Error, Result, Rng, Secret, Timestamp};

/// Bytes of a seed. Source: RFC 4226 §4, R6 (160 bits recommended).
pub const SEED_LEN: usize = 20;
/// Seconds of a step. Source: RFC 6238 §4.1.
pub const STEP_SECONDS: u64 = 30;
/// Steps that a clock may be off, either way. Source: RFC 6238 §5.2.
const SKEW: u16 = 1;
const DIGITS: u8 = 6;
/// Who issued it, as the app shows it.
const ISSUER: &str = "Strongroom";

/// A generator, as the server knows it.
pub struct Generator(Totp);

impl Generator {
    /// A generator with a new seed. `account` is the name that the app shows.
    ///
    /// # Errors
    /// [`Error::Internal`] without random numbers.
    pub fn draw(rng: &Rng, account: &str) -> Result<Self> {
        let seed = Zeroizing::new(rng.bytes::<SEED_LEN>()?);
        Self::of_seed(&*seed, account)
    }

    /// The generator of a stored seed, for checking codes: it has no name to show.
    ///
    /// # Errors
    /// [`Error::Internal`] for bytes that are no seed.
    pub fn stored(seed: &[u8]) -> Result<Self> {
        Self::of_seed(seed, "stored")
    }

    fn of_seed(seed: &[u8], account: &str) -> Result<Self> {
        let built = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_skew(SKEW)
            .with_step_duration(STEP_SECONDS)
            .with_secret(seed.to_vec())
            .with_account_name(account)
            .with_issuer(Some(ISSUER))
            .build();
        built
            .map(Self)
            .map_err(|e| Error::internal(format!("a one-time-password generator: {e}")))
    }

    /// The seed, to be sealed.
    pub fn seed(&self) -> &[u8] {
        self.0.secret().as_bytes()
    }

    /// The seed as people type it into an app: base32.
    pub fn secret(&self) -> Secret<String> {
        Secret::new(self.0.secret().to_base32())
    }

    /// What an app reads from the QR code: `otpauth://totp/…`.
    ///
    /// # Errors
    /// [`Error::Internal`] for an account name that cannot stand in a URI.
    pub fn uri(&self) -> Result<Secret<String>> {
        let uri = self.0.to_url();
        uri.map(Secret::new)
            .map_err(|e| Error::internal(format!("an otpauth URI: {e}")))
    }

    /// The step whose code this is, now or one step off. Codes are good once: the caller keeps the step.
    pub fn matching_step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let seconds = u64::try_from(now.secs()).ok()?;
        let step = self.0.check(code, seconds)?;
        i64::try_from(step).ok()
    }

    /// The code of an instant, as the app shows it.
    pub fn code(&self, at: Timestamp) -> String {
        self.0
            .generate(u64::try_from(at.secs()).unwrap_or_default())
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6238, appendix B: the last six of the eight digits.
    const RFC_SEED: &[u8] = b"12345678901234567890";
    const RFC_CODES: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        let generator = Generator::of_seed(RFC_SEED, "dana@example.com").unwrap();
        for (seconds, code) in RFC_CODES {
            assert_eq!(generator.code(at(seconds)), code);
            assert_eq!(generator.matching_step(code, at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_clock_may_be_one_step_off_and_no_more() {
        let generator = Generator::of_seed(RFC_SEED, "dana@example.com").unwrap();
        let code = generator.code(at(300));
        for (seconds, good) in [(269, false), (270, true), (300, true), (359, true), (360, false)] {
            assert_eq!(generator.matching_step(&code, at(seconds)).is_some(), good, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_code_matches_nothing() {
        let generator = Generator::of_seed(RFC_SEED, "dana@example.com").unwrap();
        for text in [
            "",
            "28708",
            "2870820",
            "28708x",
            "-87082",
            "+87082",
            "２８７０８２",
            "287082\0",
        ] {
            assert_eq!(generator.matching_step(text, at(59)), None, "{text}");
        }
    }

    #[test]
    fn the_uri_names_issuer_and_account_and_carries_the_seed() {
        let generator = Generator::of_seed(RFC_SEED, "dana+2fa@example.com").unwrap();
        let secret = generator.secret();
        assert_eq!(secret.expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = url::Url::parse(generator.uri().unwrap().expose()).unwrap();
        assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")));
        assert_eq!(uri.path(), "/Strongroom:dana%2B2fa%40example.com");
        let pairs: Vec<_> = uri.query_pairs().into_owned().collect();
        assert!(pairs.contains(&("secret".to_owned(), secret.expose().clone())));
        assert!(pairs.contains(&("issuer".to_owned(), "Strongroom".to_owned())));
    }

    #[test]
    fn every_seed_is_another() {
        let rng = Rng::seeded(1);
        let draw = || Generator::draw(&rng, "dana@example.com").unwrap();
        let (one, two) = (draw(), draw());
        assert_eq!(one.seed().len(), SEED_LEN);
        assert_ne!(one.seed(), two.seed());
    }
}
