//! How often each operation may be called is decided for each operation.

use std::collections::BTreeSet;

use api::apis::PUBLIC;
use api::rate_classes::{CLASSES, class_of};
use domain::rates::Class;
use harness::on_both;
use harness::operations::endpoints;
use reqwest::Method;

on_both! {
    async fn every_operation_has_a_class_and_every_class_entry_an_operation(t: TestApp) {
        let served: BTreeSet<_> = endpoints(t.document()).into_keys().collect();
        let classed: BTreeSet<_> = CLASSES.iter().flat_map(|(_, ids)| ids.iter().map(|id| (*id).to_owned())).collect();
        let without: Vec<_> = served.difference(&classed).collect();
        assert!(without.is_empty(), "put them into a class of api/src/rate_classes.rs: {without:?}");
        let unknown: Vec<_> = classed.difference(&served).filter(|id| !id.starts_with('/')).collect();
        assert!(unknown.is_empty(), "there is no such operation: {unknown:?}");
    }

    async fn what_changes_something_without_a_credential_is_counted_by_address(t: TestApp) {
        for (id, endpoint) in endpoints(t.document()) {
            let class = class_of(&id).expect("a class");
            if PUBLIC.contains(&id.as_str()) && endpoint.method != Method::GET {
                assert!(matches!(class, Class::SignIn | Class::Mail | Class::Inbound), "{id} is counted as {}", class.as_str());
            }
            assert_eq!(endpoint.template.starts_with("/v1/admin/"), class == Class::Admin, "{id}");
            if class == Class::Read {
                assert_eq!(endpoint.method, Method::GET, "{id}");
            }
        }
    }
}
