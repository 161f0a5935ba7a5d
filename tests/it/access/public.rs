//! What takes no credential.

use std::collections::BTreeSet;

use harness::on_both;
use harness::operations::{OPERATIONS, endpoints};

on_both! {
    async fn the_public_list_is_what_the_document_shows_without_a_credential(t: TestApp) {
        let listed: BTreeSet<_> = api::apis::PUBLIC.iter().map(|id| (*id).to_owned()).collect();
        let endpoints = endpoints(t.document());
        let shown = endpoints.into_iter().filter(|(_, endpoint)| endpoint.is_public);
        let shown: BTreeSet<_> = shown.map(|(id, _)| id).collect();
        assert_eq!(listed, shown);
        let rows = OPERATIONS.iter().filter(|operation| operation.gate.is_public());
        assert_eq!(listed, rows.map(|operation| operation.id.to_owned()).collect());
    }
}
