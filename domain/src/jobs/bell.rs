//! The doorbell: tells workers which lanes have work, and APIs which environments have changed. A ring that is lost costs
//! a second, never a job or a change.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

#[async_trait]
pub trait Bell: Send + Sync {
    /// Rings for these lanes, or environments. Never fails and never waits long: those who listen look for themselves
    /// too, once a second.
    async fn ring(&self, names: &[String]);

    /// Waits until somebody rings; returns what was rung for since the last call.
    async fn next(&self) -> Vec<String>;
}

/// The bell of a process that runs its own worker.
#[derive(Default)]
pub struct LocalBell {
    rung: Mutex<BTreeSet<String>>,
    wake: Notify,
}

#[async_trait]
impl Bell for LocalBell {
    async fn ring(&self, names: &[String]) {
        self.rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(names.iter().cloned());
        self.wake.notify_one();
    }

    async fn next(&self) -> Vec<String> {
        loop {
            let rung = std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner));
            if !rung.is_empty() {
                return rung.into_iter().collect();
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_before_and_during_the_wait_arrive_once() {
        let bell = LocalBell::default();
        bell.ring(&["wh:a".to_owned()]).await;
        bell.ring(&["wh:a".to_owned(), "wh:b".to_owned()]).await;
        assert_eq!(bell.next().await, ["wh:a", "wh:b"]);
        let (rung, ()) = tokio::join!(bell.next(), async { bell.ring(&["mail:c".to_owned()]).await });
        assert_eq!(rung, ["mail:c"]);
    }
}
