//! Making, changing, listing and deleting projects.

use std::time::Duration;

use harness::app::Options;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::json;

/// The slugs of a list, in its order.
pub fn slugs(answer: &Answer, list: &str) -> Vec<String> {
    let list = answer.json().pointer(list).cloned().unwrap_or_default();
    let slug = |entry: &serde_json::Value| entry["slug"].as_str().unwrap_or_default().to_owned();
    list.as_array().into_iter().flatten().map(slug).collect()
}

on_both! {
    async fn a_project_begins_with_three_environments(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "name": "Web Shop", "description": "sells" });
        let made = acme.owner.post(&acme.path("/projects"), body).await.expect(201);
        assert_eq!((made.at("/slug"), made.at("/description")), ("web-shop".into(), "sells".into()));
        assert_eq!(made.at("/role"), "owner");
        let expected = [("development", "dev"), ("staging", "staging"), ("production", "prod")];
        assert_eq!(slugs(&made, "/environments"), expected.map(|(slug, _)| slug));
        for (index, (_, class)) in expected.into_iter().enumerate() {
            assert_eq!(made.at(&format!("/environments/{index}/class")), class);
            assert_eq!(made.at(&format!("/environments/{index}/revision")), "0");
            assert!(made.at(&format!("/environments/{index}/id")).starts_with("env_"));
        }
        let got = acme.owner.get(&acme.path("/projects/web-shop")).await.expect(200);
        assert_eq!(got.json(), made.json());
    }

    async fn a_slug_belongs_to_one_project_of_the_organisation(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        acme.project("web").await;
        let api = acme.project("api").await;
        zoo.project("web").await;
        acme.owner.post(&acme.path("/projects"), json!({ "name": "Web", "slug": "web" })).await.problem(409, "slug_taken");
        // A slug that was only made from the name gives way.
        let second = acme.owner.post(&acme.path("/projects"), json!({ "name": "Web" })).await.expect(201).at("/slug");
        assert!(second.starts_with("web-") && second.len() == "web-3f09ab".len(), "{second}");
        acme.owner.patch(&api.path, json!({ "slug": "web" })).await.problem(409, "slug_taken");
        let put = json!({ "name": "API", "slug": "web" });
        acme.owner.put(&api.path, put).await.problem(409, "slug_taken");
    }

    async fn patch_changes_what_it_names_and_put_changes_everything(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "name": "Web", "description": "sells" });
        acme.owner.post(&acme.path("/projects"), body).await.expect(201).ok();
        let patched = acme.owner.patch(&acme.path("/projects/web"), json!({ "name": "Shop" })).await.expect(200);
        assert_eq!((patched.at("/name"), patched.at("/slug"), patched.at("/description")),
            ("Shop".into(), "web".into(), "sells".into()));
        acme.owner.put(&acme.path("/projects/web"), json!({ "name": "Shop" })).await.problem(422, "invalid_field");
        let put = acme.owner.put(&acme.path("/projects/web"), json!({ "name": "Shop 2", "slug": "shop" })).await.expect(200);
        assert_eq!((put.at("/name"), put.at("/slug"), put.at("/description")), ("Shop 2".into(), "shop".into(), String::new()));
        acme.owner.get(&acme.path("/projects/web")).await.problem(404, "not_found");
        acme.owner.get(&acme.path("/projects/shop")).await.expect(200).ok();
    }

    async fn a_description_has_2000_characters_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let with = |length: usize| json!({ "name": "Web", "description": "é".repeat(length) });
        let refused = acme.owner.post(&acme.path("/projects"), with(2001)).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "description");
        acme.owner.post(&acme.path("/projects"), with(2000)).await.expect(201).ok();
    }

    async fn a_deleted_project_hides_everything_until_it_is_restored(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let web = acme.project("web").await;
        let env = web.env("development");
        dana.put(&env.secret("A"), json!({ "value": "kept" })).await.ok();
        dana.delete(&web.path).await.problem(403, "forbidden");
        acme.owner.delete(&web.path).await.expect(204).ok();
        for path in [web.path.clone(), format!("{}/environments", web.path), env.0.clone(), env.secrets(), env.secret("A")] {
            acme.owner.get(&path).await.problem(404, "not_found");
            dana.get(&path).await.problem(404, "not_found");
        }
        assert_eq!(acme.owner.get(&acme.path("/projects")).await.at("/pagination/total"), "0");
        acme.owner.post(&acme.path("/projects"), json!({ "name": "web", "slug": "web" })).await.problem(409, "slug_taken");
        let restore = format!("{}/restore", web.path);
        dana.post(&restore, json!({})).await.problem(403, "forbidden");
        let restored = acme.owner.post(&restore, json!({})).await.expect(200);
        assert_eq!(restored.at("/id"), web.id.to_string());
        assert_eq!(dana.get(&env.secret("A")).await.expect(200).at("/value"), "kept");
        acme.owner.post(&restore, json!({})).await.problem(404, "not_found");
    }

    async fn the_list_shows_what_each_may_know_of(t: TestApp) {
        let acme = t.org("acme").await;
        for slug in ["zebra", "api", "web"] {
            acme.project(slug).await;
        }
        let viewer = acme.member("viewer", "viewer").await;
        assert_eq!(slugs(&viewer.get(&acme.path("/projects")).await, "/data"), ["api", "web", "zebra"]);
        let guest = t.person("guest").await;
        let web = acme.owner.get(&acme.path("/projects/web")).await.at("/id");
        acme.grant(guest.id, web.parse().ok(), "viewer").await;
        let list = guest.get(&acme.path("/projects")).await.expect(200);
        assert_eq!((slugs(&list, "/data"), list.at("/pagination/total")), (vec!["web".to_owned()], "1".into()));
        assert_eq!(list.at("/data/0/role"), "viewer");
        guest.get(&acme.path("/projects/api")).await.problem(404, "not_found");
        guest.get(&acme.path("/projects/web")).await.expect(200).ok();
        guest.post(&acme.path("/projects"), json!({ "name": "Mine" })).await.problem(403, "forbidden");
        let page = viewer.get(&acme.path("/projects?limit=2&offset=1")).await.expect(200);
        assert_eq!(slugs(&page, "/data"), ["web", "zebra"]);
        assert_eq!(page.at("/pagination/has_more"), "false");
    }
}

on_each_backend! {
    async fn an_old_sign_in_must_be_renewed_before_a_project_is_deleted(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        t.advance(Duration::from_secs(10 * 60 + 1));
        acme.owner.delete(&web.path).await.problem(428, "step_up_required");
        acme.owner.get(&web.path).await.expect(200).ok();
        acme.owner.signs_in_again().await.delete(&web.path).await.expect(204).ok();
    }
}
