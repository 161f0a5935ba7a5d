//! Restoring a backup by hand: into an empty database, with no service running on it. And what there is to restore.

use std::fmt;
use std::path::Path;

use domain::backups::{self, Checked, Fault, Header, Plan, Stored, Tokens};
use domain::crypto::key_store::KeyStore;
use domain::kernel::config::Config;
use domain::kernel::id::BackupId;
use domain::kernel::{Clock, Db, Error, Rng, Secret, Timestamp};

use crate::serve::{self, StartError};

/// Why nothing was restored, or not everything is in order.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("set STRONGROOM_BACKUP_KEY, or its file, to the key that the backup was made under")]
    NoBackupKey,
    #[error("--to must be sqlite://path or postgres://user:password@host:5432/database")]
    BadTarget,
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("it is restored, and not in order: {0}")]
    NotInOrder(Fault),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Domain(#[from] Error),
}

/// What there is to restore, for whoever asks.
#[derive(Clone, Debug)]
pub struct Shown {
    place: String,
    stored: Vec<Stored>,
}

/// Looks at every backup that is kept, also at those that the database does not know. It takes no key and no database.
///
/// # Errors
/// See [`RestoreError`].
pub async fn stored(config: &Config) -> Result<Shown, RestoreError> {
    let plan = Plan::without_roots(config)?;
    let stored = plan.stored().await?;
    Ok(Shown {
        place: plan.place(),
        stored,
    })
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, stored } = self;
        writeln!(f, "{} backups in {place}", stored.len())?;
        for Stored { id, size } in stored {
            match made_at(*id) {
                Some(at) => writeln!(f, "{id}  {at}  {size} bytes")?,
                None => writeln!(f, "{id}  {size} bytes")?,
            }
        }
        Ok(())
    }
}

/// When a backup was asked for: its id tells.
fn made_at(id: BackupId) -> Option<Timestamp> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros + i64::from(nanos / 1000)))
}

/// What was restored, for whoever did it.
#[derive(Clone, Debug)]
pub struct Told {
    header: Header,
    /// `None` without a root key.
    checked: Option<Checked>,
    tokens: Tokens,
}

/// Restores a backup, a file, `s3://bucket/key` or an id, and looks whether everything is in order if a root key is
/// configured.
///
/// # Errors
/// See [`RestoreError`].
pub async fn restore(config: &Config, from: &Path, to: Option<&str>, end_tokens: bool) -> Result<Told, RestoreError> {
    let plan = Plan::without_roots(config)?;
    let keys = plan.existing_keyring()?.ok_or(RestoreError::NoBackupKey)?;
    let tokens = if end_tokens { Tokens::End } else { Tokens::Keep };
    let url = target(config, to)?;
    let db = backups::open_target(url.expose(), Clock::system(), Rng::system()).await?;
    let restored = backups::restore_from(&plan, from, keys, &db, tokens).await;
    let outcome = match restored {
        Ok(restored) => look(config, &db, &restored.header)
            .await
            .map(|checked| (restored.header, checked)),
        Err(fault) => Err(fault.into()),
    };
    db.close().await;
    let (header, checked) = outcome?;
    Ok(Told {
        header,
        checked,
        tokens,
    })
}

fn target(config: &Config, to: Option<&str>) -> Result<Secret<String>, RestoreError> {
    let Some(url) = to else {
        return Ok(config.database.url());
    };
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(Secret::new(url.to_owned()));
    }
    Err(RestoreError::BadTarget)
}

/// Opens values and verifies the journal, with the root key that the service will have.
async fn look(config: &Config, db: &Db, header: &Header) -> Result<Option<Checked>, RestoreError> {
    let Some(roots) = serve::existing_root_keys(config)? else {
        return Ok(None);
    };
    let keys = KeyStore::open(db, roots).await?;
    let checked = backups::check(db, header, &keys).await;
    checked.map(Some).map_err(RestoreError::NotInOrder)
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            header,
            checked,
            tokens,
        } = self;
        writeln!(
            f,
            "Restored {} of {}: {} rows.",
            header.id,
            header.created_at,
            header.rows()
        )?;
        match checked {
            Some(checked) => writeln!(
                f,
                "In order: a value of each of {} projects opens, and {} events of {} ledgers are as they were written.",
                checked.values, checked.events, checked.ledgers
            )?,
            None => writeln!(
                f,
                "No root key is set, so no value was opened: set STRONGROOM_ROOT_KEY before the start."
            )?,
        }
        writeln!(
            f,
            "Every session has ended, and codes and links that were mailed before are void."
        )?;
        match tokens {
            Tokens::Keep => writeln!(
                f,
                "Tokens and service-account keys work as they did then, those too that were revoked since: revoke them \
                 again, or restore with --end-tokens."
            ),
            Tokens::End => writeln!(f, "Every token and every service-account key is revoked."),
        }
    }
}
