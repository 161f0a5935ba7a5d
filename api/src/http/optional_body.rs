//! A JSON body that may be left out.

use poem::{Request, RequestBody};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaRequest, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::fields::Admitted;

/// The body of an operation that can do without one. poem-openapi's own payloads refuse a request that names no media
/// type, though there is nothing that could have one.
pub struct OptionalJson<T>(pub Option<T>);

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for OptionalJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Json<T> as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let meta = <Json<T> as ApiExtractor<'a>>::request_meta()?;
        Some(MetaRequest {
            required: false,
            ..meta
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let sent = request.data::<Admitted>();
        if sent.is_none_or(|Admitted(bytes)| bytes.is_empty()) {
            return Ok(Self(None));
        }
        let Json(sent) = <Json<T> as ApiExtractor<'a>>::from_request(request, body, options).await?;
        Ok(Self(Some(sent)))
    }
}
