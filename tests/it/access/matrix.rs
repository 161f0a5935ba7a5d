//! Every operation × every principal, against the running server.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use harness::matrix::policy::{cell, predicted};
use harness::matrix::{Place, Principal, State};
use harness::on_both;
use harness::operations::{Gate, JOURNALED_READS, OPERATIONS, Operation};

use super::Stage;

/// What the golden table's cells mean.
const LEGEND: &str = "403 seen, not allowed. 403t the token is too narrow. 403s only a session may. 404 absent or hidden. 409 there is none to do it to. 501 let in, and nothing is sold here.";

on_both! {
    async fn every_operation_has_a_row_and_every_row_an_operation(t: TestApp) {
        let served: BTreeSet<_> = harness::operations::endpoints(t.document()).into_keys().collect();
        let rows: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id.to_owned()).collect();
        assert_eq!(served, rows);
        assert_eq!(rows.len(), OPERATIONS.len(), "no row twice");
    }

    async fn everybody_may_do_what_the_policy_says_of_accounts_and_the_instance(t: TestApp) {
        let table = table(&Stage::new(t).await, |operation| !operation.gate.is_in_org()).await;
        insta::assert_snapshot!("accounts", table);
    }

    async fn everybody_may_do_what_the_policy_says_of_organisations(t: TestApp) {
        let is_ours = |operation: &Operation| operation.gate.is_in_org() && !operation.gate.is_in_env();
        let table = table(&Stage::new(t).await, is_ours).await;
        insta::assert_snapshot!("organisations", table);
    }

    async fn everybody_may_do_what_the_policy_says_inside_environments(t: TestApp) {
        let table = table(&Stage::new(t).await, |operation| operation.gate.is_in_env()).await;
        insta::assert_snapshot!("inside_environments", table);
    }
}

/// Everybody's answers to some operations, each held to the policy; a refusal changes nothing.
async fn table(stage: &Stage, which: impl Fn(&Operation) -> bool) -> String {
    let mut table = Table::new(stage);
    for operation in OPERATIONS.iter().filter(|operation| which(operation)) {
        stage.reset(operation).await;
        if !operation.gate.is_in_env() {
            let cells = row(stage, operation, &stage.world.production()).await;
            table.push(operation.id, &cells);
            continue;
        }
        for place in stage.world.places() {
            let cells = row(stage, operation, &place).await;
            table.push(&format!("{} @{}", operation.id, place.env.class), &cells);
        }
    }
    table.text
}

/// The golden table as it grows.
struct Table {
    text: String,
}

impl Table {
    fn new(stage: &Stage) -> Self {
        let mut table = Self {
            text: format!("{LEGEND}\n\n"),
        };
        let names: Vec<_> = stage
            .principals
            .iter()
            .map(|principal| principal.name.to_owned())
            .collect();
        table.push("", &names);
        table
    }

    fn push(&mut self, name: &str, cells: &[String]) {
        let line = cells.iter().fold(format!("{name:<30}"), |mut line, cell| {
            let _ = write!(line, "{cell:<10}");
            line
        });
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

/// One operation, asked for by everybody.
async fn row(stage: &Stage, operation: &Operation, place: &Place) -> Vec<String> {
    let mut watch = Watch::new(stage, operation).await;
    let mut cells = Vec::new();
    for principal in &stage.principals {
        cells.push(asked(&mut watch, place, principal).await);
    }
    watch.look().await;
    cells
}

/// The world while one operation is asked for. Looking at all of it costs more than a request, so those who must change
/// nothing are held to that together.
struct Watch<'a> {
    stage: &'a Stage,
    operation: &'a Operation,
    seen: State,
    /// Who asked since then, and may have changed nothing.
    since: Vec<String>,
}

impl<'a> Watch<'a> {
    async fn new(stage: &'a Stage, operation: &'a Operation) -> Self {
        Self {
            stage,
            operation,
            seen: stage.state().await,
            since: Vec::new(),
        }
    }

    /// Holds those who asked since the last look to have changed nothing.
    async fn look(&mut self) {
        if self.since.is_empty() {
            return;
        }
        let now = self.stage.state().await;
        // Their rows of the journal are counted one by one.
        let changed = if JOURNALED_READS.contains(&self.operation.id) {
            now.changed_beside_the_journal(&self.seen)
        } else {
            now.changed_since(&self.seen)
        };
        assert!(changed.is_empty(), "{changed:?} changed: {:?}", self.since);
        self.seen = now;
        self.since.clear();
    }

    /// Holds a change to have been one, and takes it back.
    async fn undo(&mut self, who: &str) {
        let now = self.stage.state().await;
        let changed = now.changed_beside_the_journal(&self.seen);
        assert!(!changed.is_empty(), "nothing changed: {who}");
        self.stage.reset(self.operation).await;
        self.seen = self.stage.state().await;
    }
}

/// Asks once, and holds the answer to the policy and the world to the answer. Returns the cell.
async fn asked(watch: &mut Watch<'_>, place: &Place, principal: &Principal) -> String {
    let (stage, operation) = (watch.stage, watch.operation);
    let who = format!("{} by {} in {}", operation.id, principal.name, place.env.slug);
    let expected = predicted(operation, principal.known.as_ref(), place, stage.app.clock.now());
    let succeeds = expected == operation.success.to_string();
    let changes = succeeds && operation.mutates && (operation.gate != Gate::Ending || principal.has_session());
    if changes {
        watch.look().await;
    }
    let rows = harness::matrix::state::journal_rows(&stage.app).await;
    let answer = stage.call(&principal.client, operation, place).await;
    let written = harness::matrix::state::journal_rows(&stage.app).await - rows;
    assert_eq!(cell(operation, &answer), expected, "{who}: {}", answer.text());
    let expected_rows = match (changes, succeeds) {
        (true, _) => operation.journal_rows,
        (false, true) => i64::from(JOURNALED_READS.contains(&operation.id)),
        (false, false) => 0,
    };
    assert_eq!(written, expected_rows, "journal rows: {who}");
    if changes {
        watch.undo(&who).await;
    } else {
        watch.since.push(who);
    }
    expected
}

/// The table is no proof if everybody is let in, or nobody: each operation behind a gate refuses some and lets in some.
#[test]
fn the_gates_are_not_all_open() {
    let open = OPERATIONS.iter().filter(|operation| operation.gate.is_public());
    assert_eq!(open.count(), api::apis::PUBLIC.len());
}
