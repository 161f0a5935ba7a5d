//! JSON that is written straight from what was read, for the answers that are large and frequent. Building a tree of it
//! first, as poem-openapi does, costs more than everything else about them.

use std::marker::PhantomData;

use domain::kernel::{Error, Result};
use poem::http::header;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::Serialize;

/// The bytes of a JSON document of the shape `T`, which is what the API publishes.
#[derive(Clone)]
pub struct ReadyJson<T> {
    bytes: Vec<u8>,
    shape: PhantomData<T>,
}

impl<T> ReadyJson<T> {
    /// Writes `content`, whose fields must be those of `T`. `room` is a guess at the length, bytes.
    ///
    /// # Errors
    /// [`Error::Internal`]: the content cannot be written as JSON.
    pub fn write(content: &impl Serialize, room: usize) -> Result<Self> {
        Ok(Self {
            bytes: bytes(content, room)?,
            shape: PhantomData,
        })
    }

    /// Writes an object whose first field is a list of entries that are JSON already; `rest` are its other fields, at least
    /// one.
    ///
    /// # Errors
    /// See [`ReadyJson::write`].
    pub fn write_list(name: &str, entries: Vec<&[u8]>, rest: &impl Serialize) -> Result<Self> {
        let rest = bytes(rest, REST_ROOM)?;
        let Some((b'{', fields)) = rest.split_first() else {
            return Err(Error::internal("an answer: the fields beside a list are no object"));
        };
        let room = entries.iter().map(|entry| entry.len() + 1).sum::<usize>() + name.len() + rest.len() + 8;
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(b"{\"");
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"\":[");
        for (n, entry) in entries.into_iter().enumerate() {
            if n > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(entry);
        }
        bytes.extend_from_slice(b"],");
        bytes.extend_from_slice(fields);
        Ok(Self {
            bytes,
            shape: PhantomData,
        })
    }
}

/// What the fields beside a list take, bytes, roughly.
const REST_ROOM: usize = 64;

/// Content as JSON. `room` is a guess at the length, bytes.
///
/// # Errors
/// See [`ReadyJson::write`].
pub fn bytes(content: &impl Serialize, room: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, content).map_err(|error| Error::internal(format!("an answer: {error}")))?;
    Ok(bytes)
}

impl<T: Type> Payload for ReadyJson<T> {
    const CONTENT_TYPE: &'static str = Json::<T>::CONTENT_TYPE;

    fn check_content_type(content_type: &str) -> bool {
        Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> ApiResponse for ReadyJson<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: Self::CONTENT_TYPE,
                    schema: Self::schema_ref(),
                }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }
}

impl<T: Send> IntoResponse for ReadyJson<T> {
    fn into_response(self) -> Response {
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_list_of_what_is_written_is_what_writing_all_at_once_gives() {
        let entries = [
            json!({ "key": "A", "value": "\"\\\n" }),
            json!({ "key": "B", "value": "" }),
        ];
        let written: Vec<Vec<u8>> = entries.iter().map(|entry| bytes(entry, 0).unwrap()).collect();
        for count in 0..=2 {
            let some = written.iter().take(count).map(Vec::as_slice).collect();
            let list = ReadyJson::<()>::write_list("data", some, &json!({ "revision": 7 })).unwrap();
            let read: Value = serde_json::from_slice(&list.bytes).unwrap();
            assert_eq!(read, json!({ "data": entries[..count], "revision": 7 }));
        }
        assert!(ReadyJson::<()>::write_list("data", Vec::new(), &json!([])).is_err());
    }
}
