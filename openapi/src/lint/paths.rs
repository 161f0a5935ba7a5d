//! Rules of paths: collections are plural nouns; verbs and single things come from a short list.

use std::collections::BTreeSet;

use super::document::Document;

/// Where a path may start or pass: parts of the product, not collections.
const AREAS: &[&str] = &[".well-known", "admin", "auth", "oauth", "setup", "v1"];

/// What one does to the thing before it.
const ACTIONS: &[&str] = &[
    "accept",
    "apply-config",
    "approve",
    "authorize",
    "bulk",
    "bulk-delete",
    "checkout",
    "complete",
    "create-admin",
    "diff",
    "disable",
    "downgrade-preview",
    "enable",
    "exchange",
    "explain",
    "export",
    "forgot",
    "import",
    "introspect",
    "join",
    "leave",
    "link",
    "login",
    "logout",
    "promote",
    "recover",
    "refresh",
    "register",
    "resend",
    "reset",
    "restart",
    "restore",
    "retry",
    "revoke",
    "rollback",
    "rotate-key",
    "rotate-secret",
    "search",
    "send-verification",
    "start",
    "sudo",
    "test",
    "transfer-ownership",
    "validate",
    "verify",
    "watch",
    "who-can",
];

/// Things of which there is one.
const SINGLETONS: &[&str] = &[
    "2fa",
    "access",
    "billing",
    "callback",
    "code",
    "config",
    "device",
    "email",
    "env-example",
    "health",
    "jwks.json",
    "me",
    "oidc",
    "openid-configuration",
    "password",
    "portal",
    "ready",
    "security-log",
    "status",
    "summary",
    "token",
    "userinfo",
    "webhook",
];

/// Collections whose usual name has no plural.
const UNINFLECTED: &[&str] = &["acl", "sso", "template"];

pub fn check(document: &Document<'_>, findings: &mut Vec<String>) {
    let paths: BTreeSet<&str> = document.operations.iter().map(|operation| operation.path).collect();
    for path in paths {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        for (index, segment) in segments.iter().enumerate() {
            let holds_items = segments.get(index + 1).is_some_and(|next| next.starts_with('{'));
            if let Some(fault) = fault(segment, holds_items) {
                findings.push(format!("{path}: `{segment}` {fault}"));
            }
        }
    }
}

fn fault(segment: &str, holds_items: bool) -> Option<&'static str> {
    if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let simple = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return (!simple).then_some("is no parameter in snake_case");
    }
    let allowed = b"-.0123456789";
    if segment.is_empty() || !segment.bytes().all(|b| b.is_ascii_lowercase() || allowed.contains(&b)) {
        return Some("is not in small letters and hyphens");
    }
    let is_collection = is_plural(segment) || UNINFLECTED.contains(&segment);
    let is_known = [AREAS, ACTIONS, SINGLETONS].iter().any(|list| list.contains(&segment));
    match (holds_items, is_collection, is_known) {
        (_, true, _) | (false, false, true) => None,
        (true, false, _) => Some("holds items and is no plural noun"),
        (false, false, false) => Some("is neither a plural noun nor a known action"),
    }
}

fn is_plural(noun: &str) -> bool {
    noun.ends_with('s') && !noun.ends_with("ss") && !noun.ends_with("us")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str) -> Vec<String> {
        let document = json!({"paths": {path: {"get": {}}}});
        let mut findings = Vec::new();
        check(&Document::new(&document), &mut findings);
        findings
    }

    #[test]
    fn plural_collections_and_known_actions_pass() {
        for path in [
            "/health",
            "/.well-known/jwks.json",
            "/v1/orgs",
            "/v1/orgs/{org}/projects/{project}/environments/{env}/secrets/{key}/versions/{n}",
            "/v1/orgs/{org}/projects/{project}/rotate-key",
            "/v1/orgs/{org}/acl/{id}",
            "/v1/auth/token/refresh",
            "/v1/setup/status",
        ] {
            assert_eq!(found(path), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn other_names_are_found() {
        assert_eq!(
            found("/v1/org/{org}"),
            ["/v1/org/{org}: `org` holds items and is no plural noun"]
        );
        assert_eq!(
            found("/v1/orgs/{org}/explode"),
            ["/v1/orgs/{org}/explode: `explode` is neither a plural noun nor a known action"]
        );
        assert_eq!(
            found("/v1/status/{id}"),
            ["/v1/status/{id}: `status` holds items and is no plural noun"]
        );
        assert_eq!(
            found("/v1/auditLogs"),
            ["/v1/auditLogs: `auditLogs` is not in small letters and hyphens"]
        );
        assert_eq!(
            found("/v1/orgs/"),
            ["/v1/orgs/: `` is not in small letters and hyphens"]
        );
        assert_eq!(
            found("/v1/orgs/{orgId}"),
            ["/v1/orgs/{orgId}: `{orgId}` is no parameter in snake_case"]
        );
    }
}
