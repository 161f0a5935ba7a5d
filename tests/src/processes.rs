//! Real processes for tests that kill, pause or starve them: the built binaries in a folder of their own.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

mod tenant;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::kernel::{Clock, Db, Rng};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::servers::{bound_to_us, send_signal, spawn_for_life};

pub use self::tenant::{Tenant, number, sql};

/// How long a process may take to be ready or to end. Longer than what a product's own drain takes.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until something holds, for as long as given.
///
/// # Panics
/// When it does not in time.
pub async fn within<F: Future<Output = bool>>(time: Duration, what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + time;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {time:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a test that starts and ends many processes, for at most ten minutes. On an idle machine it takes one.
///
/// # Panics
/// When the test does, or takes too long.
pub fn run<F: Future<Output = ()>>(test: F) {
    run_for(Duration::from_mins(10), test);
}

/// The same for a test that can be told to do more.
///
/// # Panics
/// When the test does, or takes too long.
pub fn run_for<F: Future<Output = ()>>(limit: Duration, test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let ended = tokio::time::timeout(limit, test).await;
        assert!(ended.is_ok(), "the test does not end within {limit:?}");
    });
    runtime.shutdown_background();
}

/// A binary of the workspace: beside the test's own, or in the folder that `STRONGROOM_TEST_PROGRAMS` names, when they
/// are to be those that were compiled with optimisation.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let folder = match std::env::var_os("STRONGROOM_TEST_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => own.ancestors().nth(2).expect("the folder of the build").to_owned(),
    };
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{name} is not built: run `cargo build --workspace` first"
    );
    path
}

/// A running process. It is killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    fn start(program: &Path, arguments: &[&str], settings: &[(String, String)], dir: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or("process");
        let log = |kind| dir.join(format!("{name}.{}.{kind}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let (stdout, stderr) = (log("out"), log("err"));
        let mut command: Command = bound_to_us(program, "KILL");
        command
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file for the output"))
            .stderr(File::create(&stderr).expect("a file for the log"));
        let child = Mutex::new(spawn_for_life(command).expect("start a process"));
        Self { child, stdout, stderr }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `KILL`, `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        send_signal(&self.child().id().to_string(), signal);
    }

    /// Ends it as the kernel would, and waits until it is gone.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The most memory that it has had, in KiB. Linux only.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child().id());
        let status = fs::read_to_string(status).expect("the state of a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.trim().parse().ok()).expect("a size")
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on for too long.
    pub async fn wait(&self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks it to end and returns its exit code.
    ///
    /// # Panics
    /// When a signal ended it.
    pub async fn terminate(&self) -> i32 {
        self.signal("TERM");
        let status = self.wait().await;
        status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}: {}", status.signal(), self.log()))
    }

    /// What it wrote to standard output.
    pub fn output(&self) -> String {
        read(&self.stdout)
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        read(&self.stderr)
    }

    async fn until_it_says(&self, text: &str) -> Result<(), ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while !self.output().contains(text) && !self.log().contains(text) {
            if let Some(status) = self.ended() {
                return Err(status);
            }
            assert!(Instant::now() < deadline, "it does not get ready: {}", self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A running `strongroom-api`.
pub struct Api {
    pub process: Process,
    /// Its origin: `http://127.0.0.1:41234`.
    pub url: String,
    /// The one-time token of its start, while there is no administrator.
    pub setup_token: Option<String>,
    /// Where Prometheus asks for metrics, if it may.
    pub metrics: Option<String>,
}

impl Api {
    fn of(process: Process) -> Self {
        let banner = process.output();
        let line = |name: &str| {
            let rest = banner.lines().find_map(|line| line.trim().strip_prefix(name))?;
            Some(rest.trim().to_owned())
        };
        let url = line("API ").expect("the banner tells the address");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            setup_token: line("Setup "),
            metrics: line("Metrics "),
            process,
        }
    }
}

/// The settings and the folder that the processes of one installation share.
#[derive(Clone)]
pub struct Installation {
    dir: Arc<TempDir>,
    settings: Vec<(String, String)>,
    database_url: String,
}

impl Installation {
    fn new(settings: &[(&str, &str)], database_url: Option<&str>) -> Self {
        let dir = Arc::new(TempDir::new().expect("make a temporary folder"));
        let file = dir.path().join("data/strongroom.db");
        let own = Self {
            database_url: database_url.map_or_else(|| Db::sqlite_url(&file), str::to_owned),
            dir,
            settings: Vec::new(),
        };
        // Receivers of tests listen on loopback.
        let always = [
            ("STRONGROOM_LISTEN", "127.0.0.1:0"),
            ("STRONGROOM_EGRESS_ALLOW", "127.0.0.0/8"),
            // Every test comes from one address.
            ("STRONGROOM_RATE_LIMIT_SCALE", "0"),
            ("STRONGROOM_DRAIN_DELAY", "0"),
        ];
        always
            .iter()
            .chain(settings)
            .fold(own, |own, (name, value)| own.with(name, value))
    }

    /// Nothing set but what loopback needs: SQLite, and the worker inside the API.
    pub fn embedded() -> Self {
        Self::new(&[], None)
    }

    /// The same with its data in a folder of somebody else's.
    pub fn embedded_in(data: &Path) -> Self {
        let (url, folder) = (Db::sqlite_url(&data.join("strongroom.db")), data.to_string_lossy());
        Self::new(&[("STRONGROOM_DATA_DIR", &*folder)], Some(&url))
    }

    /// PostgreSQL and Redis; the workers are processes of their own.
    pub fn scaled(database_url: &str, redis_url: &str) -> Self {
        let key = crate::app::fresh_root_key();
        let settings = [
            ("STRONGROOM_DATABASE_URL", database_url),
            ("STRONGROOM_REDIS_URL", redis_url),
            ("STRONGROOM_ROOT_KEY", &key),
        ];
        Self::new(&settings, Some(database_url))
    }

    /// PostgreSQL and no Redis: workers of their own look once a second.
    pub fn without_redis(database_url: &str) -> Self {
        let key = crate::app::fresh_root_key();
        let settings = [
            ("STRONGROOM_DATABASE_URL", database_url),
            ("STRONGROOM_WORKER", "external"),
            ("STRONGROOM_ROOT_KEY", &key),
        ];
        Self::new(&settings, Some(database_url))
    }

    /// One more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a setting is set to; empty if it is not.
    pub fn setting(&self, name: &str) -> String {
        let set = self.settings.iter().rev().find(|(known, _)| known == name);
        set.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The folder that the processes run in; data, mail and what they print are in it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts an API and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub async fn api(&self) -> Api {
        match self.try_api().await {
            Ok(api) => api,
            Err(process) => panic!("strongroom-api does not start: {}", process.log()),
        }
    }

    /// Starts an API; the ended process when it does not serve.
    ///
    /// # Errors
    /// It ended by itself.
    pub async fn try_api(&self) -> Result<Api, Process> {
        let process = self.run("strongroom-api", &[]);
        match process.until_it_says("is ready.").await {
            // The banner is written in one go but read in any.
            Ok(()) => {
                let _ = process.until_it_says("Documents").await;
                tokio::time::sleep(LOOK_EVERY).await;
                Ok(Api::of(process))
            }
            Err(_) => Err(process),
        }
    }

    /// Starts a worker and waits until it runs.
    ///
    /// # Panics
    /// When it does not.
    pub async fn worker(&self) -> Process {
        let process = self.run("strongroom-worker", &[]);
        let runs = process.until_it_says("the worker runs").await.is_ok();
        assert!(runs, "strongroom-worker does not start: {}", process.log());
        process
    }

    /// Starts a program of ours and returns at once.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Process {
        Process::start(&program(name), arguments, &self.settings, self.dir())
    }

    /// The database, for looking behind the curtain.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn db(&self) -> Db {
        let db = Db::connect(&self.database_url, Clock::system(), Rng::system()).await;
        db.expect("open the database")
    }
}
