//! Opaque tokens: `prefix | 30 random letters | 6 letters of CRC-32`, the letters being base62. 30 letters are 178
//! bits. The checksum lets a mistyped or made-up token be refused before any database is asked, and lets secret
//! scanners be sure of a find. Only a MAC of a token is stored.

use zeroize::Zeroizing;

use super::mac::MacKey;
use crate::kernel::{Result, Rng, Secret};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Letters drawn by lot.
const RANDOM_LEN: usize = 30;
/// Letters of the checksum: 62^6 exceeds 2^32.
const CHECKSUM_LEN: usize = 6;

macro_rules! token_kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal,)*) => {
        /// What a token is good for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TokenKind {
            $($(#[$doc])* $name,)*
        }

        impl TokenKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What tokens of this kind begin with. No prefix begins another.
            pub const fn prefix(self) -> &'static str {
                match self { $(Self::$name => $prefix,)* }
            }
        }
    };
}

token_kinds! {
    /// A browser session.
    Session = "srm_ses_",
    /// Renews a session of an application.
    Refresh = "srm_ref_",
    /// A person's API token.
    Personal = "srm_pat_",
    /// A key of a service account.
    ServiceKey = "srm_sak_",
    /// The secret of an OAuth client.
    ClientSecret = "srm_cs_",
    /// A code that an OAuth client trades for tokens.
    AuthorizationCode = "srm_cod_",
    /// Renews the access of an OAuth client.
    ClientRefresh = "srm_crt_",
    /// Renews the access of a user of a realm.
    RealmRefresh = "srm_rrt_",
    /// Waits for the approval of a device.
    Device = "srm_dev_",
    /// An invitation to an organisation.
    Invite = "srm_inv_",
    /// Goes on with a sign-in or registration that has begun: held by the client that began it.
    Challenge = "srm_chl_",
    /// A link in a mail.
    Link = "srm_lnk_",
    /// Sets up a new installation.
    Setup = "srm_set_",
}

/// Text that is no token: wrong prefix, length, letters or checksum. Says not which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct TokenError;

/// A token in clear. It cannot be printed, and is wiped when dropped.
pub struct Token {
    kind: TokenKind,
    text: Secret<String>,
}

impl Token {
    /// Draws a new token.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Internal`] without random numbers.
    pub fn generate(rng: &Rng, kind: TokenKind) -> Result<Self> {
        let mut text = begun(kind);
        let whole = text.len() + RANDOM_LEN;
        let mut buffer = Zeroizing::new([0; RANDOM_LEN + 2]);
        while text.len() < whole {
            rng.fill(&mut *buffer)?;
            // 248 is the largest multiple of 62 in a byte: what lies above would favour the first letters.
            let fair = buffer.iter().filter(|byte| **byte < 248).take(whole - text.len());
            text.extend(fair.map(|byte| letter(u32::from(*byte) % 62)));
        }
        Ok(finished(kind, text))
    }

    /// The token whose letters are the last digits of a number in base62. Of 256 bits the favour that this does to any
    /// letter is beyond measure.
    fn of_number(kind: TokenKind, number: [u8; 32]) -> Self {
        let mut number = Zeroizing::new(number);
        let mut text = begun(kind);
        for _ in 0..RANDOM_LEN {
            let mut rest = 0_u32;
            for byte in number.iter_mut() {
                let value = (rest << 8) | u32::from(*byte);
                *byte = u8::try_from(value / 62).unwrap_or_default();
                rest = value % 62;
            }
            text.push(letter(rest));
        }
        finished(kind, text)
    }

    /// Reads a token: shape and checksum only, whether it was ever issued is for the database to say.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let starts = |kind: &TokenKind| text.starts_with(kind.prefix());
        let kind = TokenKind::ALL.iter().copied().find(starts).ok_or(TokenError)?;
        let whole = kind.prefix().len() + RANDOM_LEN;
        let (body, end) = text.split_at_checked(whole).ok_or(TokenError)?;
        let random = body.bytes().skip(kind.prefix().len());
        let fits = end.len() == CHECKSUM_LEN
            && random.into_iter().all(|byte| byte.is_ascii_alphanumeric())
            && end.chars().eq(checksum(body));
        fits.then(|| Self {
            kind,
            text: Secret::new(text.to_owned()),
        })
        .ok_or(TokenError)
    }

    /// What the token is good for.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The token in clear, to be shown once.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The prefix of its kind; not secret.
    pub fn prefix(&self) -> &'static str {
        self.kind.prefix()
    }

    /// The last four letters, for telling tokens apart in a list. They are of the checksum, so they give away none of
    /// the random letters themselves.
    pub fn last_four(&self) -> &str {
        let text = self.expose();
        text.get(text.len().saturating_sub(4)..).unwrap_or_default()
    }
}

/// The beginning of a token. Full capacity at once: a text that grew would leave pieces of the token in freed memory.
fn begun(kind: TokenKind) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(kind.prefix().len() + RANDOM_LEN + CHECKSUM_LEN));
    text.push_str(kind.prefix());
    text
}

/// A token whose letters are drawn, with its checksum.
fn finished(kind: TokenKind, mut text: Zeroizing<String>) -> Token {
    let checksum = checksum(&text);
    text.extend(checksum);
    Token {
        kind,
        text: Secret::new(std::mem::take(&mut *text)),
    }
}

/// A digit of base62.
fn letter(digit: u32) -> char {
    let found = usize::try_from(digit).ok().and_then(|index| BASE62.get(index));
    char::from(found.copied().unwrap_or(b'0'))
}

/// CRC-32 (ISO-HDLC) of the text as six digits of base62, most significant first.
fn checksum(text: &str) -> [char; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = ['0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = letter(rest % 62);
        rest /= 62;
    }
    digits
}

/// The key that turns tokens and codes into what is stored of them. Without it, writing to the database is not enough
/// to forge a token, and reading it not enough to find a six-digit code by trying.
pub struct TokenMacKey(MacKey);

impl TokenMacKey {
    /// Takes the key's bytes, wiped when dropped.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(MacKey::new(bytes))
    }

    /// What is stored of a token, and looked up.
    pub fn mac(&self, token: &Token) -> [u8; 32] {
        self.0.mac(&[token.expose().as_bytes()])
    }

    /// The token that follows from a text under this key: made again, it is the same. For a token that is needed later and
    /// may lie nowhere meanwhile. Name in `purpose` what it is for; without the key the text is worth nothing.
    pub fn derive(&self, kind: TokenKind, purpose: &str, from: &str) -> Token {
        Token::of_number(kind, self.mac_text(purpose, from))
    }

    /// What is stored of a short text, such as a code. Name in `purpose` what the code is for, with the id of its
    /// challenge: equal codes of two challenges then differ.
    ///
    /// The length before the purpose keeps its parts apart, and the whole apart from tokens: it begins with a zero
    /// byte, a token with a letter.
    pub fn mac_text(&self, purpose: &str, text: &str) -> [u8; 32] {
        let len = u32::try_from(purpose.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.0.mac(&[&len, purpose.as_bytes(), text.as_bytes()])
    }
}

/// Six decimal digits, each code as likely as any other.
///
/// # Errors
/// [`crate::kernel::Error::Internal`] without random numbers.
pub fn numeric_code(rng: &Rng) -> Result<Secret<String>> {
    const CODES: u32 = 1_000_000;
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let drawn = u32::from_be_bytes(rng.bytes()?);
        if drawn < FAIR {
            return Ok(Secret::new(format!("{:06}", drawn % CODES)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_distinct_prefixes_none_of_which_begins_another() {
        for (i, one) in TokenKind::ALL.iter().enumerate() {
            for (j, two) in TokenKind::ALL.iter().enumerate() {
                assert!(i == j || !one.prefix().starts_with(two.prefix()), "{one:?} {two:?}");
            }
        }
    }

    #[test]
    fn reads_what_it_generated() {
        let rng = Rng::seeded(1);
        for kind in TokenKind::ALL {
            let token = Token::generate(&rng, *kind).unwrap();
            assert_eq!(token.expose().len(), kind.prefix().len() + 36);
            assert!(token.expose().starts_with(token.prefix()));
            assert!(token.expose().ends_with(token.last_four()) && token.last_four().len() == 4);
            let read = Token::parse(token.expose()).unwrap();
            assert_eq!((read.kind(), read.expose()), (*kind, token.expose()));
        }
    }

    // Made outside: CRC-32 of zlib. Issued tokens must stay readable.
    #[test]
    fn the_format_stays_as_it_is() {
        assert!(Token::parse("srm_pat_0123456789ABCDEFGHIJKLMNOPQRST3jI080").is_ok());
    }

    #[test]
    fn every_change_of_one_letter_is_refused() {
        let token = Token::generate(&Rng::seeded(2), TokenKind::Personal).unwrap();
        let text = token.expose();
        for at in 0..text.len() {
            for letter in (0x20..0x7f).map(char::from).chain(['\0', 'é', '\u{ff10}']) {
                if text[at..].starts_with(letter) {
                    continue;
                }
                let changed = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
                assert!(Token::parse(&changed).is_err(), "{changed}");
            }
            assert!(Token::parse(&text[..at]).is_err());
            assert!(Token::parse(&format!("{}{}", &text[..at], &text[at + 1..])).is_err());
        }
        for changed in [
            format!("{text}0"),
            format!(" {text}"),
            format!("{text}\n"),
            text.to_lowercase(),
        ] {
            assert!(Token::parse(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_token_does_not_become_one_of_another_kind() {
        let token = Token::generate(&Rng::seeded(3), TokenKind::Invite).unwrap();
        let rest = token.expose().strip_prefix("srm_inv_").unwrap();
        for kind in TokenKind::ALL.iter().filter(|kind| **kind != TokenKind::Invite) {
            assert!(Token::parse(&format!("{}{rest}", kind.prefix())).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let rng = Rng::seeded(4);
        let mut counts = [0_u32; 128];
        let tokens = 20_000;
        for _ in 0..tokens {
            let token = Token::generate(&rng, TokenKind::Session).unwrap();
            for byte in token.expose()["srm_ses_".len()..][..RANDOM_LEN].bytes() {
                counts[usize::from(byte)] += 1;
            }
        }
        let expected = f64::from(tokens * 30) / 62.0;
        let chi_square: f64 = BASE62
            .iter()
            .map(|byte| (f64::from(counts[usize::from(*byte)]) - expected).powi(2) / expected)
            .sum();
        // 61 degrees of freedom: 116 is passed once in 30,000 runs. Without rejection it would be in the thousands.
        assert!(chi_square < 116.0, "{chi_square}");
    }

    #[test]
    fn tokens_do_not_repeat() {
        let rng = Rng::system();
        let tokens: BTreeSet<_> = (0..1000)
            .map(|_| Token::generate(&rng, TokenKind::Link).unwrap().expose().to_owned())
            .collect();
        assert_eq!(tokens.len(), 1000);
    }

    #[test]
    fn macs_tell_keys_purposes_and_texts_apart() {
        let (key, other) = (TokenMacKey::new([1; 32]), TokenMacKey::new([2; 32]));
        let token = Token::generate(&Rng::seeded(5), TokenKind::Session).unwrap();
        let macs: BTreeSet<_> = [
            key.mac(&token),
            other.mac(&token),
            key.mac_text("", token.expose()),
            key.mac_text("verify", "123456"),
            key.mac_text("verify1", "23456"),
            key.mac_text("reset", "123456"),
            key.mac_text("", "verify123456"),
            other.mac_text("verify", "123456"),
        ]
        .into();
        assert_eq!(macs.len(), 8);
        assert_eq!(key.mac(&token), key.mac(&Token::parse(token.expose()).unwrap()));
    }

    #[test]
    fn what_is_derived_follows_from_key_purpose_and_text_alone() {
        let (key, other) = (TokenMacKey::new([1; 32]), TokenMacKey::new([2; 32]));
        let token = key.derive(TokenKind::Invite, "invite", "one");
        // Made outside, with Python's hmac and zlib. Links that are out in mails must go on working.
        assert_eq!(token.expose(), "srm_inv_xZuH7z5KbIPJBZS5OQZ2qo85zuQwLn0OfYnF");
        assert_eq!(Token::parse(token.expose()).unwrap().kind(), TokenKind::Invite);
        let others = [
            other.derive(TokenKind::Invite, "invite", "one"),
            key.derive(TokenKind::Invite, "invite", "two"),
            key.derive(TokenKind::Invite, "invit", "eone"),
            key.derive(TokenKind::Link, "invite", "one"),
        ];
        assert!(others.iter().all(|other| other.expose() != token.expose()));
    }

    #[test]
    fn codes_are_six_digits_of_every_kind() {
        let rng = Rng::seeded(6);
        let codes: Vec<_> = (0..10_000)
            .map(|_| numeric_code(&rng).unwrap().expose().clone())
            .collect();
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()))
        );
        for position in 0..6 {
            for digit in b'0'..=b'9' {
                let count = codes.iter().filter(|code| code.as_bytes()[position] == digit).count();
                assert!((850..1150).contains(&count), "digit {digit} at {position}: {count}");
            }
        }
    }
}
