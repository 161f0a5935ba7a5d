//! A reader of server-sent events.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// How long an event is waited for: longer than the server is silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event with its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Empty when it has none.
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// Reads one block of lines; `None` for comments and the time to reconnect.
    fn parse(block: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default()
        };
        let data = field("data");
        (!data.is_empty()).then(|| Self {
            id: field("id").to_owned(),
            name: field("event").to_owned(),
            data: serde_json::from_str(data).expect("JSON in an event"),
        })
    }

    /// The revision that it names.
    pub fn revision(&self) -> i64 {
        self.data["revision"].as_i64().expect("a revision")
    }

    /// Keys with what became of them: `DB_URL created`.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.data["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |key: &Value, name: &str| key[name].as_str().expect("a text").to_owned();
        keys.iter()
            .map(|key| format!("{} {}", text(key, "key"), text(key, "status")))
            .collect()
    }
}

/// What has come of waiting.
#[derive(Debug, PartialEq)]
enum Came {
    Event(Event),
    /// The stream has ended.
    End,
    Nothing,
}

/// An open stream.
pub struct Events {
    response: Response,
    text: String,
    /// How much of the text was read as events.
    read: usize,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            response,
            text: String::new(),
            read: 0,
        }
    }

    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Everything that has come, comments too.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The next event; `None` when the server has ended the stream.
    ///
    /// # Panics
    /// When neither happens in time.
    pub async fn next(&mut self) -> Option<Event> {
        match self.within(PATIENCE).await {
            Came::Event(event) => Some(event),
            Came::End => None,
            Came::Nothing => panic!("no event and no end: {}", self.text),
        }
    }

    /// The next event, which must have this name.
    ///
    /// # Panics
    /// When it has another, or the stream has ended.
    pub async fn expect(&mut self, name: &str) -> Event {
        let next = self.next().await;
        let event = next.unwrap_or_else(|| panic!("{name} and not the end: {}", self.text));
        assert_eq!(event.name, name, "{}", self.text);
        event
    }

    /// The events that are still to come, to the end of the stream.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut rest = Vec::new();
        while let Some(event) = self.next().await {
            rest.push(event);
        }
        rest
    }

    /// Asserts that for some time there is no event, and no end.
    ///
    /// # Panics
    /// When there is.
    pub async fn stays_quiet(&mut self, time: Duration) {
        let came = self.within(time).await;
        assert_eq!(came, Came::Nothing, "{}", self.text);
    }

    async fn within(&mut self, time: Duration) -> Came {
        let deadline = Instant::now() + time;
        loop {
            while let Some(block) = self.block() {
                if let Some(event) = Event::parse(&block) {
                    return Came::Event(event);
                }
            }
            match timeout_at(deadline, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                // A connection that breaks off ends a stream too.
                Ok(Ok(None) | Err(_)) => return Came::End,
                Err(_) => return Came::Nothing,
            }
        }
    }

    /// The next whole block of lines.
    fn block(&mut self) -> Option<String> {
        let (block, _) = self.text.get(self.read..)?.split_once("\n\n")?;
        let block = block.to_owned();
        self.read += block.len() + 2;
        Some(block)
    }
}
