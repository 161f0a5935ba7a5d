//! Rules of operations: their names, who may call them, what they answer with.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{Document, Operation, entries, list, text};

/// The schema of every failure.
const PROBLEM: &str = "#/components/schemas/Problem";

/// Operation ids that are a verb alone: what they act on is the caller.
const ONE_WORD_IDS: [&str; 2] = ["login", "logout"];

pub fn check(document: &Document<'_>, public: &[&str], findings: &mut Vec<String>) {
    let tags: BTreeSet<&str> = list(document.root, "tags").map(|tag| text(tag, "name")).collect();
    let schemes: BTreeSet<&str> = document
        .root
        .get("components")
        .into_iter()
        .flat_map(|components| entries(components, "securitySchemes"))
        .map(|(name, _)| name.as_str())
        .collect();
    let mut ids = BTreeSet::new();
    for operation in &document.operations {
        let name = operation.name();
        let mut find = |what: &str| findings.push(format!("{name}: {what}"));
        if !is_operation_id(operation.id) {
            find("the operationId is not verb_resource in small letters");
        } else if !ids.insert(operation.id) {
            find("the operationId is used twice");
        }
        let is_public = public.contains(&operation.id);
        described(operation, &tags, &mut find);
        security(operation, is_public, &schemes, &mut find);
        parameters(operation, &mut find);
        problems(operation, is_public, &mut find);
    }
    for id in public.iter().filter(|id| !ids.contains(*id)) {
        findings.push(format!("{id}: listed as public, and there is no such operation"));
    }
}

/// `^[a-z]+(_[a-z0-9]+)+$`, or one of the few words that need no resource.
fn is_operation_id(id: &str) -> bool {
    if ONE_WORD_IDS.contains(&id) {
        return true;
    }
    let mut words = id.split('_');
    let verb = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    !verb.is_empty()
        && verb.bytes().all(|b| b.is_ascii_lowercase())
        && !rest.is_empty()
        && rest
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn described(operation: &Operation<'_>, tags: &BTreeSet<&str>, find: &mut impl FnMut(&str)) {
    let own: Vec<&str> = list(operation.value, "tags").filter_map(Value::as_str).collect();
    match own.as_slice() {
        [tag] if tags.contains(tag) => {}
        [_] => find("its tag is not one of the document's"),
        _ => find("it does not have exactly one tag"),
    }
    for key in ["summary", "description"] {
        if text(operation.value, key).trim().is_empty() {
            find(&format!("it has no {key}"));
        }
    }
}

fn security(operation: &Operation<'_>, is_public: bool, schemes: &BTreeSet<&str>, find: &mut impl FnMut(&str)) {
    let Some(alternatives) = operation.value.get("security").and_then(Value::as_array) else {
        return find("it does not say who may call it");
    };
    match (is_public, alternatives.is_empty()) {
        (true, true) | (false, false) => {}
        (true, false) => find("listed as public, and it asks for a credential"),
        (false, true) => find("it asks for no credential and is not listed as public"),
    }
    for alternative in alternatives.iter().filter_map(Value::as_object) {
        if alternative.is_empty() {
            find("one of its security alternatives lets anyone in");
        }
        if alternative.keys().any(|scheme| !schemes.contains(scheme.as_str())) {
            find("it names a security scheme that the document does not define");
        }
    }
}

/// The names in the path template.
fn template_names(path: &str) -> BTreeSet<&str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

fn parameters(operation: &Operation<'_>, find: &mut impl FnMut(&str)) {
    let in_path = |parameter: &&Value| text(parameter, "in") == "path";
    let declared: BTreeSet<&str> = operation
        .parameters()
        .filter(in_path)
        .map(|each| text(each, "name"))
        .collect();
    let wanted = template_names(operation.path);
    for name in wanted.difference(&declared) {
        find(&format!("the path parameter `{name}` is not declared"));
    }
    for name in declared.difference(&wanted) {
        find(&format!("the path parameter `{name}` is not in the path"));
    }
    for parameter in operation.parameters() {
        let name = text(parameter, "name");
        if text(parameter, "in") == "path" && parameter.get("required") != Some(&Value::Bool(true)) {
            find(&format!("the path parameter `{name}` is not required"));
        }
        if text(parameter, "description").trim().is_empty() {
            find(&format!("the parameter `{name}` has no description"));
        }
    }
}

fn problems(operation: &Operation<'_>, is_public: bool, find: &mut impl FnMut(&str)) {
    let mut wanted = vec!["400", "500"];
    if !is_public {
        wanted.push("401");
    }
    if operation.path.contains('{') {
        wanted.push("404");
    }
    if operation.value.get("requestBody").is_some() {
        wanted.extend(["413", "415", "422"]);
    }
    for status in wanted {
        if !operation.responses().any(|(given, _)| given == status) {
            find(&format!("it does not document {status}"));
        }
    }
    for (status, response) in operation.responses() {
        let failed = status.starts_with('4') || status.starts_with('5') || status == "default";
        if failed && !is_problem(response) {
            find(&format!("{status} is not a Problem alone, as application/problem+json"));
        }
    }
}

fn is_problem(response: &Value) -> bool {
    let mut content = entries(response, "content");
    let (Some((media, body)), None) = (content.next(), content.next()) else {
        return false;
    };
    media == "application/problem+json" && body.get("schema").is_some_and(|schema| text(schema, "$ref") == PROBLEM)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document::example;
    use super::*;

    /// What is found once `change` was made to `update_org`.
    fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut document = example();
        change(&mut document["paths"]["/v1/orgs/{org}"]["patch"]);
        let mut findings = Vec::new();
        check(&Document::new(&document), &["get_health"], &mut findings);
        findings
    }

    #[test]
    fn operation_ids_are_verb_and_resource() {
        for id in ["get_org", "logout", "verify_2fa", "list_webhook_deliveries"] {
            assert!(is_operation_id(id), "{id}");
        }
        for id in [
            "",
            "register",
            "getOrg",
            "get_",
            "_org",
            "get__org",
            "Get_org",
            "2fa_verify",
            "get-org",
        ] {
            assert!(!is_operation_id(id), "{id}");
        }
        assert_eq!(
            found(|op| op["operationId"] = json!("get_health")),
            [
                "get_health: the operationId is used twice",
                "get_health: listed as public, and it asks for a credential",
            ]
        );
        assert!(
            found(|op| {
                op.as_object_mut().unwrap().remove("operationId");
            })[0]
                .starts_with("patch /v1/orgs/{org}:")
        );
    }

    #[test]
    fn tag_summary_and_description_are_there() {
        assert_eq!(
            found(|op| op["tags"] = json!(["other"])),
            ["update_org: its tag is not one of the document's"]
        );
        assert_eq!(
            found(|op| op["tags"] = json!([])),
            ["update_org: it does not have exactly one tag"]
        );
        assert_eq!(
            found(|op| op["summary"] = json!(" ")),
            ["update_org: it has no summary"]
        );
        assert_eq!(
            found(|op| op["description"] = json!(null)),
            ["update_org: it has no description"]
        );
    }

    #[test]
    fn only_listed_operations_are_open() {
        assert_eq!(
            found(|op| op["security"] = json!([])),
            ["update_org: it asks for no credential and is not listed as public"]
        );
        assert_eq!(
            found(|op| op["security"] = json!(null)),
            ["update_org: it does not say who may call it"]
        );
        assert_eq!(
            found(|op| op["security"] = json!([{"bearer": []}, {}])),
            ["update_org: one of its security alternatives lets anyone in"]
        );
        assert_eq!(
            found(|op| op["security"] = json!([{"magic": []}])),
            ["update_org: it names a security scheme that the document does not define"]
        );
    }

    #[test]
    fn the_public_list_can_only_shrink() {
        let mut findings = Vec::new();
        check(&Document::new(&example()), &["get_health", "get_gone"], &mut findings);
        assert_eq!(findings, ["get_gone: listed as public, and there is no such operation"]);
        findings.clear();
        check(&Document::new(&example()), &["get_health", "update_org"], &mut findings);
        assert_eq!(findings, ["update_org: listed as public, and it asks for a credential"]);
    }

    #[test]
    fn path_parameters_match_the_path() {
        assert_eq!(
            found(|op| op["parameters"][0]["name"] = json!("id")),
            [
                "update_org: the path parameter `org` is not declared",
                "update_org: the path parameter `id` is not in the path",
            ]
        );
        assert_eq!(
            found(|op| op["parameters"][0]["required"] = json!(false)),
            ["update_org: the path parameter `org` is not required"]
        );
        assert_eq!(
            found(|op| op["parameters"][0]["description"] = json!("")),
            ["update_org: the parameter `org` has no description"]
        );
    }

    #[test]
    fn failures_are_documented_problems() {
        for status in ["400", "401", "404", "413", "415", "422", "500"] {
            let findings = found(|op| {
                op["responses"].as_object_mut().unwrap().remove(status);
            });
            assert_eq!(findings, [format!("update_org: it does not document {status}")]);
        }
        let other = json!({"application/json": {"schema": {"$ref": PROBLEM}}});
        assert_eq!(
            found(|op| op["responses"]["400"]["content"] = other),
            ["update_org: 400 is not a Problem alone, as application/problem+json"]
        );
        assert_eq!(
            found(|op| op["responses"]["409"] = json!({"description": "d"})).len(),
            1
        );
    }
}
