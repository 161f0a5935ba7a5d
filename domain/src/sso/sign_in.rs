//! Letting somebody in by a provider's word.

use super::identity::{self, Verdict};
use super::person::Person;
use super::provider::{self, Place, Provider};
use super::session;
use crate::access::Origin;
use crate::auth::amr::Method;
use crate::auth::register::{self, NewAccount};
use crate::auth::session::{self as sessions, Begun, Transport};
use crate::auth::{Account, account, verification};
use crate::crypto::key_store::KeyStore;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::UserId;
use crate::kernel::text::Email;
use crate::kernel::{Result, WriteTx};
use crate::members::coming;

/// Signs a person in: to the account that the identity belongs to, or to one that it is joined with, or to a new one. An
/// organisation's provider also lets people into its organisation, where its join policy would.
///
/// # Errors
/// `forbidden` and `email_unverified` when they are not let in, or the provider was set up differently meanwhile;
/// `invalid_credentials` when the account is switched off.
pub async fn sign_in(
    tx: &WriteTx,
    keys: &KeyStore,
    provider: &Provider,
    person: &Person,
    origin: &Origin,
) -> Result<(Account, Begun)> {
    provider::require_unchanged(tx, provider).await?;
    let account = match identity::verdict(tx, provider, person).await? {
        Verdict::Refused(problem) => return Err(problem.into()),
        Verdict::Known(user) => {
            identity::touch(tx, provider.place, person).await?;
            account::get(tx, user).await?
        }
        Verdict::Joins(user) => join(tx, provider, person, user, origin).await?,
        Verdict::Makes(email) => make(tx, keys, provider, person, email, origin).await?,
    };
    let macs = keys.token_mac();
    let begun = sessions::begin(tx, macs, &account, Transport::Cookie, Method::Sso, origin).await?;
    if let Begun::Session(tokens) = &begun {
        session::note(tx, macs, &tokens.access, provider.place).await?;
    }
    if let (Place::Org(org), Some(domain)) = (provider.place, person.verified_domain()) {
        let origin = origin.clone().by_user(account.id, &account.email);
        coming::join_by_provider(tx, org, account.id, domain, &origin).await?;
    }
    Ok((account, begun))
}

/// Joins the identity with an account that is there. Both sides have the address verified, and the account would be
/// opened by a mail to it too.
async fn join(tx: &WriteTx, provider: &Provider, person: &Person, user: UserId, origin: &Origin) -> Result<Account> {
    // A password that is set at the same moment is waited for, and looked at again.
    account::lock(tx, user).await?;
    let account = account::get(tx, user).await?;
    if account.has_password() {
        return Err(super::refusal::lost().into());
    }
    let id = identity::insert(tx, provider.place, person, user).await?;
    let entry = Entry::of_account(user, Action::UserIdentityLinked, Target::SsoIdentity(id))
        .with("provider", provider.place.name())
        .with("issuer", person.issuer.clone());
    journal::record(tx, &origin.clone().by_user(user, &account.email), entry).await?;
    Ok(account)
}

/// Makes an account. What an organisation's provider says of the address is not taken as proof of it.
async fn make(
    tx: &WriteTx,
    keys: &KeyStore,
    provider: &Provider,
    person: &Person,
    email: Email,
    origin: &Origin,
) -> Result<Account> {
    let (canonical, verified) = (email.canonical.clone(), provider.vouches_for_mail());
    let new = NewAccount {
        email,
        verified,
        first_name: person.first_name.clone(),
        last_name: person.last_name.clone(),
        password_hash: None,
    };
    let (account, address, org) = register::create_account(tx, keys, new).await?;
    if !verified {
        verification::send(tx, keys.token_mac(), account.id, address, &canonical).await?;
    }
    identity::insert(tx, provider.place, person, account.id).await?;
    let entry = Entry::of_account(account.id, Action::UserRegistered, Target::User(account.id))
        .with("org_id", org.id.to_string())
        .with("provider", provider.place.name());
    journal::record(tx, &origin.clone().by_user(account.id, &account.email), entry).await?;
    Ok(account)
}
