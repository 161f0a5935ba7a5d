//! Members of any project.

use std::time::Duration;

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{column, newest, root, told};

on_both! {
    async fn a_superuser_lets_others_in_and_out_and_the_owners_are_told(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = t.proved_person("dana").await;
        let (members, log) = (format!("/v1/admin/projects/{}/members", web.id), acme.path("/audit-logs"));
        let viewer = json!({ "email": "dana@example.com", "role": "viewer" });
        let added = root.post(&members, viewer.clone()).await.expect(201);
        assert_eq!((added.at("/id"), added.at("/role")), (dana.id.to_string(), "viewer".into()));
        assert_eq!(newest(&acme.owner, &log).await, told("member.added"));
        assert_eq!(dana.get(&web.path).await.expect(200).at("/role"), "viewer");
        root.post(&members, viewer).await.expect(200).ok();
        let admin = json!({ "email": "dana@example.com", "role": "admin" });
        assert_eq!(root.post(&members, admin).await.expect(200).at("/role"), "admin");
        assert_eq!(column(&root.get(&members).await.expect(200), "email"), ["dana@example.com"]);
        let member = format!("{members}/{}", dana.id);
        let changed = root.patch(&member, json!({ "role": "developer" })).await.expect(200);
        assert_eq!(changed.at("/role"), "developer");
        assert_eq!(newest(&acme.owner, &log).await, told("member.updated"));
        root.patch(&member, json!({ "role": "emperor" })).await.problem(422, "invalid_field");
        root.delete(&member).await.expect(204).ok();
        assert_eq!(newest(&acme.owner, &log).await, told("member.removed"));
        dana.get(&web.path).await.problem(404, "not_found");
        root.delete(&member).await.problem(404, "not_found");
        root.patch(&member, json!({ "role": "viewer" })).await.problem(404, "not_found");
        let nobody = json!({ "email": "nobody@example.com", "role": "viewer" });
        root.post(&members, nobody).await.problem(422, "invalid_field");
    }

    async fn a_superuser_does_not_let_themselves_in(t: TestApp) {
        let root = root(&t).await;
        t.sql("UPDATE user_emails SET verified_at = created_at WHERE canonical = 'root@example.com'").await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let members = format!("/v1/admin/projects/{}/members", web.id);
        for me in [json!({ "user_id": root.id.to_string() }), json!({ "email": "root@example.com" })] {
            let mut body = me;
            body["role"] = json!("viewer");
            root.post(&members, body).await.problem(403, "forbidden");
        }
        root.get(&web.path).await.problem(404, "not_found");
        acme.grant(root.id, Some(web.id), "viewer").await;
        let member = format!("{members}/{}", root.id);
        root.patch(&member, json!({ "role": "owner" })).await.problem(403, "forbidden");
        // Out is another thing.
        root.delete(&member).await.expect(204).ok();
    }
}

on_each_backend! {
    async fn a_new_owner_takes_a_recent_sign_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let root = root(&t).await;
        let web = t.org("acme").await.project("web").await;
        let dana = t.person("dana").await;
        t.advance(Duration::from_secs(601));
        let members = format!("/v1/admin/projects/{}/members", web.id);
        let body = |role: &str| json!({ "user_id": dana.id.to_string(), "role": role });
        root.post(&members, body("owner")).await.problem(428, "step_up_required");
        root.post(&members, body("viewer")).await.expect(201).ok();
        let member = format!("{members}/{}", dana.id);
        root.patch(&member, json!({ "role": "owner" })).await.problem(428, "step_up_required");
        root.signs_in_again().await.patch(&member, json!({ "role": "owner" })).await.expect(200).ok();
    }
}
