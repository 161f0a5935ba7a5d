//! Reads never stop for money: every GET, in every state that a subscription can be in.

use domain::kernel::Reads;
use domain::kernel::config::Plan;
use domain::limits::plan::{PlanSource, set};
use harness::on_both;
use harness::operations::{Gate, OPERATIONS, endpoints};
use reqwest::Method;
use sea_orm::ConnectionTrait;

use crate::access::Stage;

/// All that the payment service can say, and a word that it may come up with.
const STATES: [&str; 9] = [
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "unheard_of",
];

on_both! {
    async fn every_read_answers_in_every_state_also_far_over_the_limit(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let served = endpoints(stage.app.document());
        let reads: Vec<_> = OPERATIONS
            .iter()
            .filter(|operation| served[operation.id].method == Method::GET && operation.gate != Gate::Superuser)
            .collect();
        assert!(reads.len() > 40, "{}", reads.len());
        // Nothing at all is allowed, and every project is frozen.
        stage
            .app
            .sql(
                "INSERT INTO plan_limits (plan, key, value, updated_at)
                    SELECT 'free', key, 0, 0 FROM (SELECT 'projects' AS key UNION ALL SELECT 'members' UNION ALL
                    SELECT 'environments_per_project' UNION ALL SELECT 'secrets_per_project' UNION ALL SELECT 'tokens'
                    UNION ALL SELECT 'service_accounts' UNION ALL SELECT 'webhooks' UNION ALL SELECT 'templates'
                    UNION ALL SELECT 'acl_rules' UNION ALL SELECT 'api_requests_month') k",
            )
            .await;
        for sql in reads.iter().filter_map(|operation| operation.prepare) {
            stage.app.sql(sql).await;
        }
        for state in STATES {
            let org = stage.world.own.org_id;
            let sql = "INSERT INTO billing_subscriptions (org_id, stripe_subscription_id, status, per_seat,
                    cancel_at_period_end, dunning_sent, updated_at)
                VALUES ($1, 'sub_1', $2, FALSE, TRUE, 0, 0) ON CONFLICT (org_id) DO UPDATE SET status = $2";
            let tx = stage.app.db().begin_write().await.unwrap();
            tx.conn().execute_raw(tx.sql(sql, [org.into(), state.into()])).await.unwrap();
            set(&tx, org, Plan::Free, PlanSource::Subscription).await.unwrap();
            tx.commit_bookkeeping().await.unwrap();
            stage.app.sql("UPDATE projects SET frozen_at = 1").await;
            stage.app.app().meter.flush().await.unwrap();
            for operation in &reads {
                let answer = stage.call(stage.doer(operation), operation, &place).await;
                assert_eq!(answer.status(), operation.success, "{state}: {}: {}", operation.id, answer.text());
            }
        }
    }
}
