//! Single sign-on and tokens of other issuers.

use harness::TestApp;
use serde_json::json;

use super::Walk;
use crate::sso::{Way, cookie, liar, settings, tell};

impl Walk {
    /// Needs an organisation and a service account.
    pub async fn federation(&mut self, t: &TestApp) {
        let node = liar();
        self.does("update_org_sso", settings(&node), 200).await;
        self.get("get_org_sso").await;
        self.does("test_org_sso", json!({ "login": true }), 200).await;
        self.names.insert("provider", self.names["org"].clone());
        self.get("get_sso_providers").await;
        let anyone = self.anonymous.clone();
        let begun = self.call_as(&anyone, "start_sso", "?next=/docs", None, 303).await;
        let way = Way {
            url: begun.header("location").expect("a way").to_owned(),
            half: cookie(&begun, "strongroom-sso").expect("its half"),
        };
        let path = way.there(t).await;
        let (_, query) = path.split_once('?').expect("a query");
        let browser = anyone.with("Cookie", &way.half);
        let query = format!("?{query}");
        // Its address is that of an account that is there, which nobody gets at.
        let refused = browser.get(&path).await;
        assert!(matches!(refused.status(), 303 | 403), "{query}: {}", refused.text());
        let joining = self.done("link_sso", 200).await;
        let way = Way {
            url: joining.at("/authorization_url"),
            half: cookie(&joining, "strongroom-sso").expect("its half"),
        };
        let lie = json!({ "claims": { "sub": "walker", "email": "walker@example.com" } });
        tell(&node, "/control", lie).await.expect(204).ok();
        let path = way.there(t).await;
        let (_, query) = path.split_once('?').expect("a query");
        let browser = self.client.with("Cookie", &way.half);
        self.call_as(&browser, "finish_sso", &format!("?{query}"), None, 303)
            .await;
        let own = self.get("list_sso_identities").await;
        self.names.insert("identity", own.at("/data/0/id"));
        self.done("unlink_sso", 204).await;
        self.done("delete_org_sso", 204).await;
        let nobody = self.anonymous.clone();
        self.call_as(&nobody, "logout_sso", "", None, 200).await;
        self.keyless(t, &node).await;
    }

    async fn keyless(&mut self, t: &TestApp, node: &harness::node::Node) {
        let robot = json!({ "name": "job", "with_key": false });
        let robot = self.does("create_service_account", robot, 201).await.at("/id");
        self.names.insert("service_account", robot.clone());
        let rule = json!({ "name": "ci", "issuer": node.url, "audience": "here", "claims": { "sub": "job-*" } });
        let rule = self.does("create_federated_identity", rule, 201).await;
        self.names.insert("federated_identity", rule.at("/id"));
        let now = t.clock.now().secs();
        let claims = json!({ "iss": node.url, "aud": "here", "sub": "job-1", "jti": "1", "iat": now, "exp": now + 60 });
        let token = tell(node, "/mint", json!({ "claims": claims }))
            .await
            .expect(200)
            .text();
        let trade = json!({ "service_account": robot, "token": token });
        self.does("exchange_token", trade, 200).await;
        self.get("list_federated_identities").await;
        self.done("delete_federated_identity", 204).await;
        self.done("delete_service_account", 204).await;
    }

    /// As a superuser.
    pub async fn instance_provider(&mut self, root: &harness::Client) {
        let node = liar();
        self.call_as(root, "update_admin_oidc", "", Some(settings(&node)), 200)
            .await;
        self.call_as(root, "get_admin_oidc", "", None, 200).await;
        self.call_as(root, "test_admin_oidc", "", Some(json!({ "login": true })), 200)
            .await;
        self.call_as(root, "update_admin_oidc", "", Some(json!({ "enabled": false })), 200)
            .await;
    }
}
