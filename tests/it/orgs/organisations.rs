//! Making, changing and listing organisations.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn the_slug_comes_from_the_name(t: TestApp) {
        let dana = t.person("dana").await;
        for (name, slug) in [
            ("Acme, Inc.", "acme-inc"),
            ("  Ünder  Örder 7 ", "nder-rder-7"),
            ("9 Lives", "9-lives"),
        ] {
            let made = dana.post("/v1/orgs", json!({ "name": name })).await.expect(201);
            assert_eq!((made.at("/slug"), made.at("/name")), (slug.into(), name.trim().into()));
            assert_eq!((made.at("/role"), made.at("/plan")), ("owner".into(), "self_hosted".into()));
            assert_eq!((made.at("/is_personal"), made.at("/metadata")), ("false".into(), "{}".into()));
            assert!(made.at("/created_at").ends_with('Z') && made.at("/updated_at") == made.at("/created_at"));
        }
        let refused = dana.post("/v1/orgs", json!({ "name": "日本" })).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "slug");
    }

    async fn a_slug_belongs_to_one_organisation(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = t.person("dana").await;
        dana.post("/v1/orgs", json!({ "name": "x", "slug": "acme" })).await.problem(409, "slug_taken");
        dana.patch("/v1/orgs/dana", json!({ "slug": "acme" })).await.problem(409, "slug_taken");
        assert_eq!(dana.get("/v1/orgs/dana").await.expect(200).at("/slug"), "dana");
        acme.owner.patch("/v1/orgs/acme", json!({ "slug": "acme" })).await.expect(200).ok();
    }

    async fn a_slug_that_is_only_made_from_the_name_gives_way(t: TestApp) {
        t.org("acme").await;
        let dana = t.person("dana").await;
        let make = || dana.post("/v1/orgs", json!({ "name": "Acme" }));
        let (a, b, c) = tokio::join!(make(), make(), make());
        let slugs: std::collections::BTreeSet<_> = [a, b, c].into_iter().map(|made| made.expect(201).at("/slug")).collect();
        assert_eq!(slugs.len(), 3);
        assert!(slugs.iter().all(|slug| slug.starts_with("acme-") && slug.len() == "acme-3f09ab".len()), "{slugs:?}");
    }

    async fn what_is_no_slug_is_refused(t: TestApp) {
        let dana = t.person("dana").await;
        for slug in ["", "-a", "Acme", "a_b", "a.b", "a/b", &"a".repeat(64), "org_01h455vb4pex5vsknk084sn02q"] {
            let refused = dana.post("/v1/orgs", json!({ "name": "x", "slug": slug })).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "slug", "{slug}");
        }
        let longest = "a".repeat(63);
        dana.post("/v1/orgs", json!({ "name": "x", "slug": longest })).await.expect(201).ok();
    }

    async fn an_organisation_answers_to_its_id_and_to_its_newest_slug(t: TestApp) {
        let acme = t.org("acme").await;
        let by_id = format!("/v1/orgs/{}", acme.id);
        assert_eq!(acme.owner.get(&by_id).await.expect(200).at("/slug"), "acme");
        let changed = acme.owner.patch(&by_id, json!({ "slug": "acme-2", "name": "Acme 2" })).await.expect(200);
        assert_eq!((changed.at("/slug"), changed.at("/name")), ("acme-2".into(), "Acme 2".into()));
        acme.owner.get("/v1/orgs/acme").await.problem(404, "not_found");
        assert_eq!(acme.owner.get("/v1/orgs/acme-2").await.expect(200).at("/id"), acme.id.to_string());
    }

    async fn metadata_is_replaced_as_a_whole_and_bounded_at_16_kib(t: TestApp) {
        let acme = t.org("acme").await;
        let patch = |metadata: serde_json::Value| acme.owner.patch("/v1/orgs/acme", json!({ "metadata": metadata }));
        patch(json!({ "cost_centre": 7, "tags": ["a", { "b": null }] })).await.expect(200).ok();
        let changed = patch(json!({ "only": "this" })).await.expect(200);
        assert_eq!(changed.json()["metadata"], json!({ "only": "this" }));
        // {"k":"…"} has eight bytes around the text.
        let at_most = 16 * 1024 - 8;
        patch(json!({ "k": "x".repeat(at_most) })).await.expect(200).ok();
        let refused = patch(json!({ "k": "x".repeat(at_most + 1) })).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "metadata");
        patch(json!({})).await.expect(200).ok();
        assert_eq!(acme.owner.get("/v1/orgs/acme").await.json()["metadata"], json!({}));
    }

    async fn a_change_names_what_changed_in_the_journal_and_leaves_the_rest(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.patch("/v1/orgs/acme", json!({ "metadata": { "a": 1 } })).await.ok();
        let changed = acme.owner.patch("/v1/orgs/acme", json!({ "name": "New" })).await.expect(200);
        assert_eq!((changed.at("/slug"), changed.json()["metadata"].clone()), ("acme".into(), json!({ "a": 1 })));
        let events = acme.owner.get("/v1/orgs/acme/audit-logs?action=org.updated").await.expect(200);
        assert_eq!(events.json().pointer("/data/0/metadata/changed"), Some(&json!(["name"])));
        acme.owner.patch("/v1/orgs/acme", json!({ "plan": "free" })).await.problem(422, "invalid_field");
        acme.owner.patch("/v1/orgs/acme", json!({ "name": "" })).await.problem(422, "invalid_field");
    }

    async fn the_list_is_mine_alone_by_name_with_my_role(t: TestApp) {
        let acme = t.org("acme").await;
        let zoo = t.org("zoo").await;
        let dana = acme.developer("dana").await;
        let web = zoo.project("web").await;
        zoo.grant(dana.id, Some(web.id), "viewer").await;
        t.org("hidden").await;
        let list = dana.get("/v1/orgs").await.expect(200).json();
        let roles: Vec<_> = list["data"].as_array().into_iter().flatten()
            .map(|org| (org["slug"].as_str().unwrap_or_default(), org["role"].as_str()))
            .collect();
        assert_eq!(roles, [("acme", Some("developer")), ("dana", Some("owner")), ("zoo", None)]);
        let page = dana.get("/v1/orgs?limit=1&offset=1").await.expect(200);
        assert_eq!((page.at("/data/0/slug"), page.at("/pagination/total")), ("dana".into(), "3".into()));
        assert_eq!((page.at("/pagination/has_more"), page.at("/pagination/limit")), ("true".into(), "1".into()));
        for query in ["limit=0", "limit=101", "limit=-1", "offset=-1", "limit=many"] {
            let refused = dana.get(&format!("/v1/orgs?{query}")).await;
            assert!([400, 422].contains(&refused.status()), "{query}: {}", refused.text());
        }
    }

    async fn a_stranger_is_told_nothing_of_an_organisation(t: TestApp) {
        t.org("acme").await;
        let dana = t.person("dana").await;
        for path in ["/v1/orgs/acme", "/v1/orgs/nowhere"] {
            dana.get(path).await.problem(404, "not_found");
            dana.patch(path, json!({ "name": "Mine" })).await.problem(404, "not_found");
            dana.delete(path).await.problem(404, "not_found");
        }
    }

    async fn a_superuser_lists_everybodys_and_opens_none_of_them(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let root = t.person("root").await;
        t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'").await;
        let slugs = |answer: harness::Answer| -> Vec<String> {
            let json = answer.expect(200).json();
            let list = json["data"].as_array().cloned().unwrap_or_default();
            list.iter().map(|org| org["slug"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let all = root.get("/v1/orgs").await;
        assert_eq!((all.at("/pagination/total"), all.at("/data/0/slug")), ("3".into(), "acme".into()));
        assert_eq!(slugs(all), ["acme", "acme-owner", "root"]);
        assert_eq!(slugs(root.get("/v1/orgs?limit=1&offset=1").await), ["acme-owner"]);
        root.get("/v1/orgs/acme").await.problem(404, "not_found");
        root.get(&project.env("development").secrets()).await.problem(404, "not_found");
        // A token of theirs is no more than anybody's.
        let token = root.token(json!({ "name": "ci" })).await;
        assert_eq!(slugs(token.get("/v1/orgs").await), ["root"]);
        assert_eq!(slugs(acme.owner.get("/v1/orgs").await), ["acme", "acme-owner"]);
    }
}
