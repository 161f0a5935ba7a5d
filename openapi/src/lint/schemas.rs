//! Rules of schemas: everything is described, patterns are portable, no answer carries a secret unlisted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{Document, Operation, entries, list, text};
use super::pattern;
use crate::schema::{LISTS, SINGLE};

/// Last words of a field name that mean a credential, or a value that must not leave.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "token", "hash", "ciphertext"];

/// A schema and the name that findings call it by.
type Named<'a> = (String, &'a Value);

pub fn check(document: &Document<'_>, secret_fields: &[&str], findings: &mut Vec<String>) {
    let components = document
        .root
        .get("components")
        .into_iter()
        .flat_map(|components| entries(components, "schemas"));
    let mut schemas: Vec<Named<'_>> = components.map(|(name, schema)| (name.clone(), schema)).collect();
    for operation in document.operations.iter().chain(&document.webhooks) {
        schemas.extend(parameters(operation));
        schemas.extend(contents(operation, operation.value.get("requestBody")));
        schemas.extend(
            operation
                .responses()
                .flat_map(|(_, response)| contents(operation, Some(response))),
        );
        schemas.extend(operation.responses().flat_map(|(_, response)| headers(response)));
    }
    for schema in schemas {
        walk(schema, &mut |at, schema| {
            described_and_portable(document, at, schema, findings);
        });
    }
    secrets(document, secret_fields, findings);
}

fn parameters<'a>(operation: &Operation<'a>) -> Vec<Named<'a>> {
    let schema = |each: &'a Value| {
        Some((
            format!("{}.{}", operation.name(), text(each, "name")),
            each.get("schema")?,
        ))
    };
    operation.parameters().filter_map(schema).collect()
}

fn headers(response: &Value) -> Vec<Named<'_>> {
    entries(response, "headers")
        .filter_map(|(name, header)| Some((name.clone(), header.get("schema")?)))
        .collect()
}

/// The schemas of a body, whether asked for or answered.
fn contents<'a>(operation: &Operation<'a>, body: Option<&'a Value>) -> Vec<Named<'a>> {
    let media = body.into_iter().flat_map(|body| entries(body, "content"));
    media
        .filter_map(|(_, media)| Some((operation.name(), media.get("schema")?)))
        .collect()
}

/// Visits a schema and every schema written inside it; references are not followed.
fn walk<'a>((at, schema): Named<'a>, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(&at, schema);
    for child in children(&at, schema) {
        walk(child, visit);
    }
}

fn children<'a>(at: &str, schema: &'a Value) -> Vec<Named<'a>> {
    let mut found: Vec<Named<'a>> = properties(at, schema).collect();
    for key in SINGLE {
        found.extend(schema.get(key).map(|child| (at.to_owned(), child)));
    }
    for key in LISTS {
        found.extend(list(schema, key).map(|child| (at.to_owned(), child)));
    }
    found
}

fn properties<'a>(at: &str, schema: &'a Value) -> impl Iterator<Item = Named<'a>> {
    entries(schema, "properties").map(move |(name, property)| (format!("{at}.{name}"), property))
}

fn described_and_portable(document: &Document<'_>, at: &str, schema: &Value, findings: &mut Vec<String>) {
    if let Some(fault) = schema.get("pattern").and_then(Value::as_str).and_then(pattern::fault) {
        findings.push(format!("{at}: its pattern is not portable: {fault}"));
    }
    for (name, property) in properties(at, schema) {
        // poem-openapi writes the discriminators of unions itself, one constant each.
        if property.get("const").is_none() && !is_described(document, property) {
            findings.push(format!("{name}: it has no description"));
        }
    }
}

/// By its own words, or by those of the schema that it refers to, perhaps as one of several choices.
fn is_described(document: &Document<'_>, property: &Value) -> bool {
    let has_words = |schema: &Value| !text(schema, "description").trim().is_empty();
    let referred = |schema: &Value| {
        document
            .root
            .pointer(text(schema, "$ref").strip_prefix('#').unwrap_or("/none"))
            .is_some_and(has_words)
    };
    has_words(property) || referred(property) || LISTS.iter().any(|key| list(property, key).any(referred))
}

/// Looks at everything that leaves: responses, and the bodies of webhooks.
fn secrets(document: &Document<'_>, allowed: &[&str], findings: &mut Vec<String>) {
    let mut waiting: Vec<Named<'_>> = Vec::new();
    for operation in &document.operations {
        waiting.extend(
            operation
                .responses()
                .flat_map(|(_, response)| contents(operation, Some(response))),
        );
    }
    for webhook in &document.webhooks {
        waiting.extend(contents(webhook, webhook.value.get("requestBody")));
    }
    let mut seen = BTreeSet::new();
    let mut fields = BTreeSet::new();
    while let Some(schema) = waiting.pop() {
        walk(schema, &mut |at, schema| {
            let named = properties(at, schema).filter(|(name, property)| is_secret(document, name, property));
            fields.extend(named.map(|(name, _)| name));
            if let Some(name) = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|to| to.rsplit('/').next())
                && let Some(target) = document.follow(schema)
                && seen.insert(name.to_owned())
            {
                waiting.push((name.to_owned(), target));
            }
        });
    }
    for field in fields.iter().filter(|field| !allowed.contains(&field.as_str())) {
        findings.push(format!(
            "{field}: it leaves in an answer, and its name says that it is secret"
        ));
    }
    for field in allowed.iter().filter(|field| !fields.contains(**field)) {
        findings.push(format!("{field}: listed as a secret field, and no answer has it"));
    }
}

/// Flags and counts about a secret are none: `has_password`.
fn is_secret(document: &Document<'_>, name: &str, property: &Value) -> bool {
    let field = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let last = field.rsplit('_').next().unwrap_or(&field);
    let kind = document
        .root
        .pointer(text(property, "$ref").strip_prefix('#').unwrap_or("/none"))
        .unwrap_or(property);
    SECRET_WORDS.contains(&last) && !matches!(text(kind, "type"), "boolean" | "integer" | "number")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document::example;
    use super::*;

    fn found(document: &Value, secret_fields: &[&str]) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Document::new(document), secret_fields, &mut findings);
        findings
    }

    #[test]
    fn undescribed_properties_are_found_however_deep() {
        let mut document = example();
        document["components"]["schemas"]["Org"]["properties"]["limits"] =
            json!({"description": "d", "type": "array", "items": {"type": "object", "properties": {"max": {}}}});
        assert_eq!(
            found(&document, &["Org.api_token"]),
            ["Org.limits.max: it has no description"]
        );
    }

    #[test]
    fn a_described_reference_describes_its_property() {
        let mut document = example();
        let plain = json!({"anyOf": [{"$ref": "#/components/schemas/Plan"}, {"type": "null"}]});
        document["components"]["schemas"]["Org"]["properties"]["plan"] = plain;
        document["components"]["schemas"]["Plan"] = json!({"type": "string"});
        assert_eq!(
            found(&document, &["Org.api_token"]),
            ["Org.plan: it has no description"]
        );
        document["components"]["schemas"]["Plan"]["description"] = json!("d");
        assert_eq!(found(&document, &["Org.api_token"]), Vec::<String>::new());
    }

    #[test]
    fn a_constant_needs_no_description() {
        let mut document = example();
        document["components"]["schemas"]["Org"]["properties"]["kind"] = json!({"type": "string", "const": "org"});
        assert_eq!(found(&document, &["Org.api_token"]), Vec::<String>::new());
    }

    #[test]
    fn patterns_are_checked_in_parameters_too() {
        let mut document = example();
        document["paths"]["/v1/orgs/{org}"]["patch"]["parameters"][0]["schema"]["pattern"] = json!(r"\p{L}");
        assert_eq!(
            found(&document, &["Org.api_token"]),
            [r"update_org.org: its pattern is not portable: `\p` is not the same everywhere"]
        );
    }

    #[test]
    fn secret_names_are_found_in_answers_only() {
        let document = example();
        assert_eq!(
            found(&document, &[]),
            ["Org.api_token: it leaves in an answer, and its name says that it is secret"]
        );
        assert_eq!(
            found(&document, &["Org.api_token", "UpdateOrg.password"]),
            ["UpdateOrg.password: listed as a secret field, and no answer has it"]
        );
    }

    #[test]
    fn secret_names_are_found_behind_references_and_in_webhooks() {
        let mut document = example();
        let schemas = &mut document["components"]["schemas"];
        schemas["Org"]["properties"]["owner"] = json!({"description": "d", "$ref": "#/components/schemas/Owner"});
        schemas["Owner"] = json!({"properties": {"password_hash": {"description": "d", "type": "string"}}});
        let body = json!({"properties": {"secret": {"description": "d", "type": ["string", "null"]}}});
        document["webhooks"] = json!({"x": {"post": {"operationId": "send_x",
            "requestBody": {"content": {"application/json": {"schema": body}}}}}});
        assert_eq!(
            found(&document, &["Org.api_token"]),
            [
                "Owner.password_hash: it leaves in an answer, and its name says that it is secret",
                "send_x.secret: it leaves in an answer, and its name says that it is secret",
            ]
        );
    }
}
