//! The classes of operations that are counted together.

/// Operations that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Health checks. They have a count of their own and are never refused: an instance that is busy is not ill.
    Probe,
    /// The administration of the instance.
    Admin,
    /// Where passwords, codes and tokens are tried or exchanged.
    SignIn,
    /// What sends a mail to an address that the caller names.
    Mail,
    /// Invitations, which send mail too.
    Invite,
    /// What other services send, which prove by a signature that they did.
    Inbound,
    /// Questions about who may do what.
    Authorize,
    /// Whatever else changes nothing.
    Read,
    /// Whatever else changes something.
    Write,
}

/// Whom a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// The address that it comes from, whoever shows what: else those who have many tokens could guess as often.
    Network,
    /// The credential, once it has proven to be one. Until then the address.
    Credential,
}

impl Class {
    pub const ALL: [Self; 9] = [
        Self::Probe,
        Self::Admin,
        Self::SignIn,
        Self::Mail,
        Self::Invite,
        Self::Inbound,
        Self::Authorize,
        Self::Read,
        Self::Write,
    ];

    /// Its name, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Admin => "admin",
            Self::SignIn => "sign_in",
            Self::Mail => "mail",
            Self::Invite => "invite",
            Self::Inbound => "inbound",
            Self::Authorize => "authorize",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Requests a minute. Source: design of the API, rate limits; mail and invitations are ours.
    pub const fn per_minute(self) -> u32 {
        match self {
            Self::Probe => 6000,
            Self::Admin => 100,
            Self::SignIn => 300,
            Self::Mail | Self::Invite => 60,
            Self::Inbound | Self::Authorize | Self::Read => 1000,
            Self::Write => 600,
        }
    }

    pub const fn counted_by(self) -> CountedBy {
        match self {
            Self::Probe | Self::SignIn | Self::Mail | Self::Inbound => CountedBy::Network,
            Self::Admin | Self::Invite | Self::Authorize | Self::Read | Self::Write => CountedBy::Credential,
        }
    }

    /// Whether the plan's `rate_limit_rpm` counts in the place of [`Class::per_minute`]. What protects others from the
    /// caller is the same on every plan.
    pub const fn goes_by_plan(self) -> bool {
        match self {
            Self::Authorize | Self::Read | Self::Write => true,
            Self::Probe | Self::Admin | Self::SignIn | Self::Mail | Self::Invite | Self::Inbound => false,
        }
    }

    /// Whether too many are refused.
    pub const fn refuses(self) -> bool {
        match self {
            Self::Probe => false,
            Self::Admin
            | Self::SignIn
            | Self::Mail
            | Self::Invite
            | Self::Inbound
            | Self::Authorize
            | Self::Read
            | Self::Write => true,
        }
    }
}
