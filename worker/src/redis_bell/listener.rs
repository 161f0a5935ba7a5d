//! Hears the rings of all processes, on a connection of its own: a blocking read holds up everything behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{Bell, LocalBell};
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoConsumersReply, StreamReadReply};
use redis::{AsyncCommands, Client, RedisError, RedisResult};

use super::{GROUP, Health, LANE, STREAM, connect};

/// How long a read waits for a ring.
const BLOCK: Duration = Duration::from_secs(1);
/// Time for an answer; a blocking read answers late by design.
const RESPONSE: Duration = Duration::from_secs(3);
/// Entries of one read at most.
const COUNT: usize = 128;
/// A consumer that has not read for this long belonged to a process that died.
const DEAD_AFTER_MILLIS: usize = 3_600_000;

/// The listening loop.
pub(super) struct Listener {
    client: Client,
    consumer: String,
    heard: Arc<LocalBell>,
    health: Health,
}

impl Listener {
    pub(super) fn new(client: Client, consumer: &str, heard: Arc<LocalBell>, health: Health) -> Self {
        Self {
            client,
            consumer: consumer.to_owned(),
            heard,
            health,
        }
    }

    /// Listens for ever.
    pub(super) async fn run(mut self) {
        loop {
            let Err(error) = self.listen().await;
            self.health.down(&error).await;
        }
    }

    async fn listen(&mut self) -> RedisResult<Infallible> {
        let mut connection = connect(&self.client, RESPONSE).await?;
        join(&mut connection).await?;
        forget_dead(&mut connection).await?;
        self.health.up();
        loop {
            match self.read(&mut connection).await {
                Ok(lanes) if lanes.is_empty() => {}
                Ok(lanes) => self.heard.ring(&lanes).await,
                // Redis was wiped.
                Err(error) if is_groupless(&error) => join(&mut connection).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<String>> {
        let reply: Option<StreamReadReply> = redis::cmd("XREADGROUP")
            .arg("GROUP")
            .arg(GROUP)
            .arg(&self.consumer)
            .arg("COUNT")
            .arg(COUNT)
            .arg("BLOCK")
            .arg(BLOCK.as_millis())
            .arg("NOACK")
            .arg("STREAMS")
            .arg(STREAM)
            .arg(">")
            .query_async(connection)
            .await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        Ok(entries.filter_map(|entry| entry.get(LANE)).collect())
    }
}

fn is_groupless(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

/// Makes stream and group if they are not there. A new group begins with the oldest entry: what was rung between a
/// wipe and this moment counts.
async fn join(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    match connection.xgroup_create_mkstream(STREAM, GROUP, "0").await {
        Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
        made => made,
    }
}

async fn forget_dead(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let StreamInfoConsumersReply { consumers } = connection.xinfo_consumers(STREAM, GROUP).await?;
    for consumer in consumers.iter().filter(|consumer| consumer.idle > DEAD_AFTER_MILLIS) {
        let _: usize = connection.xgroup_delconsumer(STREAM, GROUP, &consumer.name).await?;
    }
    Ok(())
}

/// Takes a consumer off the list.
pub(super) async fn leave(client: &Client, consumer: &str) -> RedisResult<()> {
    let mut connection = connect(client, RESPONSE).await?;
    let _: usize = connection.xgroup_delconsumer(STREAM, GROUP, consumer).await?;
    Ok(())
}
