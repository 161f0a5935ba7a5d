//! Environments and their classes.

use harness::on_both;
use serde_json::json;

use super::lifecycle::slugs;

on_both! {
    async fn the_class_comes_from_the_name_and_what_is_unknown_is_production(t: TestApp) {
        let acme = t.org("acme").await;
        let envs = format!("{}/environments", acme.project("web").await.path);
        for (slug, class) in [
            ("dev", "dev"), ("local", "dev"), ("test", "dev"), ("ci", "dev"), ("preview", "dev"),
            ("stage", "staging"), ("uat", "staging"), ("qa", "staging"), ("pre-prod", "staging"),
            ("prod", "prod"), ("eu-west", "prod"), ("devel", "prod"), ("development-2", "prod"), ("canary", "prod"),
        ] {
            let made = acme.owner.post(&envs, json!({ "name": slug })).await.expect(201);
            assert_eq!((made.at("/slug"), made.at("/class")), (slug.into(), class.into()));
            assert_eq!((made.at("/revision"), made.at("/protected")), ("0".into(), "false".into()));
        }
        let body = json!({ "name": "Sandbox", "class": "dev", "protected": true });
        let made = acme.owner.post(&envs, body).await.expect(201);
        assert_eq!((made.at("/class"), made.at("/protected")), ("dev".into(), "true".into()));
        acme.owner.post(&envs, json!({ "name": "x", "class": "moon" })).await.problem(422, "invalid_field");
    }

    async fn a_custom_environment_is_read_as_production_is(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let web = acme.project("web").await;
        let envs = format!("{}/environments", web.path);
        acme.owner.post(&envs, json!({ "name": "canary" })).await.expect(201).ok();
        acme.owner.put(&web.env("canary").secret("A"), json!({ "value": "v" })).await.ok();
        dana.get(&web.env("canary").secret("A")).await.problem(403, "forbidden");
        acme.owner.patch(&web.env("canary").0, json!({ "class": "dev" })).await.expect(200).ok();
        dana.get(&web.env("canary").secret("A")).await.expect(200).ok();
    }

    async fn a_slug_belongs_to_one_live_environment_of_the_project(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let envs = format!("{}/environments", web.path);
        acme.owner.post(&envs, json!({ "name": "Staging" })).await.problem(409, "slug_taken");
        acme.owner.patch(&web.env("staging").0, json!({ "slug": "production" })).await.problem(409, "slug_taken");
        let old = acme.owner.get(&web.env("staging").0).await.at("/id");
        acme.owner.put(&web.env("staging").secret("A"), json!({ "value": "old" })).await.ok();
        acme.owner.delete(&web.env("staging").0).await.expect(204).ok();
        acme.owner.get(&web.env("staging").secret("A")).await.problem(404, "not_found");
        let new = acme.owner.post(&envs, json!({ "name": "Staging" })).await.expect(201);
        assert_ne!(new.at("/id"), old);
        assert_eq!(new.at("/revision"), "0");
        acme.owner.get(&web.env("staging").secret("A")).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(&web.env("staging").secrets()).await.expect(200).json()["data"], json!([]));
        acme.owner.get(&web.env(&old).0).await.problem(404, "not_found");
    }

    async fn patch_changes_what_it_names_and_put_changes_everything(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let path = web.env("staging").0;
        let patched = acme.owner.patch(&path, json!({ "protected": true })).await.expect(200);
        assert_eq!((patched.at("/protected"), patched.at("/class"), patched.at("/slug")),
            ("true".into(), "staging".into(), "staging".into()));
        acme.owner.put(&path, json!({ "name": "Stage" })).await.problem(422, "invalid_field");
        let body = json!({ "name": "Stage", "slug": "stage", "class": "prod" });
        let put = acme.owner.put(&path, body).await.expect(200);
        assert_eq!((put.at("/name"), put.at("/slug"), put.at("/class"), put.at("/protected")),
            ("Stage".into(), "stage".into(), "prod".into(), "false".into()));
        assert_eq!(put.at("/id"), patched.at("/id"));
        acme.owner.get(&path).await.problem(404, "not_found");
    }

    async fn the_last_environment_stays(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        for slug in ["development", "staging"] {
            acme.owner.delete(&web.env(slug).0).await.expect(204).ok();
        }
        acme.owner.delete(&web.env("production").0).await.problem(409, "conflict");
        acme.owner.get(&web.env("production").0).await.expect(200).ok();
    }

    async fn environments_are_listed_in_the_order_of_their_making(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let envs = format!("{}/environments", web.path);
        acme.owner.post(&envs, json!({ "name": "Canary" })).await.expect(201).ok();
        let list = acme.owner.get(&envs).await.expect(200);
        assert_eq!(slugs(&list, "/data"), ["development", "staging", "production", "canary"]);
        let page = acme.owner.get(&format!("{envs}?limit=2&offset=3")).await.expect(200);
        assert_eq!((slugs(&page, "/data"), page.at("/pagination/total")), (vec!["canary".to_owned()], "4".into()));
        let dana = acme.developer("dana").await;
        dana.post(&envs, json!({ "name": "Mine" })).await.problem(403, "forbidden");
        dana.delete(&web.env("staging").0).await.problem(403, "forbidden");
    }

    async fn a_revision_counts_every_change_of_the_environment_alone(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("staging");
        for value in ["1", "2", "2", "3"] {
            acme.owner.put(&env.secret("A"), json!({ "value": value })).await.ok();
        }
        acme.owner.delete(&env.secret("A")).await.expect(200).ok();
        assert_eq!(acme.owner.get(&env.0).await.at("/revision"), "4");
        assert_eq!(acme.owner.get(&web.env("production").0).await.at("/revision"), "0");
    }

    async fn nobody_gains_secrets_by_giving_an_environment_another_class(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let production = project.env("production");
        acme.owner.put(&production.secret("A"), json!({ "value": "hidden" })).await.expect(201).ok();
        let eve = t.person("eve").await;
        let given = json!({ "user_id": eve.id.to_string(), "role": "developer", "env_classes": ["dev"] });
        acme.owner.post(&format!("{}/members", project.path), given).await.expect(201).ok();
        eve.get(&production.secret("A")).await.problem(403, "forbidden");
        eve.patch(&production.0, json!({ "class": "dev" })).await.problem(403, "forbidden");
        eve.patch(&production.0, json!({ "class": "prod", "name": "Live" })).await.expect(200).ok();
        eve.get(&production.secret("A")).await.problem(403, "forbidden");
        acme.owner.patch(&production.0, json!({ "class": "staging" })).await.expect(200).ok();
    }

    async fn the_protection_is_lifted_by_those_who_may_change_the_template(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("staging");
        let dana = t.person("dana").await;
        acme.grant(dana.id, Some(project.id), "developer").await;
        dana.patch(&env.0, json!({ "protected": false })).await.expect(200).ok();
        dana.patch(&env.0, json!({ "protected": true })).await.expect(200).ok();
        dana.patch(&env.0, json!({ "protected": false })).await.problem(403, "forbidden");
        acme.owner.patch(&env.0, json!({ "protected": false })).await.expect(200).ok();
    }
}
