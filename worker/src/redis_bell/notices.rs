//! The bell that everybody hears: it tells the APIs which environments have changed, so that they look at once. Names
//! are published, and kept nowhere; who does not hear one looks within a second anyway.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::jobs::{Bell, LocalBell};
use domain::kernel::{Result, Secret};
use futures_util::StreamExt;
use redis::{Client, Pipeline, RedisResult, Value};
use tokio_util::task::AbortOnDropHandle;

use super::ringer::Ringer;
use super::{Health, open_client};

/// The channel.
const CHANNEL: &str = "strongroom:env";
/// Time for Redis to answer.
const RESPONSE: Duration = Duration::from_secs(3);
/// A connection on which nothing was heard for this long is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(10);

/// A bell whose rings reach every process that listens, this one too. Listening begins with the first call of
/// [`Bell::next`].
pub struct RedisNotices {
    client: Client,
    /// Rung here, not yet sent.
    outgoing: Arc<LocalBell>,
    /// Received, not yet asked for.
    heard: Arc<LocalBell>,
    listener: OnceLock<AbortOnDropHandle<()>>,
    _ringer: AbortOnDropHandle<()>,
}

impl RedisNotices {
    /// Opens the bell at `url`; Redis need not be there yet. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`domain::kernel::Error::Internal`] for a URL that cannot be used.
    pub fn open(url: &Secret<String>) -> Result<Self> {
        let client = open_client(url)?;
        let outgoing = Arc::new(LocalBell::default());
        let ringer = Ringer::new(client.clone(), Arc::clone(&outgoing), Health::new("telling"), publish);
        Ok(Self {
            client,
            outgoing,
            heard: Arc::default(),
            listener: OnceLock::new(),
            _ringer: AbortOnDropHandle::new(tokio::spawn(ringer.run())),
        })
    }
}

#[async_trait]
impl Bell for RedisNotices {
    /// Returns at once: the rings are sent from a task of their own.
    async fn ring(&self, names: &[String]) {
        self.outgoing.ring(names).await;
    }

    async fn next(&self) -> Vec<String> {
        self.listener.get_or_init(|| {
            let hearing = Hearing {
                client: self.client.clone(),
                heard: Arc::clone(&self.heard),
                health: Health::new("hearing"),
            };
            AbortOnDropHandle::new(tokio::spawn(hearing.run()))
        });
        self.heard.next().await
    }
}

fn publish(pipeline: &mut Pipeline, name: &str) {
    pipeline.cmd("PUBLISH").arg(CHANNEL).arg(name).ignore();
}

/// The listening loop.
struct Hearing {
    client: Client,
    heard: Arc<LocalBell>,
    health: Health,
}

impl Hearing {
    /// Listens for ever.
    async fn run(mut self) {
        loop {
            let Err(error) = self.hear().await;
            self.health.down(&error).await;
        }
    }

    async fn hear(&mut self) -> RedisResult<Infallible> {
        let (mut asking, mut hearing) = in_time(self.client.get_async_pubsub()).await?.split();
        in_time(asking.subscribe(CHANNEL)).await?;
        self.health.up();
        loop {
            match tokio::time::timeout(QUIET, hearing.next()).await {
                Ok(Some(message)) => {
                    if let Ok(name) = message.get_payload::<String>() {
                        self.heard.ring(&[name]).await;
                    }
                }
                Ok(None) => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
                // One that broke without a word would be quiet for ever.
                Err(_) => {
                    let _: Value = in_time(asking.ping()).await?;
                }
            }
        }
    }
}

/// Waits for an answer, and no longer than it may take: such a connection has no limit of its own.
async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(RESPONSE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}
