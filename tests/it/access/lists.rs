//! A list shows what could be opened, and nothing else.

use harness::matrix::Principal;
use harness::on_both;
use serde_json::Value;

use super::Stage;

/// A text of every entry of a list.
fn each(list: &Value, name: &str) -> Vec<String> {
    let entries = list["data"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry[name].as_str().map(str::to_owned))
        .collect()
}

/// What a principal finds under a path; nothing when it is refused.
async fn list(principal: &Principal, path: &str, name: &str) -> Vec<String> {
    each(&principal.client.get(&format!("{path}?limit=100")).await.json(), name)
}

/// Asserts that an entry of a list is not absent when it is asked for by itself.
async fn is_known(principal: &Principal, path: &str) {
    let answer = principal.client.get(path).await;
    assert!(
        matches!(answer.status(), 200 | 403),
        "{} lists {path} and gets {}",
        principal.name,
        answer.status()
    );
}

on_both! {
    async fn what_a_list_shows_can_be_asked_for_and_what_it_hides_is_absent(t: TestApp) {
        let stage = Stage::new(t).await;
        // A superuser sees every organisation in the list, and none of them opens.
        let known = stage.principals.iter().filter(|principal| principal.known.is_some());
        for principal in known.filter(|principal| principal.name != "root") {
            for org in list(principal, "/v1/orgs", "slug").await {
                is_known(principal, &format!("/v1/orgs/{org}")).await;
            }
            let projects = list(principal, "/v1/orgs/acme/projects", "slug").await;
            for project in ["web", "ops", "old"] {
                let path = format!("/v1/orgs/acme/projects/{project}");
                let answer = principal.client.get(&path).await;
                let shown = projects.iter().any(|slug| slug == project);
                let scoped = answer.code() == "insufficient_scope" && !shown;
                assert!(scoped || shown == (answer.status() != 404), "{} {path}: {}", principal.name, answer.text());
                for env in list(principal, &format!("{path}/environments"), "slug").await {
                    is_known(principal, &format!("{path}/environments/{env}")).await;
                }
            }
        }
    }

    async fn a_person_sees_the_same_organisations_in_the_list_and_in_the_account(t: TestApp) {
        let stage = Stage::new(t).await;
        for name in ["owner", "p-viewer", "outsider", "invitee", "removed", "lapsed", "on-call", "custom", "app-role"] {
            let principal = stage.principals.iter().find(|principal| principal.name == name).expect("a principal");
            let listed = list(principal, "/v1/orgs", "slug").await;
            let me = principal.client.get("/v1/auth/me").await.expect(200).json();
            let orgs = me["orgs"].as_array().expect("a list");
            let own: Vec<_> = orgs.iter().filter_map(|org| org["slug"].as_str()).collect();
            assert_eq!(listed, own, "{name}");
            let belongs = matches!(name, "owner" | "p-viewer" | "on-call" | "custom");
            assert_eq!(listed.iter().any(|slug| slug == "acme"), belongs, "{name}: {listed:?}");
        }
    }
}
