//! Sends the rings of this process.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{Bell, LocalBell};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};

use super::{Health, LANE, STREAM, connect};

/// Time for Redis to take the rings.
const RESPONSE: Duration = Duration::from_millis(500);
/// Entries that the stream keeps, about. Older ones are rings that nobody heard, and the sweepers did their work.
const KEPT: usize = 10_000;
/// Rings of one pipeline at most.
const BATCH: usize = 1000;

/// The sending loop.
pub(super) struct Ringer {
    client: Client,
    outgoing: Arc<LocalBell>,
    connection: Option<MultiplexedConnection>,
    health: Health,
}

impl Ringer {
    pub(super) fn new(client: Client, outgoing: Arc<LocalBell>) -> Self {
        Self {
            client,
            outgoing,
            connection: None,
            health: Health::new("ringing"),
        }
    }

    /// Sends rings for ever. Rings that Redis does not take are dropped: the sweepers do without.
    pub(super) async fn run(mut self) {
        loop {
            let lanes = self.outgoing.next().await;
            match self.send(&lanes).await {
                Ok(()) => self.health.up(),
                Err(error) => self.health.down(&error).await,
            }
        }
    }

    async fn send(&mut self, lanes: &[String]) -> RedisResult<()> {
        for batch in lanes.chunks(BATCH) {
            if let Some(connection) = self.connection.take()
                && let Ok(connection) = add(connection, batch).await
            {
                self.connection = Some(connection);
                continue;
            }
            // No connection, or one that broke while it was idle.
            let connection = connect(&self.client, RESPONSE).await?;
            self.connection = Some(add(connection, batch).await?);
        }
        Ok(())
    }
}

async fn add(mut connection: MultiplexedConnection, lanes: &[String]) -> RedisResult<MultiplexedConnection> {
    let mut pipeline = redis::pipe();
    for lane in lanes {
        pipeline
            .cmd("XADD")
            .arg(STREAM)
            .arg("MAXLEN")
            .arg("~")
            .arg(KEPT)
            .arg("*")
            .arg(LANE)
            .arg(lane)
            .ignore();
    }
    pipeline.query_async::<()>(&mut connection).await?;
    Ok(connection)
}
