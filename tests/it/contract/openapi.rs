//! The document itself: committed, served, clean, and complete.

use std::collections::BTreeSet;
use std::path::Path;

use api::apis::{Apis, PUBLIC, SECRET_FIELDS};
use domain::kernel::ProblemCode;
use harness::on_both;
use harness::schema::Document;
use poem_openapi::OpenApi;
use reqwest::Method;

const COMMITTED: &str = include_str!("../../../openapi/openapi.json");

on_both! {
    async fn the_committed_document_is_the_served_one_byte_for_byte(t: TestApp) {
        let served = t.anonymous().get("/openapi.json").await.ok();
        let differ = served.text().lines().zip(COMMITTED.lines()).position(|(served, committed)| served != committed);
        assert!(
            served.bytes() == COMMITTED.as_bytes(),
            "openapi/openapi.json is not what the server says, from line {} on. Write it anew with `just openapi` and \
             commit it.",
            differ.map_or_else(|| "the last".to_owned(), |line| (line + 1).to_string()),
        );
    }

    async fn the_document_keeps_every_convention(t: TestApp) {
        let findings = openapi::lint(t.document(), PUBLIC, SECRET_FIELDS);
        assert!(findings.is_empty(), "{findings:#?}");
    }

    async fn the_documented_operations_are_the_served_ones(t: TestApp) {
        let documented: BTreeSet<_> = Document(t.document().clone())
            .operations()
            .into_iter()
            .map(|operation| (operation.method, operation.path, operation.id))
            .collect();
        let mut served = BTreeSet::new();
        for path in Apis::meta().into_iter().flat_map(|api| api.paths) {
            for operation in path.operations {
                let id = operation.operation_id.expect("an operation id");
                served.insert((operation.method.to_string(), path.path.clone(), id.to_owned()));
            }
        }
        assert_eq!(documented, served);
        assert!(served.len() > 40, "{}", served.len());
    }

    async fn every_documented_operation_answers_and_knows_its_method(t: TestApp) {
        for operation in Document(t.document().clone()).operations() {
            let path = fill(&operation.path);
            let method = operation.method.parse().expect("a method");
            let answer = t.anonymous().send(method, &path, None).await;
            let (status, id) = (answer.status(), &operation.id);
            assert!(status != 405, "{id} has no route: {status}");
            if !operation.is_public() {
                answer.problem(401, "unauthenticated");
            } else if operation.path.contains('{') {
                // There is nothing of this name, and that is told to everybody; a path without a route allows nothing.
                let other = t.anonymous().send(Method::PUT, &path, None).await.problem(405, "method_not_allowed");
                let allowed = other.header("allow").unwrap_or_default();
                assert!(allowed.contains(&operation.method), "{id} has no route: {allowed}");
            } else {
                assert_ne!(status, 404, "{id} has no route");
            }
        }
    }

    async fn every_published_code_is_one_that_the_product_has(t: TestApp) {
        let schema = &t.document()["components"]["schemas"]["ProblemCode"]["enum"];
        let published: BTreeSet<_> = schema.as_array().into_iter().flatten().filter_map(|code| code.as_str()).collect();
        let known: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(published, known);
    }

    async fn the_interactive_page_loads_from_this_server_alone(t: TestApp) {
        let page = t.anonymous().get("/docs").await.expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        let html = page.text();
        let named: Vec<_> = html.split('"').filter(|part| part.starts_with('/')).collect();
        assert!(named.len() >= 4, "{html}");
        for path in named {
            let file = t.anonymous().get(path).await.expect(200);
            assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert!(!file.bytes().is_empty(), "{path}");
        }
        assert!(!html.contains("://"), "nothing comes from elsewhere: {html}");
    }

    async fn the_yaml_document_is_served_too(t: TestApp) {
        let yaml = t.anonymous().get("/openapi.yaml").await.ok();
        assert_eq!(yaml.header("content-type"), Some("application/yaml"));
        for operation in Document(t.document().clone()).operations() {
            assert!(yaml.text().contains(&format!("operationId: {}\n", operation.id)), "{}", operation.id);
        }
    }
}

#[test]
fn the_document_lies_where_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(root.join("openapi/openapi.json").is_file());
    assert!(std::fs::read_to_string(root.join("openapi/README.md")).is_ok_and(|text| text.contains("openapi.json")));
}

/// The path with something in the place of every parameter.
fn fill(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "nothing" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}
