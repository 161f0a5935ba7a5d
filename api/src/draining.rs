//! Between the signal and the stop. Whoever sends requests here must be given the time to notice: `/ready` fails at once,
//! every answer ends its connection, and only then is nothing taken any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use worker::signals::Shutdown;

/// A token that is cancelled when the process may stop: so long after the shutdown has begun, or at once when somebody at
/// a terminal waits for it.
pub fn stop_after(shutdown: &Shutdown, delay: Duration) -> CancellationToken {
    let stop = CancellationToken::new();
    let (Shutdown { begun, hurried }, told) = (shutdown.clone(), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = told.cancelled() => return,
            () = begun.cancelled() => {}
        }
        if !delay.is_zero() {
            tracing::info!(
                seconds = delay.as_secs(),
                "not ready any more; requests are still taken"
            );
            tokio::select! {
                () = hurried.cancelled() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
        told.cancel();
    });
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stops_when_the_delay_is_over_and_not_before() {
        let shutdown = Shutdown::default();
        let delay = Duration::from_millis(150);
        let stop = stop_after(&shutdown, delay);
        tokio::time::sleep(delay * 2).await;
        assert!(!stop.is_cancelled());
        let began = std::time::Instant::now();
        shutdown.begun.cancel();
        stop.cancelled().await;
        assert!(began.elapsed() >= delay);
    }

    #[tokio::test]
    async fn a_hurried_shutdown_does_not_wait() {
        let shutdown = Shutdown::default();
        let stop = stop_after(&shutdown, Duration::from_mins(5));
        shutdown.hurried.cancel();
        shutdown.begun.cancel();
        tokio::time::timeout(Duration::from_secs(1), stop.cancelled())
            .await
            .unwrap();
    }
}
