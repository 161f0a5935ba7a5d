//! A body that is taken as it came, byte for byte, whatever its media type says.

use bytes::Bytes;
use poem::{Request, RequestBody};
use poem_openapi::payload::{Binary, Payload};
use poem_openapi::registry::{MetaRequest, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::fields::Admitted;

/// The bytes of the body; none for a request without one.
pub struct RawBody(pub Bytes);

impl<'a> ApiExtractor<'a> for RawBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Binary<Vec<u8>> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        <Binary<Vec<u8>> as ApiExtractor<'a>>::request_meta()
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        let sent = request.data::<Admitted>();
        Ok(Self(sent.map(|Admitted(bytes)| bytes.clone()).unwrap_or_default()))
    }
}
