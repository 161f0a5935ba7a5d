//! Starting, watching and ending the processes of servers.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test run")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a server that is starting or stopping.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| is_program(file))
}

pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("find a free port");
    listener.local_addr().expect("the port of a listener").port()
}

/// A command that the kernel ends with `signal` when this process dies in a way that runs no destructor. Linux only;
/// elsewhere only destructors stop it.
pub fn bound_to_us(program: &Path, signal: &str) -> Command {
    match find_program("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", signal, "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Starts a command from a thread that lives as long as the process: the kernel watches the thread that started a
/// child, and a test's own thread ends with the test.
pub fn spawn_for_life(command: Command) -> io::Result<Child> {
    type Request = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let (answer, outcome) = channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    outcome.recv().map_err(io::Error::other)?
}

pub(super) fn lock(process: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the server to be ready; fails when it ends instead.
pub(super) fn wait_until_ready(process: &Mutex<Option<Child>>, is_ready: impl Fn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let ended = lock(process).as_mut().map(Child::try_wait).transpose()?.flatten();
        if let Some(status) = ended {
            *lock(process) = None;
            return Err(io::Error::other(format!("the server ended: {status}")));
        }
        if is_ready() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    stop(process, "KILL");
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// Signals the server and waits for its end; kills it when it takes too long.
pub(super) fn stop(process: &Mutex<Option<Child>>, signal: &str) {
    let Some(mut child) = lock(process).take() else { return };
    send_signal(&child.id().to_string(), signal);
    if wait_for_end(&mut child, PATIENCE).is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Sends a signal to a process, or to a process group written as `-pid`. The shell's own `kill` is always there.
pub fn send_signal(target: &str, signal: &str) {
    let script = r#"kill -s "$1" -- "$2""#;
    let _ = Command::new("sh")
        .args(["-c", script, "kill", signal, target])
        .stderr(Stdio::null())
        .status();
}

fn wait_for_end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::sleep(LOOK_EVERY),
            Err(_) => return None,
        }
    }
    None
}

pub(super) fn retry(start: impl Fn() -> io::Result<()>, log: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while start().is_err() {
        assert!(Instant::now() < deadline, "the server does not start again: {}", log());
        std::thread::sleep(LOOK_EVERY * 5);
    }
}

/// The last lines of a log, for a failure's message.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(20);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}
