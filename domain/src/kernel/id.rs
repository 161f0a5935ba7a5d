//! Ids: a UUIDv7 in the database, a [TypeID](https://github.com/jetify-com/typeid/tree/main/spec) outside:
//! `org_01h455vb4pex5vsknk084sn02q`. The type tells an organisation from a project at compile time, the prefix at
//! run time.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Crockford's base32 in lower case, as the TypeID specification wants it.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Letters of the suffix: 128 bits in groups of five, the first holding three.
const SUFFIX_LEN: usize = 26;

/// Text that is no id of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id with the prefix `{0}_`")]
pub struct ParseIdError(&'static str);

/// An id type: its prefix and its way from and to a UUID.
pub trait TypedId: Copy + fmt::Display + FromStr<Err = ParseIdError> + From<Uuid> + Into<Uuid> {
    const PREFIX: &'static str;
}

fn encode(id: Uuid) -> String {
    let value = id.as_u128();
    (0..SUFFIX_LEN)
        .rev()
        .map(|group| {
            let index = usize::try_from((value >> (5 * group)) & 31).unwrap_or(0);
            char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
        })
        .collect()
}

fn decode(suffix: &str) -> Option<Uuid> {
    let bytes = suffix.as_bytes();
    // The first letter holds the top three bits only.
    if bytes.len() != SUFFIX_LEN || bytes.first().is_some_and(|b| *b > b'7') {
        return None;
    }
    let mut value = 0_u128;
    for byte in bytes {
        let digit = ALPHABET.iter().position(|letter| letter == byte)?;
        value = (value << 5) | u128::try_from(digit).ok()?;
    }
    Some(Uuid::from_u128(value))
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, ParseIdError> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(decode)
        .ok_or(ParseIdError(prefix))
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sea_orm::DeriveValueType)]
        pub struct $name(pub Uuid);

        impl TypedId for $name {
            const PREFIX: &'static str = $prefix;
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse($prefix, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )*};
}

typed_ids! {
    /// A person's account.
    UserId = "usr",
    /// A user of an organisation's own realm: no account of this platform.
    RealmUserId = "usr",
    /// One e-mail address of an account.
    EmailId = "eml",
    /// An organisation: the tenant.
    OrgId = "org",
    ProjectId = "prj",
    /// An environment of a project.
    EnvId = "env",
    /// One secret, under whatever key it goes today.
    SecretId = "sec",
    /// A key of a project's template.
    TemplateKeyId = "tpl",
    /// A role, built in or made by an organisation.
    RoleId = "rol",
    /// A role held at an organisation or a project.
    MembershipId = "mem",
    /// An allow or deny rule.
    AclRuleId = "acl",
    ServiceAccountId = "sa",
    /// An OAuth client: an application of a partner.
    OAuthClientId = "cli",
    /// What a person let an application do: the family of its tokens.
    OAuthGrantId = "grt",
    /// Who somebody is to an identity provider.
    SsoIdentityId = "idn",
    /// Which tokens of another issuer stand for a service account.
    FederatedIdentityId = "fid",
    /// A device that waits for approval.
    DeviceId = "dev",
    /// An invitation to an organisation or a project.
    InviteId = "inv",
    /// A sign-in with all of its tokens: the family of its credentials.
    SessionId = "ses",
    /// A second factor of an account: a TOTP seed or a recovery code.
    FactorId = "fac",
    /// Any stored credential: session, personal token, service-account key, refresh token.
    CredentialId = "tok",
    /// A short-lived one-time challenge: an e-mail code or link.
    ChallengeId = "chl",
    /// A webhook endpoint.
    WebhookId = "whk",
    /// The delivery of one event to one webhook endpoint: a job of kind webhook.
    DeliveryId = "dlv",
    /// A walk through past events that delivers them once more.
    RecoveryId = "rcv",
    /// A row of the journal.
    EventId = "evt",
    /// One generation of a wrapped key.
    KeyId = "key",
    /// A mail to be sent.
    MailId = "mai",
    /// A job of any kind.
    JobId = "job",
    /// A backup of the whole instance.
    BackupId = "bak",
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the TypeID specification's valid.yml.
    #[test]
    fn matches_the_specification_vectors() {
        for (uuid, suffix) in [
            ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000"),
            ("00000000-0000-0000-0000-000000000001", "00000000000000000000000001"),
            ("00000000-0000-0000-0000-00000000000a", "0000000000000000000000000a"),
            ("00000000-0000-0000-0000-000000000020", "00000000000000000000000010"),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", "7zzzzzzzzzzzzzzzzzzzzzzzzz"),
            ("01890a5d-ac96-774b-bcce-b302099a8057", "01h455vb4pex5vsknk084sn02q"),
        ] {
            let uuid = Uuid::parse_str(uuid).unwrap();
            assert_eq!(encode(uuid), suffix);
            assert_eq!(decode(suffix), Some(uuid));
        }
    }

    #[test]
    fn refuses_other_prefixes_and_spellings() {
        let id = OrgId(Uuid::from_u128(42));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<ProjectId>().is_err());
        for text in [
            "org_",
            "org_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "org_0000000000000000000000000I",
            "ORG_00000000000000000000000000",
        ] {
            assert!(text.parse::<OrgId>().is_err(), "{text}");
        }
    }
}
