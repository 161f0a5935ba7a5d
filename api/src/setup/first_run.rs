//! What the first run changes of this very process: settings for its next start, and that start.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::crypto::key_store::KeyStore;
use domain::crypto::keyring::RootKeyring;
use domain::kernel::config::{Applied, Config, ConfigErrors, Described, Setting};
use domain::kernel::problem::FieldProblem;
use domain::kernel::{Db, Error, Problem, Result, Secret};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The answer to the request for a restart goes out first.
const BEFORE_THE_END: Duration = Duration::from_millis(100);

/// The configuration in force, and what it takes to end the process so that whoever supervises it starts it anew.
pub struct FirstRun {
    config: Config,
    settings: Vec<Described>,
    shutdown: CancellationToken,
    is_pending: AtomicBool,
    /// One applies at a time.
    applying: Mutex<()>,
}

/// What was applied.
pub struct Outcome {
    /// Whether a root key was made, because the new database needs one and none was given.
    pub has_made_root_key: bool,
}

impl FirstRun {
    pub fn new(mut config: Config, shutdown: CancellationToken) -> Self {
        let settings = config.describe();
        // It has served, if it was there.
        config.admin_password = None;
        Self {
            config,
            settings,
            shutdown,
            is_pending: AtomicBool::new(false),
            applying: Mutex::new(()),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Every setting with where it comes from, secrets hidden.
    pub fn settings(&self) -> &[Described] {
        &self.settings
    }

    /// Whether something was applied that only the next start takes up.
    pub fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Acquire)
    }

    /// Ends the process as SIGTERM does, once this request is answered.
    pub fn restart(&self) {
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::time::sleep(BEFORE_THE_END).await;
            shutdown.cancel();
        });
    }

    /// Writes settings for the next start, once it is known that it would succeed with them. A new database gets a root
    /// key of its own, unless there is one already.
    ///
    /// # Errors
    /// `invalid_field` naming each setting that is wrong, that something else sets, or that does not go with the others.
    pub async fn apply(&self, db: &Db, mut applied: Applied) -> Result<Outcome> {
        let _one = self.applying.lock().await;
        let next = self.config.with_applied(&applied).map_err(refused)?;
        let needs_key = applied.database_url.is_some() && next.root_key.is_none();
        if needs_key {
            applied.root_key = Some(RootKeyring::generate(db.rng())?);
        }
        let root_key = applied.root_key.clone().or_else(|| next.root_key.clone());
        if let Some(root_key) = root_key {
            check(db, &applied, &root_key).await?;
        }
        if applied.base_url.is_some() || applied.database_url.is_some() || applied.root_key.is_some() {
            write(&self.config.setup_file(), &applied)?;
            self.is_pending.store(true, Ordering::Release);
            tracing::info!("settings for the next start were written");
        }
        Ok(Outcome {
            has_made_root_key: needs_key,
        })
    }
}

/// The mistakes of a configuration as fields of the request.
fn refused(errors: ConfigErrors) -> Error {
    let field_of = |variable: &str| {
        let known = Setting::ALL.iter().find(|setting| setting.variable() == variable);
        known.map_or_else(|| variable.to_owned(), |setting| setting.toml_key())
    };
    let fields = errors.0.into_iter().map(|error| FieldProblem {
        field: field_of(&error.variable).into(),
        reason: "conflict".into(),
        message: error.message.into(),
    });
    Problem::fields(fields.collect()).into()
}

/// Asks the database of the next start, whether it answers and whether the root key is the one that it was written with.
async fn check(db: &Db, applied: &Applied, root_key: &Secret<String>) -> Result<()> {
    let roots =
        RootKeyring::parse(root_key).map_err(|error| Problem::field("root_key", "format", error.to_string()))?;
    let stranger = |_| {
        let message = "is not the one that the database was written with; put a new key before it: new:…,old:…";
        Error::from(Problem::field("root_key", "conflict", message))
    };
    let Some(url) = &applied.database_url else {
        return KeyStore::check_roots(db, &roots).await.map_err(stranger);
    };
    let unreachable = |_| {
        let message = "cannot be reached, or does not let us in";
        Error::from(Problem::field("database_url", "conflict", message))
    };
    let next = Db::connect(url.expose(), db.clock().clone(), db.rng().clone())
        .await
        .map_err(unreachable)?;
    let fits = KeyStore::check_roots(&next, &roots).await.map_err(stranger);
    next.close().await;
    fits
}

/// Puts the settings into the file of the first run: all of them or none, for its owner's eyes.
fn write(path: &Path, applied: &Applied) -> Result<()> {
    let existing = match std::fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Secret::new(String::new()),
        Err(error) => return Err(unwritable(&error)),
    };
    let text = applied.written_into(existing.expose())?;
    let fresh = path.with_extension("new");
    replace(path, &fresh, text.expose()).map_err(|error| unwritable(&error))
}

fn replace(path: &Path, fresh: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}

fn unwritable(error: &io::Error) -> Error {
    Error::internal(format!(
        "the settings of the first run cannot be stored: {}",
        error.kind()
    ))
}
