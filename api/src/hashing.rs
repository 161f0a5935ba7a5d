//! What hashing a password costs on this instance, and what it cost before.

use domain::auth::password;
use domain::crypto::key_store::KeyStore;
use domain::crypto::password::{Passwords, default_permits};
use domain::kernel::Db;
use domain::kernel::config::{Config, PasswordCosts};

/// Passwords at the costs of the configuration, or at others.
pub fn passwords(config: &Config, instead: Option<PasswordCosts>, keys: &KeyStore) -> Passwords {
    let costs = instead.unwrap_or(config.password_hash);
    Passwords::new(costs, keys.password_key(), default_permits())
}

/// Looks with what costs passwords are stored. There may be very many of them, so nothing waits for it.
pub async fn look_for_former_costs(db: Db, passwords: Passwords) {
    match password::look_for_former_costs(&db, &passwords).await {
        Ok(true) => tracing::info!(
            "there are passwords of other costs than STRONGROOM_PASSWORD_HASH says; until their people have signed in, a \
             failed sign-in takes as long as a hash of each"
        ),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "could not look with what costs passwords are stored"),
    }
}
