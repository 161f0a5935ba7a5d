//! Additional authenticated data: what a blob is for and where it belongs, in bytes that two different lists of
//! fields never share.

use uuid::Uuid;

/// What something is sealed for. The labels are part of every stored blob: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A version of a secret.
    SecretValue,
    /// The comment on a version of a secret.
    SecretComment,
    /// The signing secret of a webhook endpoint.
    WebhookSecret,
    /// The seed of a one-time-password generator.
    TotpSeed,
    /// The client secret of a single sign-on connection.
    SsoSecret,
    /// An answer kept for a repeated idempotency key.
    IdempotentResponse,
    /// A mail that waits to be sent.
    Mail,
    /// A key wrapped by a root key.
    DataKey,
    /// A private signing key.
    SigningKey,
    /// A backup file.
    Backup,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 10] = [
        Self::SecretValue,
        Self::SecretComment,
        Self::WebhookSecret,
        Self::TotpSeed,
        Self::SsoSecret,
        Self::IdempotentResponse,
        Self::Mail,
        Self::DataKey,
        Self::SigningKey,
        Self::Backup,
    ];

    /// The label as it goes into the bytes.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SecretValue => "secret_value",
            Self::SecretComment => "secret_comment",
            Self::WebhookSecret => "webhook_secret",
            Self::TotpSeed => "totp_seed",
            Self::SsoSecret => "sso_secret",
            Self::IdempotentResponse => "idempotent_response",
            Self::Mail => "mail",
            Self::DataKey => "data_key",
            Self::SigningKey => "signing_key",
            Self::Backup => "backup",
        }
    }
}

/// Marks the type of a part, so that eight bytes of text are not a number.
#[derive(Clone, Copy)]
enum Tag {
    Purpose = 1,
    Uuid = 2,
    Number = 3,
    Text = 4,
    Bytes = 5,
}

/// Builds additional data part by part, each as `tag (1) | length (4, big-endian) | bytes`.
#[must_use]
pub struct Aad(Vec<u8>);

impl Aad {
    /// Begins with the purpose.
    pub fn new(purpose: Purpose) -> Self {
        Self(Vec::with_capacity(192)).part(Tag::Purpose, purpose.label().as_bytes())
    }

    /// Adds an id. Use ids that never change: a slug would make a rename lose the data.
    pub fn uuid(self, id: impl Into<Uuid>) -> Self {
        self.part(Tag::Uuid, id.into().as_bytes())
    }

    /// Adds a number.
    pub fn u64(self, number: u64) -> Self {
        self.part(Tag::Number, &number.to_be_bytes())
    }

    /// Adds a text of less than 4 GiB.
    pub fn text(self, text: &str) -> Self {
        self.part(Tag::Text, text.as_bytes())
    }

    /// Adds bytes, of less than 4 GiB: additional data built elsewhere, for example.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.part(Tag::Bytes, bytes)
    }

    /// The finished bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn part(mut self, tag: Tag, bytes: &[u8]) -> Self {
        self.0.push(tag as u8);
        // Saturates for parts that no caller can build: every text here is bounded far below.
        self.0
            .extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_distinct_and_stay_as_they_are() {
        let labels: BTreeSet<_> = Purpose::ALL.iter().map(|purpose| purpose.label()).collect();
        assert_eq!(labels.len(), Purpose::ALL.len());
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>().join(" "),
            "backup data_key idempotent_response mail secret_comment secret_value signing_key sso_secret totp_seed webhook_secret"
        );
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let aad = Aad::new(Purpose::Mail)
            .uuid(Uuid::from_u128(1))
            .u64(2)
            .text("ab")
            .bytes(b"c")
            .finish();
        let expected = "01000000046d61696c\
             020000001000000000000000000000000000000001\
             03000000080000000000000002\
             04000000026162\
             050000000163";
        assert_eq!(hex::encode(aad), expected);
    }

    #[test]
    fn fields_cut_in_other_places_are_other_bytes() {
        let aad = || Aad::new(Purpose::Mail);
        let eight = u64::from_be_bytes(*b"12345678");
        let uuid = Uuid::from_bytes(*b"1234567812345678");
        let all = [
            aad(),
            aad().text(""),
            aad().text("").text(""),
            aad().text("abc"),
            aad().text("ab").text("c"),
            aad().text("a").text("bc"),
            aad().text("abc").text(""),
            aad().text("").text("abc"),
            aad().bytes(b"abc"),
            aad().u64(eight),
            aad().text("12345678"),
            aad().u64(eight).u64(eight),
            aad().uuid(uuid),
            aad().text("1234567812345678"),
            aad().bytes(&aad().text("abc").finish()),
            Aad::new(Purpose::Backup),
        ];
        let count = all.len();
        let distinct: BTreeSet<_> = all.into_iter().map(Aad::finish).collect();
        assert_eq!(distinct.len(), count);
    }
}
