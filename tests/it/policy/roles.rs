//! Making, changing and deleting roles.

use harness::on_both;
use serde_json::{Value, json};

use super::{field, role};

/// The names of a list, in order.
fn names(list: &Value) -> Vec<&str> {
    let entries = list["data"].as_array().expect("a list");
    entries.iter().filter_map(|role| role["name"].as_str()).collect()
}

on_both! {
    async fn built_in_roles_come_first_and_filters_narrow(t: TestApp) {
        let acme = t.org("acme").await;
        role(&acme, "auditor", &["audit:read"]).await;
        let body = json!({ "name": "auditor", "level": "project", "audience": "app", "permissions": ["reports:read"] });
        acme.owner.post(&acme.path("/roles"), body).await.expect(201).ok();
        let listed = |query: &str| acme.path(&format!("/roles?limit=100&{query}"));
        let all = acme.owner.get(&listed("")).await.expect(200).json();
        let builtin = ["owner", "admin", "developer", "viewer", "member", "owner", "admin", "developer", "viewer"];
        assert_eq!(names(&all), [&builtin[..], &["auditor", "auditor"]].concat());
        assert!(all["data"].as_array().unwrap().iter().all(|role| role["builtin"] == role["created_at"].is_null()));
        let org = acme.owner.get(&listed("level=org")).await.json();
        assert_eq!(names(&org), ["owner", "admin", "developer", "viewer", "member", "auditor"]);
        assert_eq!(names(&acme.owner.get(&listed("audience=app")).await.json()), ["auditor"]);
        assert_eq!(names(&acme.owner.get(&listed("audience=app&level=org")).await.json()), Vec::<&str>::new());
        assert_eq!(field(acme.owner.get(&listed("level=planet")).await), "level");
    }

    async fn a_role_is_found_by_id_and_by_name_within_its_level(t: TestApp) {
        let acme = t.org("acme").await;
        let id = role(&acme, "auditor", &["audit:read", "org:read"]).await;
        let shown = acme.owner.get(&acme.path("/roles/auditor")).await.expect(200);
        assert_eq!((shown.at("/id"), shown.at("/display_name")), (id.to_string(), "auditor".into()));
        assert_eq!(shown.json()["permissions"], json!(["org:read", "audit:read"]));
        assert_eq!(acme.owner.get(&acme.path(&format!("/roles/{id}"))).await.expect(200).json(), shown.json());
        acme.owner.get(&acme.path("/roles/auditor?level=project")).await.problem(404, "not_found");
        let (org, project) = (acme.path("/roles/owner"), acme.path("/roles/owner?level=project"));
        let (org, project) = (acme.owner.get(&org).await.expect(200), acme.owner.get(&project).await.expect(200));
        assert_eq!((org.at("/display_name"), project.at("/display_name")), ("Owner".into(), "Project owner".into()));
        assert_ne!(org.at("/id"), project.at("/id"));
        let zoo = t.org("zoo").await;
        for name in ["auditor", &id.to_string()] {
            zoo.owner.get(&zoo.path(&format!("/roles/{name}"))).await.problem(404, "not_found");
        }
    }

    async fn names_are_unique_within_a_level_built_in_ones_included(t: TestApp) {
        let acme = t.org("acme").await;
        role(&acme, "auditor", &[]).await;
        role(&acme, "other", &[]).await;
        let body = |name: &str, level: &str| json!({ "name": name, "level": level, "permissions": [] });
        for (name, level) in [("auditor", "org"), ("admin", "org"), ("member", "org"), ("admin", "project")] {
            acme.owner.post(&acme.path("/roles"), body(name, level)).await.problem(409, "conflict");
        }
        acme.owner.post(&acme.path("/roles"), body("auditor", "project")).await.expect(201).ok();
        acme.owner.post(&acme.path("/roles"), body("member", "project")).await.expect(201).ok();
        for taken in ["auditor", "owner"] {
            acme.owner.patch(&acme.path("/roles/other"), json!({ "name": taken })).await.problem(409, "conflict");
        }
        acme.owner.patch(&acme.path("/roles/other"), json!({ "name": "other" })).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM roles").await, 4);
    }

    async fn what_is_no_role_is_refused_by_its_field(t: TestApp) {
        let acme = t.org("acme").await;
        for (more, expected) in [
            (json!({ "name": "Auditor" }), "name"),
            (json!({ "name": "" }), "name"),
            (json!({ "display_name": "x".repeat(201) }), "display_name"),
            (json!({ "level": "team" }), "level"),
            (json!({ "audience": "all" }), "audience"),
            (json!({ "permissions": ["org:read", "secrets:explode"] }), "permissions[1]"),
            (json!({ "permissions": ["audit:read@dev"] }), "permissions[0]"),
            (json!({ "level": "project", "permissions": ["secrets:read", "org:read"] }), "permissions[1]"),
            (json!({ "audience": "app", "permissions": ["Comments:write"] }), "permissions[0]"),
            (json!({ "audience": "app", "permissions": vec!["a"; 101] }), "permissions"),
            (json!({ "permissions": "org:read" }), "permissions"),
        ] {
            let mut body = json!({ "name": "auditor", "level": "org", "permissions": [] });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(field(acme.owner.post(&acme.path("/roles"), body.clone()).await), expected, "{body}");
        }
        role(&acme, "auditor", &["org:read"]).await;
        let patch = json!({ "display_name": "Changed", "permissions": ["org:reed"] });
        assert_eq!(field(acme.owner.patch(&acme.path("/roles/auditor"), patch).await), "permissions[0]");
        let shown = acme.owner.get(&acme.path("/roles/auditor")).await.expect(200);
        assert_eq!((shown.at("/display_name"), shown.at("/permissions/0")), ("auditor".into(), "org:read".into()));
    }

    async fn built_in_roles_neither_change_nor_go(t: TestApp) {
        let acme = t.org("acme").await;
        let id = acme.owner.get(&acme.path("/roles/viewer")).await.at("/id");
        for path in ["/roles/owner", "/roles/viewer?level=project", &format!("/roles/{id}")] {
            acme.owner.patch(&acme.path(path), json!({ "permissions": [] })).await.problem(409, "conflict");
            let forced = format!("{path}{}force=true", if path.contains('?') { '&' } else { '?' });
            acme.owner.delete(&acme.path(&forced)).await.problem(409, "conflict");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action LIKE 'role.%'").await, 0);
    }

    async fn whoever_may_not_manage_roles_only_looks_at_them(t: TestApp) {
        let acme = t.org("acme").await;
        role(&acme, "auditor", &[]).await;
        let (dana, mallory) = (acme.developer("dana").await, t.person("mallory").await);
        let body = json!({ "name": "mine", "level": "org", "permissions": [] });
        dana.get(&acme.path("/roles")).await.expect(200).ok();
        dana.get(&acme.path("/roles/auditor")).await.expect(200).ok();
        for (person, status, code) in [(&dana, 403, "forbidden"), (&mallory, 404, "not_found")] {
            person.post(&acme.path("/roles"), body.clone()).await.problem(status, code);
            person.patch(&acme.path("/roles/auditor"), json!({ "name": "mine" })).await.problem(status, code);
            person.delete(&acme.path("/roles/auditor")).await.problem(status, code);
        }
        mallory.get(&acme.path("/roles")).await.problem(404, "not_found");
    }
}
