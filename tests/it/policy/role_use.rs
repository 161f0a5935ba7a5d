//! What roles of an organisation's own do for those who hold them, and that nobody climbs by them.

use harness::on_both;
use serde_json::json;

use super::{about, give, holder, put, role};

on_both! {
    async fn a_change_of_a_role_counts_for_its_holders_at_the_next_request(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        let robin = holder(&t, &acme, "robin", &["projects:read", "envs:read"]).await;
        robin.get(&env.secret("A")).await.problem(403, "forbidden");
        let change = |permissions: &[&str]| {
            let body = json!({ "permissions": permissions });
            let path = acme.path("/roles/robin");
            let owner = acme.owner.client().clone();
            async move { owner.patch(&path, body).await.expect(200).ok() }
        };
        change(&["envs:read", "secrets:read@prod"]).await;
        assert_eq!(robin.get(&env.secret("A")).await.expect(200).at("/value"), "v");
        change(&["envs:read", "secrets:read@dev"]).await;
        robin.get(&env.secret("A")).await.problem(403, "forbidden");
        change(&[]).await;
        robin.get(&env.secret("A")).await.problem(404, "not_found");
    }

    async fn a_role_of_an_application_grants_nothing_whatever_it_is_called(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        let body = json!({
            "name": "secrets-read", "level": "org", "audience": "app",
            "permissions": ["secrets:read", "org:read", "roles:manage", "projects:read", "envs:read"],
        });
        let made = acme.owner.post(&acme.path("/roles"), body).await.expect(201);
        assert_eq!(made.at("/permissions/4"), "secrets:read");
        let robin = t.person("robin").await;
        give(&t, &acme, &robin, None, made.at("/id").parse().unwrap()).await;
        for path in [acme.path(""), acme.path("/roles"), acme.path("/projects"), env.secrets(), env.secret("A")] {
            robin.get(&path).await.problem(404, "not_found");
        }
        let rule = json!({
            "subject": { "type": "role", "name": "secrets-read" }, "pattern": "*", "permissions": ["secrets:read"],
        });
        assert_eq!(super::field(put(&acme.owner, &acme, rule).await), "subject.name");
    }

    async fn nobody_makes_a_role_that_grants_what_they_do_not_hold(t: TestApp) {
        let acme = t.org("acme").await;
        let admin = acme.member("alex", "admin").await;
        let robin = holder(&t, &acme, "robin", &["org:read", "roles:manage", "secrets:read@dev"]).await;
        let body = |permissions: &[&str]| json!({ "name": "mine", "level": "org", "permissions": permissions });
        for (person, permissions) in [
            (&admin, &["org:read", "org:delete"][..]),
            (&admin, &["members:set_role"]),
            (&robin, &["secrets:read"]),
            (&robin, &["secrets:read@prod"]),
            (&robin, &["secrets:write@dev"]),
        ] {
            person.post(&acme.path("/roles"), body(permissions)).await.problem(403, "forbidden");
        }
        let project = json!({ "name": "mine", "level": "project", "permissions": ["projects:delete"] });
        admin.post(&acme.path("/roles"), project).await.problem(403, "forbidden");
        robin.post(&acme.path("/roles"), body(&["secrets:read@dev", "secrets:list@dev"])).await.expect(201).ok();
        // An application's permissions are nothing that is held here.
        let app = json!({ "name": "app", "level": "org", "audience": "app", "permissions": ["org:delete"] });
        robin.post(&acme.path("/roles"), app).await.expect(201).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM roles").await, 3);
    }

    async fn nobody_raises_or_lowers_by_a_role_beyond_what_they_hold(t: TestApp) {
        let acme = t.org("acme").await;
        let admin = acme.member("alex", "admin").await;
        role(&acme, "low", &["org:read"]).await;
        role(&acme, "high", &["org:read", "org:delete"]).await;
        let raise = json!({ "permissions": ["org:read", "members:set_role"] });
        admin.patch(&acme.path("/roles/low"), raise).await.problem(403, "forbidden");
        for lower in [json!({ "permissions": ["org:read"] }), json!({ "name": "renamed" })] {
            admin.patch(&acme.path("/roles/high"), lower).await.problem(403, "forbidden");
        }
        admin.delete(&acme.path("/roles/high?force=true")).await.problem(403, "forbidden");
        admin.patch(&acme.path("/roles/low"), json!({ "permissions": ["audit:read"] })).await.expect(200).ok();
        let token = acme.owner.token(json!({ "name": "ci", "scopes": ["roles:manage", "org:read"] })).await;
        token.patch(&acme.path("/roles/low"), json!({ "permissions": ["org:read"] })).await.problem(403, "forbidden");
        assert_eq!(acme.owner.get(&acme.path("/roles/high")).await.at("/permissions/1"), "org:delete");
    }

    async fn a_role_that_is_held_goes_only_by_force_and_with_all_that_hangs_on_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let id = role(&acme, "reader", &["org:read"]).await;
        let (robin, dana) = (t.person("robin").await, acme.developer("dana").await);
        for person in [&robin, &dana] {
            give(&t, &acme, person, None, id).await;
        }
        give(&t, &acme, &robin, Some(web.id), id).await;
        let subject = json!({ "type": "role", "id": id.to_string() });
        let rule = json!({ "subject": subject, "pattern": "web", "permissions": ["secrets:read"] });
        put(&acme.owner, &acme, rule).await.expect(201).ok();
        put(&acme.owner, &acme, about(&robin, "allow", "web", &["envs:read"])).await.expect(201).ok();
        let refused = acme.owner.delete(&acme.path("/roles/reader")).await.problem(409, "in_use");
        assert_eq!(refused.at("/held_by"), "2", "{}", refused.text());
        robin.get(&acme.path("")).await.expect(200).ok();
        acme.owner.delete(&acme.path("/roles/reader?force=true")).await.expect(204).ok();
        robin.get(&acme.path("")).await.problem(403, "forbidden");
        dana.get(&acme.path("")).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM roles").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 1, "the rule about the person stays");
        let events = t.number("SELECT COUNT(*) FROM journal WHERE action = 'role.deleted' AND data LIKE '%\"held_by\":2%'").await;
        assert_eq!(events, 1);
        acme.owner.delete(&acme.path("/roles/reader")).await.problem(404, "not_found");
    }

    async fn an_invitation_or_a_join_policy_holds_a_role_too(t: TestApp) {
        let acme = t.org("acme").await;
        let id = role(&acme, "reader", &["org:read"]).await;
        t.sql("UPDATE orgs SET join_role_id = (SELECT id FROM roles) WHERE slug = 'acme'").await;
        let refused = acme.owner.delete(&acme.path("/roles/reader")).await.problem(409, "in_use");
        assert_eq!((refused.at("/held_by"), refused.at("/join_policies")), ("0".into(), "1".into()));
        acme.owner.delete(&acme.path(&format!("/roles/{id}?force=true"))).await.expect(204).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs WHERE join_role_id IS NOT NULL").await, 0);
    }

    async fn nobody_escapes_a_denial_by_deleting_the_role_that_it_is_about(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let admin = acme.member("alex", "admin").await;
        let id = role(&acme, "contractor", &["org:read"]).await;
        give(&t, &acme, &admin, None, id).await;
        let subject = json!({ "type": "role", "id": id.to_string() });
        let rule = json!({ "subject": subject, "effect": "deny", "pattern": "*", "permissions": ["secrets:list"] });
        put(&acme.owner, &acme, rule).await.expect(201).ok();
        admin.get(&env.keys()).await.problem(403, "forbidden");
        admin.delete(&acme.path("/roles/contractor?force=true")).await.problem(403, "forbidden");
        admin.get(&env.keys()).await.problem(403, "forbidden");
        acme.owner.delete(&acme.path("/roles/contractor?force=true")).await.expect(204).ok();
        admin.get(&env.keys()).await.expect(200).ok();
    }
}
