//! What nobody read of the body of a request, because it was refused before.
//!
//! hyper closes such a connection behind its answer, and the next request on it meets the end. So a short rest is read
//! off and the connection lives on; of a longer one the answer says that it ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use poem::Request;
use poem::http::header;

/// The most that is read off, bytes.
const SHORT: u64 = 64 * 1024;
/// The longest that it is waited for.
const SOON: Duration = Duration::from_secs(1);

/// The place of what was left of one body.
#[derive(Clone, Default)]
struct Place(Arc<Mutex<Option<BoxBody<Bytes, io::Error>>>>);

impl Place {
    fn put(&self, rest: Option<BoxBody<Bytes, io::Error>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }

    fn take(&self) -> Option<BoxBody<Bytes, io::Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The same body; what is left when it is dropped is kept.
struct Kept {
    body: Option<BoxBody<Bytes, io::Error>>,
    place: Place,
}

impl Body for Kept {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.place.put(self.body.take());
        }
    }
}

/// Knows what is left of the body of one request.
pub struct Leftover {
    place: Place,
    /// The client waits to be asked for its body, and reading would ask.
    waits: bool,
}

impl Leftover {
    /// Watches the body of a request.
    pub fn watch(request: &mut Request) -> Self {
        let place = Place::default();
        let waits = request.headers().contains_key(header::EXPECT);
        let body: BoxBody<Bytes, io::Error> = request.take_body().into();
        let body = if body.is_end_stream() {
            body
        } else {
            let (body, place) = (Some(body), place.clone());
            BoxBody::new(Kept { body, place })
        };
        request.set_body(poem::Body::from(body));
        Self { place, waits }
    }

    /// Reads the rest off. `false` when the connection cannot go on after the answer: there is too much of it, or it
    /// does not come.
    pub async fn read_off(self) -> bool {
        let Some(mut rest) = self.place.take() else {
            return true;
        };
        if self.waits || rest.size_hint().lower() > SHORT {
            return false;
        }
        let reading = async {
            let mut read = 0;
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else { return false };
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read > SHORT {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(SOON, reading).await.unwrap_or(false)
    }
}
