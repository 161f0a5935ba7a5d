//! Two validators that know nothing of each other, nor of us.

use harness::Backend;

use super::sdk;

#[test]
fn two_independent_validators_accept_the_document() {
    let said = sdk::against(Backend::Sqlite, "validator", |spec, _| {
        sdk::script("openapi/sdk/validate.sh").arg(spec).output()
    });
    assert!(said.contains("openapi.json: OK"), "openapi-spec-validator: {said}");
    assert!(said.contains("Your API description is valid"), "redocly: {said}");
}
