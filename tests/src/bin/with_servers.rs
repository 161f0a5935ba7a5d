//! Runs a command with PostgreSQL and Redis at its side: `with_servers [--durable] COMMAND [ARGUMENT…]`.
//!
//! The command finds them in `STRONGROOM_TEST_POSTGRES_URL` (superuser, maintenance database) and
//! `STRONGROOM_TEST_REDIS_URL`. Both servers, and whatever the command left running, are gone when this ends; its exit
//! code is the command's. After a SIGKILL the kernel still ends the servers and the command, but not what the command
//! started. `--durable` turns PostgreSQL's fsync on.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test run")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use harness::servers::{Durability, Postgres, Redis, bound_to_us, send_signal};
use tokio::signal::unix::{SignalKind, signal};

/// How long the command may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);
/// Exit code for wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let durability = match arguments.first() {
        Some(first) if first == "--durable" => {
            arguments.remove(0);
            Durability::Fsync
        }
        Some(_) | None => Durability::Fast,
    };
    let Some((program, arguments)) = arguments.split_first() else {
        eprintln!("usage: with_servers [--durable] COMMAND [ARGUMENT…]");
        return ExitCode::from(USAGE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("start the runtime");
    // Taken before the servers start, so that an early signal still stops them.
    let signals = runtime.block_on(async { Signals::new() });
    let postgres = Postgres::start_with(durability);
    let redis = Redis::start();
    let mut command = bound_to_us(Path::new(program), "TERM");
    command
        .args(arguments)
        .env("STRONGROOM_TEST_POSTGRES_URL", postgres.url("postgres"))
        .env("STRONGROOM_TEST_REDIS_URL", redis.url())
        // A group of its own, so that grandchildren can be ended too; such a group may not read the terminal.
        .process_group(0)
        .stdin(Stdio::null());
    let status = runtime.block_on(run(command, signals));
    drop((postgres, redis));
    ExitCode::from(code_of(status))
}

/// The signals that ask this process to end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Self {
        let listen = |kind| signal(kind).expect("listen for a signal");
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            hang_up: listen(SignalKind::hangup()),
        }
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "INT",
            _ = self.terminate.recv() => "TERM",
            _ = self.hang_up.recv() => "HUP",
        }
    }
}

/// Runs the command to its end, or passes on the signal that ends it early.
async fn run(command: Command, mut signals: Signals) -> ExitStatus {
    let mut child = match tokio::process::Command::from(command).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("with_servers: cannot run the command: {error}");
            return ExitStatus::from_raw(127 << 8);
        }
    };
    let group = child.id().map(|pid| format!("-{pid}")).unwrap_or_default();
    let status = tokio::select! {
        status = child.wait() => status,
        name = signals.next() => {
            send_signal(&group, name);
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                send_signal(&group, "KILL");
            }
            child.wait().await
        }
    };
    // Ends what the command left running.
    send_signal(&group, "KILL");
    status.expect("wait for the command")
}

/// The command's exit code, or 128 and the signal that ended it, as shells have it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}
