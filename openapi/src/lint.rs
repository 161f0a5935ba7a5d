//! The rules that the published document keeps. Each finding says where and what, one line each.

mod document;
mod operations;
mod paths;
mod pattern;
mod schemas;

use serde_json::Value;

use document::Document;

/// Checks a 3.1 document; an empty answer means that every rule holds.
///
/// `public` are the operation ids that need no credential. `secret_fields` are the response fields that may carry a
/// credential or secret, as `Schema.field` (or `operation_id.field` where the schema has no name). An entry of either
/// list that matches nothing is a finding: the lists can only shrink.
pub fn lint(document: &Value, public: &[&str], secret_fields: &[&str]) -> Vec<String> {
    let document = Document::new(document);
    let mut findings = Vec::new();
    if document.root.get("openapi").and_then(Value::as_str) != Some("3.1.0") {
        findings.push("openapi: the version is not 3.1.0".to_owned());
    }
    document.unresolved_references(&mut findings);
    operations::check(&document, public, &mut findings);
    paths::check(&document, &mut findings);
    schemas::check(&document, secret_fields, &mut findings);
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document::example;
    use super::*;

    #[test]
    fn the_example_keeps_every_rule() {
        assert_eq!(
            lint(&example(), &["get_health"], &["Org.api_token"]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn another_version_is_found() {
        let mut document = example();
        document["openapi"] = json!("3.1.1");
        assert_eq!(
            lint(&document, &["get_health"], &["Org.api_token"]),
            ["openapi: the version is not 3.1.0"]
        );
    }

    #[test]
    fn dangling_references_are_found() {
        let mut document = example();
        document["components"]["schemas"]["Org"]["properties"]["plan"] =
            json!({"description": "d", "$ref": "#/components/schemas/Plan"});
        document["components"]["schemas"]["Org"]["discriminator"] =
            json!({"propertyName": "slug", "mapping": {"x": "other.json"}});
        assert_eq!(
            lint(&document, &["get_health"], &["Org.api_token"]),
            [
                "/components/schemas/Org/properties/plan: `#/components/schemas/Plan` does not resolve",
                "/components/schemas/Org/discriminator: `other.json` does not resolve",
            ]
        );
    }
}
