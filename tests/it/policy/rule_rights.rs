//! Nobody gives by a rule what they do not hold, restricts those above them, or frees themselves.

use harness::on_both;
use serde_json::json;

use super::{about, give, holder, put, role};

/// What somebody needs who manages rules and reads development.
const KEEPER: &[&str] = &["org:read", "acl:manage", "secrets:read@dev", "envs:read"];

on_both! {
    async fn nobody_allows_what_they_do_not_hold(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let keeper = holder(&t, &acme, "keeper", KEEPER).await;
        let robin = t.person("robin").await;
        for (pattern, permissions) in [
            ("web", &["secrets:read"][..]),
            ("web/development", &["secrets:read"]),
            ("web/@prod", &["secrets:read"]),
            ("web/@dev", &["secrets:write"]),
            ("web", &["members:set_role"]),
        ] {
            for person in [&robin, &keeper] {
                let refused = put(&keeper, &acme, about(person, "allow", pattern, permissions)).await;
                refused.problem(403, "forbidden");
            }
        }
        // In environments of a class it takes what is held in that class.
        put(&keeper, &acme, about(&robin, "allow", "web/@dev", &["secrets:read", "envs:read"])).await.expect(201).ok();
        put(&keeper, &acme, about(&robin, "allow", "web", &["secrets:read@dev"])).await.expect(201).ok();
        let token = acme.owner.token(json!({ "name": "ci", "scopes": ["acl:manage", "org:read"] })).await;
        let rule = about(&robin, "allow", "web/@prod", &["secrets:read"]);
        token.post(&acme.path("/acl"), rule).await.problem(403, "forbidden");
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 2);
    }

    async fn nobody_denies_somebody_who_holds_more(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let admin = acme.member("alex", "admin").await;
        let keeper = holder(&t, &acme, "keeper", KEEPER).await;
        let (dana, vera) = (acme.developer("dana").await, t.person("vera").await);
        acme.grant(vera.id, Some(web.id), "owner").await;
        let deny = |person, permissions: &[&str]| about(person, "deny", "web", permissions);
        for (by, person) in [
            (&keeper, &acme.owner), (&keeper, &admin), (&keeper, &dana), (&admin, &acme.owner), (&admin, &vera),
        ] {
            put(by, &acme, deny(person, &["secrets:read"])).await.problem(403, "forbidden");
        }
        // A role is as high as the highest who holds it.
        let id = role(&acme, "contractor", &["org:read"]).await;
        let subject = json!({ "type": "role", "id": id.to_string() });
        let rule = |effect: &str| json!({ "subject": subject, "effect": effect, "pattern": "web", "permissions": ["secrets:read"] });
        give(&t, &acme, &acme.owner, None, id).await;
        put(&admin, &acme, rule("deny")).await.problem(403, "forbidden");
        let owners = json!({ "type": "role", "name": "owner" });
        let rule = json!({ "subject": owners, "effect": "deny", "pattern": "web", "permissions": ["secrets:read"] });
        put(&admin, &acme, rule).await.problem(403, "forbidden");
        put(&admin, &acme, deny(&dana, &["secrets:read"])).await.expect(201).ok();
        put(&keeper, &acme, deny(&keeper, &["secrets:read"])).await.expect(201).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 2);
    }

    async fn a_denial_is_lifted_only_by_who_could_give_back_what_it_took(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let (keeper, dana) = (holder(&t, &acme, "keeper", KEEPER).await, acme.developer("dana").await);
        let deny = |permissions: &[&str]| about(&dana, "deny", "web", permissions);
        let made = put(&acme.owner, &acme, deny(&["secrets:read", "secrets:write"])).await.expect(201);
        let path = acme.path(&format!("/acl/{}", made.at("/id")));
        keeper.delete(&path).await.problem(403, "forbidden");
        let mut shorter = deny(&["secrets:read", "secrets:write"]);
        shorter["expires_at"] = json!("2999-01-01T00:00:00Z");
        let instead = [deny(&["secrets:read"]), about(&dana, "allow", "web", &["envs:read"]), shorter];
        for rule in instead {
            put(&keeper, &acme, rule).await.problem(403, "forbidden");
        }
        acme.member("alex", "admin").await.delete(&path).await.expect(204).ok();
    }

    async fn nobody_but_an_owner_lifts_a_denial_of_their_own(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (admin, other) = (acme.member("alex", "admin").await, acme.member("robin", "admin").await);
        let made = put(&acme.owner, &acme, about(&admin, "deny", "web", &["secrets:list"])).await.expect(201);
        let path = acme.path(&format!("/acl/{}", made.at("/id")));
        admin.delete(&path).await.problem(403, "forbidden");
        put(&admin, &acme, about(&admin, "allow", "web", &["secrets:list"])).await.problem(403, "forbidden");
        admin.get(&env.keys()).await.problem(403, "forbidden");
        // Nor does it pass on what is denied to it.
        put(&admin, &acme, about(&other, "allow", "web", &["secrets:list"])).await.problem(403, "forbidden");
        other.delete(&path).await.expect(204).ok();
        admin.get(&env.keys()).await.expect(200).ok();
    }

    async fn owners_can_bind_themselves_and_come_free_again(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let subject = json!({ "type": "role", "name": "owner" });
        let rule = json!({ "subject": subject, "effect": "deny", "pattern": "web/@prod", "permissions": ["secrets:list"] });
        let made = put(&acme.owner, &acme, rule).await.expect(201);
        acme.owner.get(&env.keys()).await.problem(403, "forbidden");
        acme.owner.delete(&acme.path(&format!("/acl/{}", made.at("/id")))).await.expect(204).ok();
        acme.owner.get(&env.keys()).await.expect(200).ok();
    }
}
