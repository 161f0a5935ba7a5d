//! Real PostgreSQL and Redis servers for tests: each on a free port, in a folder of its own, gone when dropped.
//!
//! Their calls block; from async code use `spawn_blocking`, or a runtime with threads to spare.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test run")]

mod follower;
mod process;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use self::process::{find_program, free_port, is_program, lock, retry, stop, tail, wait_until_ready};

pub use self::process::{bound_to_us, send_signal, spawn_for_life};

/// Ports tried before giving up: another process can take a free port before the server does.
const PORT_TRIES: usize = 10;
/// Connections that PostgreSQL accepts: many tests run at once, each with pools of its own.
const MAX_CONNECTIONS: u32 = 400;

/// Whether PostgreSQL waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production.
    Fsync,
    /// Survives a killed server but not a power cut; several times faster.
    Fast,
}

/// A PostgreSQL server of one's own.
pub struct Postgres {
    programs: PathBuf,
    owner: Option<Owner>,
    durability: Durability,
    port: u16,
    process: Mutex<Option<Child>>,
    // Dropped last: the server writes to it until it has stopped.
    dir: TempDir,
}

impl Postgres {
    /// Makes a database cluster and starts its server, with fsync on.
    pub fn start() -> Self {
        Self::start_with(Durability::Fsync)
    }

    /// Like [`Postgres::start`], without waiting for the disk: for tests that do not cut the power.
    pub fn start_fast() -> Self {
        Self::start_with(Durability::Fast)
    }

    /// Makes a database cluster and starts its server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start_with(durability: Durability) -> Self {
        let mut server = Self::unmade(durability);
        server.init();
        server.start_on_a_free_port();
        server
    }

    /// A server with a folder and nothing in it.
    fn unmade(durability: Durability) -> Self {
        let programs = postgres_programs().expect("PostgreSQL is not installed: initdb was not found");
        let dir = tempfile::Builder::new()
            .prefix("strongroom-pg-")
            .tempdir()
            .expect("make a temporary folder");
        // PostgreSQL refuses to run as root, and to use a folder that is not its own.
        let owner = Owner::for_folder(dir.path());
        if let Some(owner) = owner {
            owner.give(dir.path());
        }
        Self {
            programs,
            owner,
            durability,
            port: 0,
            process: Mutex::new(None),
            dir,
        }
    }

    fn start_on_a_free_port(&mut self) {
        let started = (0..PORT_TRIES).any(|_| {
            self.port = free_port();
            self.try_start().is_ok()
        });
        assert!(started, "PostgreSQL does not start: {}", self.log_tail());
    }

    fn init(&self) {
        let mut command = self.command("initdb");
        command.args([
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-U",
            "postgres",
            "--locale=C",
            "--no-sync",
            "-D",
        ]);
        let output = command.arg(self.data()).output().expect("run initdb");
        assert!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn log_tail(&self) -> String {
        tail(&self.log_file())
    }

    /// One of PostgreSQL's programs, as the user that owns the folder.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.as_owner(&mut command);
        command
    }

    fn as_owner(&self, command: &mut Command) {
        // The user may not read the folder we are in, and variables such as PGDATA would override arguments.
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
    }

    fn try_start(&self) -> io::Result<()> {
        let mut command = bound_to_us(&self.programs.join("postgres"), "QUIT");
        self.as_owner(&mut command);
        command.arg("-D").arg(self.data()).arg("-k").arg(self.dir.path());
        let switch = match self.durability {
            Durability::Fsync => "on",
            Durability::Fast => "off",
        };
        for option in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("max_connections={MAX_CONNECTIONS}"),
            format!("fsync={switch}"),
            format!("full_page_writes={switch}"),
        ] {
            command.arg("-c").arg(option);
        }
        let log = File::options().create(true).append(true).open(self.log_file())?;
        command.stdout(log.try_clone()?).stderr(log);
        let child = spawn_for_life(command)?;
        let pid = child.id();
        *lock(&self.process) = Some(child);
        wait_until_ready(&self.process, || self.is_ready(pid))
    }

    /// Reads what the server itself says in its pid file: line 1 is its pid, line 8 its state.
    fn is_ready(&self, pid: u32) -> bool {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let line = |number: usize| text.lines().nth(number - 1).unwrap_or_default().trim();
        line(1) == pid.to_string() && line(8) == "ready"
    }

    /// URL of a database as the superuser. `postgres` is the database that always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops at once, without a checkpoint, cutting every connection (immediate mode).
    pub fn stop(&self) {
        stop(&self.process, "QUIT");
    }

    /// Kills the server as the kernel would (SIGKILL).
    pub fn kill(&self) {
        stop(&self.process, "KILL");
    }

    /// Starts again on the same port after [`Postgres::stop`] or [`Postgres::kill`].
    pub fn start_again(&self) {
        // Processes of a killed server hold its shared memory for a moment, and a connection may hold the port.
        retry(|| self.try_start(), || self.log_tail());
    }

    /// Stops and starts on the same port.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A Redis server of one's own, with nothing kept on disk.
pub struct Redis {
    port: u16,
    process: Mutex<Option<Child>>,
    dir: TempDir,
}

impl Redis {
    /// Starts an empty server.
    ///
    /// # Panics
    /// When Redis is not installed or does not start.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("strongroom-redis-")
            .tempdir()
            .expect("make a temporary folder");
        let mut server = Self {
            port: 0,
            process: Mutex::new(None),
            dir,
        };
        let started = (0..PORT_TRIES).any(|_| {
            server.port = free_port();
            server.try_start().is_ok()
        });
        assert!(started, "Redis does not start: {}", tail(&server.log_file()));
        server
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn try_start(&self) -> io::Result<()> {
        let program = find_program("redis-server").expect("Redis is not installed: redis-server was not found");
        let mut command = bound_to_us(&program, "KILL");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.dir.path());
        let log = File::options().create(true).append(true).open(self.log_file())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn_for_life(command)?;
        let pid = child.id();
        *lock(&self.process) = Some(child);
        wait_until_ready(&self.process, || self.is_ready(pid))
    }

    /// Asks for the pid, because another server may have taken the port first.
    fn is_ready(&self, pid: u32) -> bool {
        let info = self.query(redis::cmd("INFO").arg("server")).unwrap_or_default();
        info.lines().any(|line| line == format!("process_id:{pid}"))
    }

    fn query(&self, command: &redis::Cmd) -> redis::RedisResult<String> {
        let client = redis::Client::open(self.url())?;
        command.query(&mut client.get_connection()?)
    }

    /// URL of database 0.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forgets everything, streams and groups included.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub fn flush_all(&self) {
        self.query(&redis::cmd("FLUSHALL")).expect("FLUSHALL");
    }

    /// Kills the server; everything it knew is lost.
    pub fn stop(&self) {
        stop(&self.process, "KILL");
    }

    /// Freezes the server: it takes connections and answers nobody, as when the network drops everything.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Redis::freeze`].
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = lock(&self.process).as_ref() {
            send_signal(&child.id().to_string(), signal);
        }
    }

    /// Starts empty on the same port after [`Redis::stop`].
    pub fn start_again(&self) {
        retry(|| self.try_start(), || tail(&self.log_file()));
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A user that a server runs as instead of root.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// `None` when the folder, and so this process, is not root's.
    pub(crate) fn for_folder(dir: &Path) -> Option<Self> {
        let uid = fs::metadata(dir).expect("look at the temporary folder").uid();
        if uid != 0 {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Self::named(name, &users));
        Some(user.expect("PostgreSQL does not run as root: the user postgres or nobody must exist"))
    }

    /// Makes it the owner of a file or folder.
    pub(crate) fn give(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).expect("give a file to the server's user");
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let fields: Vec<_> = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).collect();
        let user = fields.iter().find(|user| user.first() == Some(&name))?;
        Some(Self {
            uid: user.get(2)?.parse().ok()?,
            gid: user.get(3)?.parse().ok()?,
        })
    }
}

/// The folder with PostgreSQL's programs: that of `initdb` in PATH, else the newest that Debian or Homebrew installed.
fn postgres_programs() -> Option<PathBuf> {
    if let Some(initdb) = find_program("initdb") {
        // PATH may hold a link to one program without its siblings.
        return fs::canonicalize(initdb).ok()?.parent().map(Path::to_owned);
    }
    let roots = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let versions = roots
        .iter()
        .filter_map(|root| fs::read_dir(root).ok())
        .flatten()
        .flatten();
    let newest = versions
        .map(|version| version.path())
        .filter(|path| is_program(&path.join("bin/initdb")))
        .max_by_key(|path| version_of(path));
    newest.map(|path| path.join("bin"))
}

/// The number at the end of `…/15` or `…/postgresql@15`.
fn version_of(path: &Path) -> u32 {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.rsplit('@')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
