//! Users of a realm, as its administrators see them.

use harness::on_both;
use harness::people::PASSWORD;
use serde_json::json;

use super::{realm, signs_in, user};

on_both! {
    async fn a_user_is_made_shown_changed_and_deleted(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let users = acme.path("/users");
        let jane = json!({
            "email": "Jane@Acme.co", "display_name": "Jane Chen", "password": PASSWORD, "role": "editor",
            "metadata": { "department": "engineering" },
        });
        let made = acme.owner.post(&users, jane.clone()).await.expect(201);
        assert!(made.at("/id").starts_with("usr_") && !made.text().contains(PASSWORD), "{}", made.text());
        assert_eq!((made.at("/email"), made.at("/org_id")), ("Jane@Acme.co".into(), acme.id.to_string()));
        assert_eq!((made.at("/status"), made.at("/has_password")), ("active".into(), "true".into()));
        assert_eq!(made.json()["roles"], json!(["editor"]));
        let path = format!("{users}/{}", made.at("/id"));
        assert_eq!(acme.owner.get(&path).await.expect(200).json(), made.json());
        let mut again = jane;
        again["email"] = json!("jane@acme.CO");
        acme.owner.post(&users, again).await.problem(409, "email_taken");
        let changed = json!({ "email": "jane.chen@acme.co", "display_name": "Jane C.", "metadata": {} });
        let changed = acme.owner.patch(&path, changed).await.expect(200);
        assert_eq!((changed.at("/email"), changed.at("/display_name")), ("jane.chen@acme.co".into(), "Jane C.".into()));
        assert_eq!(changed.json()["metadata"], json!({}), "replaced as a whole");
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.problem(401, "invalid_credentials");
        signs_in(&t, &acme, "JANE.chen@acme.co ", PASSWORD).await.expect(200).ok();
        user(&acme, "bob@acme.co", "reader").await;
        acme.owner.patch(&path, json!({ "email": "Bob@acme.co" })).await.problem(409, "email_taken");
        acme.owner.delete(&path).await.expect(204).ok();
        acme.owner.get(&path).await.problem(404, "not_found");
        acme.owner.delete(&path).await.problem(404, "not_found");
        user(&acme, "jane.chen@acme.co", "reader").await;
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm_user.deleted")).await.expect(200);
        assert_eq!(log.at("/data/0/resource_id"), made.at("/id"));
    }

    async fn one_address_is_in_two_realms_and_on_the_platform(t: TestApp) {
        let (acme, globex) = (realm(&t, "acme").await, realm(&t, "globex").await);
        let dana = t.proved_person("dana").await;
        let ids = [
            user(&acme, "dana@example.com", "editor").await,
            user(&globex, "dana@example.com", "reader").await,
            dana.id.to_string(),
        ];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        let path = acme.path(&format!("/users/{}", ids[0]));
        acme.owner.patch(&path, json!({ "password": "another horse, another battery" })).await.expect(200).ok();
        signs_in(&t, &acme, "dana@example.com", PASSWORD).await.problem(401, "invalid_credentials");
        signs_in(&t, &globex, "dana@example.com", PASSWORD).await.expect(200).ok();
        let login = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": "bearer" });
        assert_eq!(t.anonymous().post("/v1/auth/login", login).await.expect(200).at("/user/id"), ids[2]);
        for id in &ids[1..] {
            acme.owner.get(&acme.path(&format!("/users/{id}"))).await.problem(404, "not_found");
        }
    }

    async fn what_is_no_user_is_refused_by_its_field(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let users = acme.path("/users");
        for (field, body) in [
            ("email", json!({ "email": "jane" })),
            ("password", json!({ "email": "jane@acme.co", "password": "jane@acme" })),
            ("display_name", json!({ "email": "jane@acme.co", "display_name": "x".repeat(201) })),
            ("role", json!({ "email": "jane@acme.co", "role": "viewer" })),
            ("role", json!({ "email": "jane@acme.co", "role": "nobody" })),
            ("metadata", json!({ "email": "jane@acme.co", "metadata": { "x": "y".repeat(17_000) } })),
        ] {
            let refused = acme.owner.post(&users, body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{}", refused.text());
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM realm_users").await, 0);
        let off = t.org("globex").await;
        let jane = json!({ "email": "jane@acme.co" });
        off.owner.post(&off.path("/users"), jane).await.problem(409, "conflict");
        off.owner.get(&off.path("/users")).await.expect(200).ok();
    }

    async fn users_are_found_by_address_name_and_status(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let users = acme.path("/users");
        for (email, name) in [("jane@acme.co", "Jane Chen"), ("bob@acme.co", "Bob_by"), ("kim@acme.co", "")] {
            let body = json!({ "email": email, "display_name": name });
            acme.owner.post(&users, body).await.expect(201).ok();
        }
        let found = async |query: &str| {
            let listed = acme.owner.get(&format!("{users}?{query}")).await.expect(200).json();
            let emails = listed["data"].as_array().cloned().unwrap_or_default();
            emails.iter().filter_map(|user| user["email"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(found("").await, ["jane@acme.co", "bob@acme.co", "kim@acme.co"]);
        assert_eq!(found("search=CHEN").await, ["jane@acme.co"]);
        assert_eq!(found("search=b_b").await, ["bob@acme.co"], "no letter stands for others");
        assert_eq!(found("search=acme").await.len(), 3);
        let path = acme.owner.get(&format!("{users}?search=kim")).await.expect(200).at("/data/0/id");
        acme.owner.patch(&format!("{users}/{path}"), json!({ "status": "disabled" })).await.expect(200).ok();
        assert_eq!(found("status=disabled").await, ["kim@acme.co"]);
        assert_eq!(found("status=active&search=acme").await, ["jane@acme.co", "bob@acme.co"]);
    }

    async fn roles_of_the_application_are_given_and_taken(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let roles = acme.path(&format!("/users/{id}/roles"));
        let both = acme.owner.post(&roles, json!({ "role": "reader" })).await.expect(201);
        assert_eq!(both.json()["roles"], json!(["editor", "reader"]));
        acme.owner.post(&roles, json!({ "role": "reader" })).await.expect(200).ok();
        for platform in ["owner", "viewer"] {
            let refused = acme.owner.post(&roles, json!({ "role": platform })).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "role");
        }
        let held = acme.owner.delete(&acme.path("/roles/reader")).await.problem(409, "in_use");
        assert_eq!(held.at("/held_by"), "1");
        acme.owner.delete(&format!("{roles}/reader")).await.expect(204).ok();
        acme.owner.delete(&format!("{roles}/reader")).await.problem(404, "not_found");
        acme.owner.delete(&format!("{roles}/viewer")).await.problem(404, "not_found");
        acme.owner.delete(&acme.path("/roles/editor?force=true")).await.expect(204).ok();
        let left = acme.owner.get(&acme.path(&format!("/users/{id}"))).await.expect(200);
        assert_eq!(left.json()["roles"], json!([]));
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm_user.role_removed")).await.expect(200);
        assert_eq!((log.at("/pagination/total"), log.at("/data/0/metadata/role")), ("1".into(), "reader".into()));
    }

    async fn a_user_holds_twenty_roles_at_most(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let roles = acme.path(&format!("/users/{id}/roles"));
        for number in 0..20 {
            super::role(&acme, &format!("r{number}"), &["x:y"]).await;
            let answer = acme.owner.post(&roles, json!({ "role": format!("r{number}") })).await;
            if number < 19 {
                answer.expect(201).ok();
            } else {
                answer.problem(409, "conflict");
            }
        }
    }

    async fn administrators_of_the_realm_need_no_more_than_its_permissions(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let role = json!({ "name": "support", "level": "org", "permissions": ["users:read", "users:manage"] });
        acme.owner.post(&acme.path("/roles"), role).await.expect(201).ok();
        let support = acme.member("support", "support").await;
        let developer = acme.developer("dev").await;
        let users = acme.path("/users");
        let jane = json!({ "email": "jane@acme.co", "role": "editor" });
        support.post(&users, jane.clone()).await.expect(201).ok();
        support.get(&users).await.expect(200).ok();
        support.get(&acme.path("/members")).await.problem(403, "forbidden");
        developer.post(&users, jane).await.problem(403, "forbidden");
        developer.get(&users).await.problem(403, "forbidden");
        t.person("eve").await.get(&users).await.problem(404, "not_found");
    }
}
