//! Whatever superusers do to each other at the same moment, one of them stays.

use harness::{Answer, Person, TestApp, on_both};
use serde_json::json;

use super::superuser;

/// Rounds of each race.
const ROUNDS: usize = 4;
/// Superusers whose accounts are in order.
const ACTIVE: &str = "SELECT COUNT(*) FROM users WHERE is_superuser AND disabled_at IS NULL";

async fn demote(by: &Person, whom: &Person) -> Answer {
    let path = format!("/v1/admin/users/{}", whom.id);
    by.patch(&path, json!({ "is_superuser": false })).await
}

async fn switch_off(by: &Person, whom: &Person) -> Answer {
    let path = format!("/v1/admin/users/{}", whom.id);
    by.patch(&path, json!({ "is_active": false })).await
}

async fn delete(by: &Person, whom: &Person) -> Answer {
    by.delete(&format!("/v1/admin/users/{}", whom.id)).await
}

/// Of the two, one did it, and one superuser is left.
async fn one_stays(t: &TestApp, answers: [Answer; 2]) {
    let shown = answers.each_ref().map(Answer::text).join(" ");
    let done = answers.iter().filter(|answer| answer.status() < 300).count();
    assert_eq!(done, 1, "{shown}");
    let refused = answers.iter().find(|answer| answer.status() >= 300).expect("a refusal");
    // Whose account is gone is not known; who is no superuser may not; who would be the last cannot.
    assert!(matches!(refused.status(), 401 | 403 | 404 | 409), "{shown}");
    assert_eq!(t.number(ACTIVE).await, 1, "{shown}");
}

async fn two(t: &TestApp, race: &str, round: usize) -> (Person, Person) {
    t.sql("UPDATE users SET is_superuser = FALSE").await;
    let one = superuser(t, &format!("{race}-one-{round}")).await;
    let two = superuser(t, &format!("{race}-two-{round}")).await;
    (one, two)
}

on_both! {
    async fn of_two_who_demote_each_other_one_stays(t: TestApp) {
        for round in 0..ROUNDS {
            let (one, two) = two(&t, "demote", round).await;
            let (a, b) = tokio::join!(demote(&one, &two), demote(&two, &one));
            one_stays(&t, [a, b]).await;
        }
    }

    async fn of_two_who_switch_each_other_off_one_stays(t: TestApp) {
        for round in 0..ROUNDS {
            let (one, two) = two(&t, "off", round).await;
            let (a, b) = tokio::join!(switch_off(&one, &two), demote(&two, &one));
            one_stays(&t, [a, b]).await;
        }
    }

    async fn of_two_who_delete_each_other_one_stays(t: TestApp) {
        for round in 0..ROUNDS {
            let (one, two) = two(&t, "delete", round).await;
            let (a, b) = tokio::join!(delete(&one, &two), delete(&two, &one));
            one_stays(&t, [a, b]).await;
        }
    }

    async fn of_two_who_go_by_themselves_one_stays(t: TestApp) {
        for round in 0..ROUNDS {
            let (one, two) = two(&t, "go", round).await;
            let (a, b) = tokio::join!(one.delete("/v1/auth/me"), two.delete("/v1/auth/me"));
            one_stays(&t, [a, b]).await;
        }
    }

    async fn the_only_one_whose_account_is_in_order_is_the_last(t: TestApp) {
        let root = superuser(&t, "root").await;
        let other = superuser(&t, "other").await;
        switch_off(&root, &other).await.expect(200).ok();
        root.delete("/v1/auth/me").await.problem(409, "conflict");
        delete(&root, &other).await.expect(204).ok();
        assert_eq!(t.number(ACTIVE).await, 1);
        // The first run is over for good.
        let status = t.anonymous().get("/v1/setup/status").await.expect(200);
        assert_eq!(status.json(), json!({ "setup_required": false }));
    }
}
