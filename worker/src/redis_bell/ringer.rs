//! Sends the rings of this process.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{Bell, LocalBell};
use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, RedisResult};

use super::{Health, connect};

/// Time for Redis to take the rings.
const RESPONSE: Duration = Duration::from_millis(500);
/// Rings of one pipeline at most.
const BATCH: usize = 1000;

/// The command that rings for one name.
pub(super) type Ring = fn(&mut Pipeline, &str);

/// The sending loop.
pub(super) struct Ringer {
    client: Client,
    outgoing: Arc<LocalBell>,
    ring: Ring,
    connection: Option<MultiplexedConnection>,
    health: Health,
}

impl Ringer {
    pub(super) fn new(client: Client, outgoing: Arc<LocalBell>, health: Health, ring: Ring) -> Self {
        Self {
            client,
            outgoing,
            ring,
            connection: None,
            health,
        }
    }

    /// Sends rings for ever. Rings that Redis does not take are dropped: who waits for them does without.
    pub(super) async fn run(mut self) {
        loop {
            let names = self.outgoing.next().await;
            match self.send(&names).await {
                Ok(()) => self.health.up(),
                Err(error) => self.health.down(&error).await,
            }
        }
    }

    async fn send(&mut self, names: &[String]) -> RedisResult<()> {
        for batch in names.chunks(BATCH) {
            if let Some(connection) = self.connection.take()
                && let Ok(connection) = rung(self.ring, connection, batch).await
            {
                self.connection = Some(connection);
                continue;
            }
            // No connection, or one that broke while it was idle.
            let connection = connect(&self.client, RESPONSE).await?;
            self.connection = Some(rung(self.ring, connection, batch).await?);
        }
        Ok(())
    }
}

async fn rung(
    ring: Ring,
    mut connection: MultiplexedConnection,
    names: &[String],
) -> RedisResult<MultiplexedConnection> {
    let mut pipeline = redis::pipe();
    for name in names {
        ring(&mut pipeline, name);
    }
    pipeline.query_async::<()>(&mut connection).await?;
    Ok(connection)
}
