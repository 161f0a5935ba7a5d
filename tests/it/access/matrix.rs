//! Every operation × every principal, against the running server.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::access::CredentialKind;
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

    async fn everybody_may_do_what_the_policy_says_outside_environments(t: TestApp) {
        let table = table(&Stage::new(t).await, |operation| !operation.gate.is_in_env()).await;
        insta::assert_snapshot!("outside_environments", table);
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
    let mut before = stage.state().await;
    let mut cells = Vec::new();
    for principal in &stage.principals {
        let (cell, after) = asked(stage, operation, place, principal, &before).await;
        before = after;
        cells.push(cell);
    }
    cells
}

/// Asks once, holds the answer to the policy and the world to the answer. Returns the cell, and the world as it was
/// left for the next to ask.
async fn asked(
    stage: &Stage,
    operation: &Operation,
    place: &Place,
    principal: &Principal,
    before: &State,
) -> (String, State) {
    let who = format!("{} by {} in {}", operation.id, principal.name, place.env.slug);
    let rows = harness::matrix::state::journal_rows(&stage.app).await;
    let answer = stage.call(&principal.client, operation, place).await;
    let written = harness::matrix::state::journal_rows(&stage.app).await - rows;
    let cell = cell(&answer);
    let now = stage.app.clock.now();
    assert_eq!(
        cell,
        predicted(operation, principal.known.as_ref(), place, now),
        "{who}: {}",
        answer.text()
    );
    let after = stage.state().await;
    let changed = after.changed_beside_the_journal(before);
    let succeeded = answer.status() == operation.success;
    if !succeeded {
        assert_eq!((after.changed_since(before), written), (vec![], 0), "refused: {who}");
        return (cell, after);
    }
    let is_session = principal
        .known
        .as_ref()
        .is_some_and(|known| known.kind == CredentialKind::Session);
    if operation.mutates && (operation.gate != Gate::Ending || is_session) {
        assert!(!changed.is_empty(), "nothing changed: {who}");
        assert_eq!(written, operation.journal_rows, "journal rows: {who}");
        stage.reset(operation).await;
        return (cell, stage.state().await);
    }
    let journaled = i64::from(JOURNALED_READS.contains(&operation.id));
    assert_eq!((changed, written), (vec![], journaled), "read: {who}");
    (cell, after)
}

/// The table is no proof if everybody is let in, or nobody: each operation behind a gate refuses some and lets in some.
#[test]
fn the_gates_are_not_all_open() {
    let open = OPERATIONS.iter().filter(|operation| operation.gate.is_public());
    assert_eq!(open.count(), api::apis::PUBLIC.len());
}
