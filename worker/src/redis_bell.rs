//! The doorbell between processes: a Redis stream of lane names. It holds nothing whose loss matters; wiped, stopped
//! or absent, the sweepers find every job within a second.

mod listener;
mod notices;
mod ringer;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::jobs::{Bell, LocalBell};
use domain::kernel::{Error, Result, Secret};
use domain::metrics::{Gauge, Registry};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult};
use tokio_util::task::AbortOnDropHandle;

use self::listener::Listener;
use self::ringer::Ringer;

pub use self::notices::RedisNotices;

/// The stream.
const STREAM: &str = "strongroom:bell";
/// The group that all workers read with, so that each ring reaches one of them.
const GROUP: &str = "workers";
/// The field of an entry that holds the lane.
const LANE: &str = "l";
/// Entries that the stream keeps, about. Older ones are rings that nobody heard, and the sweepers did their work.
const KEPT: usize = 10_000;
/// Time for a connection to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// Pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A bell that rings and hears through Redis. A process that only rings opens no consumer: listening begins with the
/// first call of [`Bell::next`].
pub struct RedisBell {
    registry: Registry,
    client: Client,
    /// Name of this process among the consumers.
    consumer: String,
    /// Rung here, not yet sent.
    outgoing: Arc<LocalBell>,
    /// Received, not yet asked for.
    heard: Arc<LocalBell>,
    listener: OnceLock<AbortOnDropHandle<()>>,
    _ringer: AbortOnDropHandle<()>,
}

impl RedisBell {
    /// Opens the bell at `url`; Redis need not be there yet. `consumer` names this process, as
    /// [`crate::process_name`] does. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that cannot be used.
    pub fn open(url: &Secret<String>, consumer: &str) -> Result<Self> {
        Self::counted(url, consumer, &Registry::default())
    }

    /// The same, and `registry` shows whether Redis is there.
    ///
    /// # Errors
    /// See [`RedisBell::open`].
    pub fn counted(url: &Secret<String>, consumer: &str, registry: &Registry) -> Result<Self> {
        let client = open_client(url)?;
        let outgoing = Arc::new(LocalBell::default());
        let health = Health::new("ringing").shown_by(registry);
        let ringer = Ringer::new(client.clone(), Arc::clone(&outgoing), health, add_to_stream);
        Ok(Self {
            registry: registry.clone(),
            client,
            consumer: consumer.to_owned(),
            outgoing,
            heard: Arc::default(),
            listener: OnceLock::new(),
            _ringer: AbortOnDropHandle::new(tokio::spawn(ringer.run())),
        })
    }

    /// Stops listening and takes this process off the list of consumers, as far as Redis answers.
    pub async fn close(self) {
        if let Some(listener) = self.listener.into_inner() {
            listener.abort();
            let _ = listener.await;
            if let Err(error) = listener::leave(&self.client, &self.consumer).await {
                tracing::debug!(%error, "cannot leave the list of consumers");
            }
        }
    }
}

#[async_trait]
impl Bell for RedisBell {
    /// Returns at once: the rings are sent from a task of their own, those of many callers together.
    async fn ring(&self, lanes: &[String]) {
        self.outgoing.ring(lanes).await;
    }

    async fn next(&self) -> Vec<String> {
        self.listener.get_or_init(|| {
            let health = Health::new("listening").shown_by(&self.registry);
            let listener = Listener::new(self.client.clone(), &self.consumer, Arc::clone(&self.heard), health);
            AbortOnDropHandle::new(tokio::spawn(listener.run()))
        });
        self.heard.next().await
    }
}

fn open_client(url: &Secret<String>) -> Result<Client> {
    // The library's own text could repeat the URL, which holds the password.
    Client::open(url.expose().as_str()).map_err(|_| Error::internal("STRONGROOM_REDIS_URL cannot be used"))
}

fn add_to_stream(pipeline: &mut Pipeline, lane: &str) {
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

/// Connects; every answer must come within `response`.
async fn connect(client: &Client, response: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(response));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Tells of each change between up and down once.
struct Health {
    what: &'static str,
    is_up: Option<bool>,
    pause: Duration,
    shown: Gauge,
}

impl Health {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            is_up: None,
            pause: FIRST_PAUSE,
            shown: Gauge::default(),
        }
    }

    /// Shows whether it is up.
    fn shown_by(mut self, registry: &Registry) -> Self {
        let help = "Whether Redis is there: 1, or 0.";
        self.shown = registry.gauge("strongroom_redis_up", help, &[("use", self.what)]);
        self
    }

    fn up(&mut self) {
        self.pause = FIRST_PAUSE;
        self.shown.set(1.0);
        if self.is_up.replace(true) == Some(false) {
            tracing::info!(what = self.what, "Redis is back");
        }
    }

    /// Notes a failure and waits before the next try.
    async fn down(&mut self, error: &redis::RedisError) {
        self.shown.set(0.0);
        if self.is_up.replace(false) != Some(false) {
            tracing::warn!(what = self.what, %error, "Redis cannot be reached: workers and watchers look once a second");
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
