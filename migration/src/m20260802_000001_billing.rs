//! What we keep of Stripe: the customer of an organisation, its subscription, the events of the inbox, and the prices.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }
}

const UP: &[&str] = &[
    // Not tied to the organisation: it outlives it, so that late events still find whom they were about.
    "CREATE TABLE billing_customers (
        org_id {uuid} PRIMARY KEY,
        stripe_customer_id {ascii} NOT NULL,
        livemode BOOLEAN NOT NULL,
        sync_seq BIGINT NOT NULL,
        synced_at BIGINT,
        created_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX billing_customers_stripe ON billing_customers (stripe_customer_id)",
    "CREATE TABLE billing_subscriptions (
        org_id {uuid} PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
        stripe_subscription_id TEXT NOT NULL,
        status TEXT NOT NULL,
        price_id TEXT,
        plan TEXT,
        quantity BIGINT,
        per_seat BOOLEAN NOT NULL,
        current_period_end BIGINT,
        trial_end BIGINT,
        cancel_at_period_end BOOLEAN NOT NULL,
        cancel_at BIGINT,
        past_due_since BIGINT,
        grace_until BIGINT,
        dunning_sent INTEGER NOT NULL,
        trial_told_for BIGINT,
        updated_at BIGINT NOT NULL
    )",
    "CREATE INDEX billing_subscriptions_status ON billing_subscriptions (status)",
    // The inbox: each event once, whatever Stripe sends again. Tries and dead letters are those of its job.
    "CREATE TABLE stripe_events (
        event_id {ascii} PRIMARY KEY,
        kind TEXT NOT NULL,
        api_version TEXT,
        livemode BOOLEAN NOT NULL,
        created BIGINT NOT NULL,
        customer_id {ascii},
        payload {bytes} NOT NULL,
        status TEXT NOT NULL,
        received_at BIGINT NOT NULL,
        done_at BIGINT
    )",
    "CREATE INDEX stripe_events_pending ON stripe_events (customer_id) WHERE status = 'pending'",
    "CREATE INDEX stripe_events_received ON stripe_events (received_at)",
    "CREATE TABLE plan_prices (
        price_id {ascii} PRIMARY KEY,
        lookup_key TEXT NOT NULL,
        plan TEXT NOT NULL,
        billing_interval TEXT NOT NULL,
        version BIGINT NOT NULL,
        per_seat BOOLEAN NOT NULL,
        trial_days INTEGER,
        active BOOLEAN NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE INDEX plan_prices_plan ON plan_prices (plan, billing_interval)",
    // When a look that any process may take was last taken.
    "CREATE TABLE billing_runs (
        name TEXT PRIMARY KEY,
        ran_at BIGINT NOT NULL
    )",
    // How often Stripe and we were found to disagree, by how.
    "CREATE TABLE billing_drift (
        kind TEXT PRIMARY KEY,
        total BIGINT NOT NULL,
        last_at BIGINT NOT NULL
    )",
];
