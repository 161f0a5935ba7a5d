//! What hashing a password costs, as Argon2id counts it (RFC 9106 §3.1).

use std::fmt;
use std::str::FromStr;

use super::values::FromSetting;

/// More than this and a sign-in would keep the machine busy for minutes.
const MOST_MEMORY_KIB: u32 = 1_048_576;
const MOST_PASSES: u32 = 100;
const MOST_LANES: u32 = 16;

/// Costs that are too low, or that nobody could pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `m=<KiB>,t=<passes>,p=<lanes>` with at least 47104 KiB and 1 pass, 19456 KiB and 2 or 12288 KiB and 3, and \
     at most 1048576 KiB, 100 passes and 16 lanes"
)]
pub struct CostsError;

/// Costs of a hash; shown and read as PHC strings have them: `m=19456,t=2,p=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PasswordCosts {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl PasswordCosts {
    /// Memory in KiB, passes, lanes.
    ///
    /// # Errors
    /// [`CostsError`] below the floor, and for more than a machine could bear. Source: OWASP ASVS 5.0, appendix C.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostsError> {
        let floor = match passes {
            0 => return Err(CostsError),
            1 => 47_104,
            2 => 19_456,
            3.. => 12_288,
        };
        let fits = (floor..=MOST_MEMORY_KIB).contains(&memory_kib)
            && passes <= MOST_PASSES
            && (1..=MOST_LANES).contains(&lanes);
        fits.then_some(Self {
            memory_kib,
            passes,
            lanes,
        })
        .ok_or(CostsError)
    }

    /// Costs far below the floor, for tests that sign many people in.
    pub const fn cheap_for_tests() -> Self {
        Self {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
        }
    }

    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    pub const fn passes(self) -> u32 {
        self.passes
    }

    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(',').map(str::trim);
        let mut number = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        let (memory_kib, passes, lanes) = (number("m")?, number("t")?, number("p")?);
        let nothing_follows = parts.next().is_none();
        Self::new(memory_kib, passes, lanes).ok().filter(|_| nothing_follows)
    }
}

/// 19 MiB, 2 passes, 1 lane: about 30 ms. Source: OWASP Password Storage Cheat Sheet.
impl Default for PasswordCosts {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

impl fmt::Display for PasswordCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory_kib,
            passes,
            lanes,
        } = self;
        write!(f, "m={memory_kib},t={passes},p={lanes}")
    }
}

impl FromStr for PasswordCosts {
    type Err = CostsError;

    fn from_str(text: &str) -> Result<Self, CostsError> {
        Self::read(text).ok_or(CostsError)
    }
}

impl FromSetting for PasswordCosts {
    fn from_setting(text: &str) -> Result<Self, String> {
        text.parse().map_err(|refused: CostsError| refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_below_the_floor_and_beyond_any_machine_are_refused() {
        for (memory_kib, passes, lanes, fits) in [
            (65_536, 3, 1, true),
            (47_104, 1, 1, true),
            (47_103, 1, 1, false),
            (19_456, 2, 1, true),
            (19_455, 2, 1, false),
            (12_288, 3, 1, true),
            (12_287, 3, 1, false),
            (12_287, 100, 1, false),
            (65_536, 0, 1, false),
            (65_536, 3, 0, false),
            (65_536, 3, 16, true),
            (65_536, 3, 17, false),
            (65_536, 100, 1, true),
            (65_536, 101, 1, false),
            (1_048_576, 3, 1, true),
            (1_048_577, 3, 1, false),
            (0, 3, 1, false),
        ] {
            let costs = PasswordCosts::new(memory_kib, passes, lanes);
            assert_eq!(costs.is_ok(), fits, "m={memory_kib},t={passes},p={lanes}");
        }
        let default = PasswordCosts::default();
        assert_eq!(
            PasswordCosts::new(default.memory_kib, default.passes, default.lanes),
            Ok(default)
        );
    }

    #[test]
    fn they_are_read_as_they_are_shown() {
        for text in ["m=19456,t=2,p=1", "m=65536,t=3,p=4"] {
            assert_eq!(PasswordCosts::from_setting(text).unwrap().to_string(), text);
        }
        let spaced = PasswordCosts::from_setting(" m=65536, t=3, p=1 ").unwrap();
        assert_eq!(spaced.to_string(), "m=65536,t=3,p=1");
        for text in [
            "",
            "m=65536",
            "m=65536,t=3",
            "m=65536,t=3,p=1,m=65536",
            "t=3,m=65536,p=1",
            "m=64,t=1,p=1",
            "m=-1,t=3,p=1",
            "m=99999999999,t=3,p=1",
            "65536,3,1",
        ] {
            let refused = PasswordCosts::from_setting(text).unwrap_err();
            assert!(refused.contains("m=<KiB>"), "{text}: {refused}");
        }
    }
}
