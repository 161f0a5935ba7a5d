//! Invitations of all organisations.

use harness::on_both;
use serde_json::json;

use super::{column, newest, root, told};

const INVITES: &str = "/v1/admin/invites";

on_both! {
    async fn every_invitation_is_listed_by_how_it_stands(t: TestApp) {
        let root = root(&t).await;
        let (acme, globex) = (t.org("acme").await, t.org("globex").await);
        let web = acme.project("web").await;
        let to_web = acme.owner.post(&format!("{}/invites", web.path), json!({ "email": "dana@example.com" })).await.expect(201);
        let to_org = globex.owner.post(&globex.path("/invites"), json!({ "role": "viewer" })).await.expect(201);
        let used = acme.owner.post(&acme.path("/invites"), json!({ "role": "viewer" })).await.expect(201);
        let erin = t.proved_person("erin").await;
        erin.post(&format!("/v1/invites/{}/accept", used.at("/token")), json!({})).await.expect(201).ok();
        let pending = root.get(INVITES).await.expect(200);
        let mut ids = column(&pending, "id");
        ids.sort();
        let mut expected = vec![to_web.at("/id"), to_org.at("/id")];
        expected.sort();
        assert_eq!(ids, expected);
        assert!(!pending.text().contains("srm_inv_"), "{}", pending.text());
        let accepted = root.get(&format!("{INVITES}?status=accepted")).await.expect(200);
        assert_eq!((column(&accepted, "id"), accepted.at("/data/0/org/slug")), (vec![used.at("/id")], "acme".into()));
        assert_eq!(root.get(&format!("{INVITES}?status=any")).await.expect(200).at("/pagination/total"), "3");
        root.get(&format!("{INVITES}?status=lost")).await.problem(422, "invalid_field");
        let of_web = root.get(&format!("/v1/admin/projects/{}/invites", web.id)).await.expect(200);
        assert_eq!(column(&of_web, "email"), ["dana@example.com"]);
    }

    async fn revoked_an_invitation_is_void_and_its_organisation_is_told(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let link = acme.owner.post(&format!("{}/invites", web.path), json!({ "max_uses": 5 })).await.expect(201);
        let path = format!("{INVITES}/{}", link.at("/id"));
        root.delete(&path).await.expect(204).ok();
        assert_eq!(newest(&acme.owner, &acme.path("/audit-logs")).await, told("invite.revoked"));
        let shown = t.anonymous().get(&format!("/v1/invites/{}", link.at("/token"))).await.expect(200);
        assert_eq!(shown.at("/status"), "revoked");
        root.delete(&path).await.problem(409, "invite_unusable");
        for nothing in ["inv_01h455vb4pex5vsknk084sn02q", "inv_x"] {
            root.delete(&format!("{INVITES}/{nothing}")).await.problem(404, "not_found");
        }
    }
}
