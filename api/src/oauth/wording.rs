//! What scopes mean, in the words of whoever is asked. Each goes on after "will be able to".

use domain::access::permission::Grant;
use domain::access::{EnvClass, Permission};
use domain::oauth::scopes::Word;

/// All that the person may.
pub const EVERYTHING: &str = "do everything that you can do";

/// A word of OpenID Connect.
pub const fn of_word(word: Word) -> &'static str {
    match word {
        Word::OpenId => "know who you are",
        Word::Profile => "see your name and user name",
        Word::Email => "see your e-mail address",
        Word::OfflineAccess => "stay connected when you are away, for up to 90 days",
    }
}

/// A permission, and where it holds, as HTML: the name that programs use for it stands beside.
pub fn of_grant(grant: Grant) -> String {
    let (meaning, place) = (of_permission(grant.permission()), grant.class().map_or("", of_class));
    format!("{meaning}{place} <code>{grant}</code>")
}

const fn of_class(class: EnvClass) -> &'static str {
    match class {
        EnvClass::Dev => ", in development environments only",
        EnvClass::Staging => ", in staging environments only",
        EnvClass::Prod => ", in production environments only",
    }
}

const fn of_permission(permission: Permission) -> &'static str {
    match permission {
        Permission::OrgRead => "see the organisation",
        Permission::OrgUpdate => "change the organisation",
        Permission::OrgDelete => "delete the organisation",
        Permission::MembersRead => "see the members",
        Permission::MembersInvite => "invite members",
        Permission::MembersRemove => "remove members",
        Permission::MembersSetRole => "change the roles of members",
        Permission::RolesManage => "make, change and delete roles",
        Permission::ProjectsRead => "see projects",
        Permission::ProjectsCreate => "make projects",
        Permission::ProjectsUpdate => "change projects",
        Permission::ProjectsArchive => "archive projects",
        Permission::ProjectsDelete => "delete projects",
        Permission::EnvsRead => "see environments",
        Permission::EnvsManage => "make, change and delete environments",
        Permission::SecretsList => "see the names of secrets, without their values",
        Permission::SecretsRead => "read secrets",
        Permission::SecretsWrite => "write secrets",
        Permission::SecretsDelete => "delete secrets",
        Permission::SecretsBulkDelete => "delete many secrets at once",
        Permission::TemplatesRead => "see which secrets are required",
        Permission::TemplatesManage => "change which secrets are required",
        Permission::KeysRotate => "change the keys that encrypt secrets",
        Permission::KeysVerify => "check that every secret can be decrypted",
        Permission::WebhooksRead => "see webhooks and their deliveries",
        Permission::WebhooksManage => "make, change and delete webhooks",
        Permission::AclManage => "make, change and delete access rules",
        Permission::ServiceAccountsManage => "manage service accounts and their keys",
        Permission::AccessRead => "see who may do what",
        Permission::AuditRead => "read the audit journal",
        Permission::EventsRead => "follow what happens in the organisation",
        Permission::BillingRead => "see the plan and the bills",
        Permission::BillingManage => "change the plan and how it is paid",
        Permission::SsoManage => "set up single sign-on",
        Permission::TokensManage => "make personal tokens for the organisation",
        Permission::UsersRead => "see the users of the organisation's own application",
        Permission::UsersManage => "manage the users of the organisation's own application",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_permissions_mean_the_same_to_whoever_reads() {
        let all: BTreeSet<_> = Permission::ALL.iter().copied().map(of_permission).collect();
        assert_eq!(all.len(), Permission::ALL.len());
    }

    #[test]
    fn a_grant_says_what_it_opens_and_where() {
        let grant = |text: &str| of_grant(text.parse().unwrap());
        assert_eq!(grant("audit:read"), "read the audit journal <code>audit:read</code>");
        assert_eq!(
            grant("secrets:read@dev"),
            "read secrets, in development environments only <code>secrets:read@dev</code>"
        );
    }
}
