//! Server-sent events: an answer that goes on. Source: the HTML standard, §9.2.

use std::fmt::Write as _;
use std::io;
use std::marker::PhantomData;

use futures_util::{Stream, StreamExt};
use poem::{Body, IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};

/// Milliseconds that a client is asked to wait before it connects again.
const RETRY: u32 = 1_000;

/// An event. Its `id` is what a client comes back with as `Last-Event-ID`; without one the client keeps the last.
pub fn event(name: &str, id: Option<i64>, data: &impl ToJSON) -> String {
    let mut text = String::new();
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    // JSON on one line: line breaks in its texts are escaped.
    let _ = write!(text, "event: {name}\ndata: {}\n\n", data.to_json_string());
    text
}

/// What a client passes over: it keeps the connection alive.
pub fn comment(text: &str) -> String {
    format!(": {text}\n\n")
}

/// Asks the client to come back soon when the stream has ended.
pub fn retry() -> String {
    format!("retry: {RETRY}\n\n")
}

/// A stream of events whose data is `T`.
pub struct EventStream<T> {
    body: Body,
    data: PhantomData<fn() -> T>,
}

impl<T> EventStream<T> {
    /// Takes what [`event`], [`comment`] and [`retry`] make. Each text is sent as it comes, and the next is not asked
    /// for before the client has room.
    pub fn new(texts: impl Stream<Item = String> + Send + 'static) -> Self {
        Self {
            body: Body::from_bytes_stream(texts.map(Ok::<_, io::Error>)),
            data: PhantomData,
        }
    }
}

impl<T: Type + ToJSON> Payload for EventStream<T> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    /// The shape of one event, as the upgrade of the document wants it.
    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(T::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type + ToJSON> IntoResponse for EventStream<T> {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type(Self::CONTENT_TYPE)
            // nginx and those who imitate it would collect events until a buffer is full.
            .header("X-Accel-Buffering", "no")
            .body(self.body)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn events_are_framed_as_the_standard_says() {
        let texts = [
            retry(),
            event("revision", Some(7), &"line\nbreak".to_owned()),
            comment("still here"),
            event("end", None, &1_i64),
        ];
        let response = EventStream::<i64>::new(stream::iter(texts)).into_response();
        assert_eq!(response.content_type(), Some("text/event-stream"));
        assert_eq!(response.header("x-accel-buffering"), Some("no"));
        let text = response.into_body().into_string().await.unwrap();
        let expected = "retry: 1000\n\n\
            id: 7\nevent: revision\ndata: \"line\\nbreak\"\n\n\
            : still here\n\n\
            event: end\ndata: 1\n\n";
        assert_eq!(text, expected);
    }
}
