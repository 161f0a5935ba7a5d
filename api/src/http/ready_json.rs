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
        let mut bytes = Vec::with_capacity(room);
        serde_json::to_writer(&mut bytes, content).map_err(|error| Error::internal(format!("an answer: {error}")))?;
        Ok(Self {
            bytes,
            shape: PhantomData,
        })
    }
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
