//! An organisation that wants a second factor is closed to people without one.

use harness::operations::{Gate, OPERATIONS, Operation};
use harness::{Authenticator, on_both};
use serde_json::json;

use super::Stage;

/// Whether the operation acts in the organisation, so that its wishes count.
fn is_inside(operation: &Operation) -> bool {
    matches!(
        operation.gate,
        Gate::Visible(_)
            | Gate::Org(_)
            | Gate::OrgSession(_)
            | Gate::Project(_)
            | Gate::ProjectSession(_)
            | Gate::DeletedProject(_)
            | Gate::Env(_)
            | Gate::SomeEnv(_)
            | Gate::AnyKey(_)
            | Gate::Key(_)
    )
}

on_both! {
    async fn everything_in_it_is_refused_to_people_without_one_and_nothing_is_told_to_strangers(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let want = "UPDATE orgs SET require_mfa = TRUE WHERE slug = 'acme'";
        let mut asked = 0;
        for operation in OPERATIONS.iter().filter(|operation| is_inside(operation)) {
            stage.reset(operation).await;
            stage.app.sql(want).await;
            let before = stage.state().await;
            for (name, status, code) in [
                ("owner", 403, "second_factor_required"),
                ("viewer", 403, "second_factor_required"),
                ("outsider", 404, "not_found"),
            ] {
                let principal = stage.principals.iter().find(|principal| principal.name == name).expect("a principal");
                let answer = stage.call(&principal.client, operation, &place).await;
                // The one deleted project is hidden from those who could not bring it back.
                let hidden = name == "viewer" && answer.status() == 404;
                let told = (answer.status(), answer.code());
                assert!(hidden || told == (status, code.to_owned()), "{} by {name}: {}", operation.id, answer.text());
                asked += 1;
            }
            assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new(), "{}", operation.id);
        }
        assert!(asked > 90, "{asked}");
        let machine = stage.principals.iter().find(|principal| principal.name == "sa-dev").expect("a machine");
        machine.client.get("/v1/orgs/acme/projects/web/environments/development/secrets").await.expect(200).ok();
    }

    async fn it_opens_with_the_second_factor_to_sessions_and_tokens(t: TestApp) {
        let acme = t.org("acme").await;
        let owner = &acme.owner;
        let token = owner.token(json!({ "name": "ci" })).await;
        t.sql("UPDATE orgs SET require_mfa = TRUE WHERE slug = 'acme'").await;
        for client in [owner.client(), &token] {
            client.get(&acme.path("")).await.problem(403, "second_factor_required");
            let listed = client.get("/v1/orgs").await.expect(200);
            assert!(listed.text().contains("\"acme\""), "lists still show it");
        }
        Authenticator::enable(owner.client(), &t.clock).await;
        owner.get(&acme.path("")).await.expect(200).ok();
        token.get(&acme.path("")).await.expect(200).ok();
        owner.post("/v1/auth/2fa/disable", json!({})).await.expect(204).ok();
        owner.get(&acme.path("")).await.problem(403, "second_factor_required");
        token.get(&acme.path("")).await.problem(403, "second_factor_required");
    }
}
