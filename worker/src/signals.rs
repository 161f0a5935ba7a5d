//! Stopping a process by signal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was told twice to stop: 128 and the number of SIGINT.
const TOLD_TWICE: i32 = 130;

/// How a process is told to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled when it is to end.
    pub begun: CancellationToken,
    /// Cancelled when nobody need be given notice: it was told from a terminal.
    pub hurried: CancellationToken,
}

impl From<CancellationToken> for Shutdown {
    fn from(begun: CancellationToken) -> Self {
        Self {
            begun,
            hurried: CancellationToken::new(),
        }
    }
}

/// A shutdown that SIGTERM or SIGINT begins. A second signal ends the process at once; what it leaves half done is
/// repaired by the next sweep.
///
/// # Errors
/// The signals cannot be listened to.
pub fn shutdown_on_signal() -> io::Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = Shutdown::default();
    let told = shutdown.clone();
    tokio::spawn(async move {
        for text in ["stopping; a second signal stops at once", "stopping at once"] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => told.hurried.cancel(),
            }
            tracing::info!("{text}");
            if told.begun.is_cancelled() {
                std::process::exit(TOLD_TWICE);
            }
            told.begun.cancel();
        }
    });
    Ok(shutdown)
}
