//! Stopping a process by signal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was told twice to stop: 128 and the number of SIGINT.
const TOLD_TWICE: i32 = 130;

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once; what it leaves half done is
/// repaired by the next sweep.
///
/// # Errors
/// The signals cannot be listened to.
pub fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        for told in ["stopping; a second signal stops at once", "stopping at once"] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("{told}");
            if token.is_cancelled() {
                std::process::exit(TOLD_TWICE);
            }
            token.cancel();
        }
    });
    Ok(shutdown)
}
