use super::*;

fn set(list: &[&str]) -> GrantSet {
    GrantSet::parse(list).unwrap()
}

#[test]
fn every_permission_reads_back_and_takes_a_class_only_on_environments() {
    for &permission in Permission::ALL {
        assert_eq!(permission.as_str().parse(), Ok(permission));
        let classed = format!("{permission}@dev").parse::<Grant>();
        let on_environments = ["envs:", "secrets:"]
            .iter()
            .any(|start| permission.as_str().starts_with(start))
            || permission == Permission::TemplatesRead;
        assert_eq!(classed.is_ok(), on_environments, "{permission}");
    }
    assert_eq!(Permission::ALL.len(), 37);
}

#[test]
fn unknown_strings_are_refused() {
    for (text, error) in [
        ("", ParseGrantError::Permission),
        ("secrets", ParseGrantError::Permission),
        ("secrets:*", ParseGrantError::Permission),
        ("Secrets:read", ParseGrantError::Permission),
        ("secrets:read ", ParseGrantError::Permission),
        ("comments:write", ParseGrantError::Permission),
        ("secrets:read@", ParseGrantError::Class),
        ("secrets:read@production", ParseGrantError::Class),
        ("secrets:read@dev@prod", ParseGrantError::Class),
        ("org:read@dev", ParseGrantError::ClassNotAllowed),
    ] {
        assert_eq!(text.parse::<Grant>(), Err(error), "{text}");
    }
    let error = GrantSet::parse(&["envs:read", "nope"]).unwrap_err();
    assert_eq!(
        error,
        ParseGrantSetError {
            index: 1,
            source: ParseGrantError::Permission
        }
    );
}

#[test]
fn a_class_narrows_and_reading_implies_listing() {
    use EnvClass::{Dev, Prod};
    let grant: Grant = "secrets:read@dev".parse().unwrap();
    for holder in [set(&["secrets:read@dev"]), [grant].into_iter().collect()] {
        assert!(holder.covers(Permission::SecretsRead, Some(Dev)) && holder.covers(Permission::SecretsList, Some(Dev)));
        assert!(
            !holder.covers(Permission::SecretsRead, Some(Prod)) && !holder.covers(Permission::SecretsList, Some(Prod))
        );
        assert!(!holder.covers(Permission::SecretsRead, None) && !holder.covers(Permission::SecretsWrite, Some(Dev)));
    }
    assert!(!set(&["secrets:list"]).covers(Permission::SecretsRead, Some(Dev)));
    for &permission in Permission::ALL {
        for class in [None, Some(Dev), Some(Prod)] {
            assert_eq!(
                grant.covers(permission, class),
                set(&["secrets:read@dev"]).covers(permission, class)
            );
        }
    }
}

#[test]
fn no_class_means_every_class() {
    let three = set(&["secrets:read@dev", "secrets:read@staging", "secrets:read@prod"]);
    let (all, two) = (set(&["secrets:read"]), set(&["secrets:read@dev", "secrets:read@prod"]));
    assert!(all.is_subset_of(&three) && three.is_subset_of(&all));
    assert!(two.is_subset_of(&all) && !all.is_subset_of(&two));
    assert!(set(&["secrets:list@dev"]).is_subset_of(&two) && !two.is_subset_of(&set(&["secrets:list"])));
    assert!(GrantSet::EMPTY.is_subset_of(&GrantSet::EMPTY) && !GrantSet::ALL.is_subset_of(&all));
}

#[test]
fn lists_read_back_in_one_order() {
    let read = set(&["secrets:read@prod", "org:read", "secrets:read", "secrets:read@dev"]);
    assert_eq!(
        read.to_list(),
        ["org:read", "secrets:read", "secrets:read@dev", "secrets:read@prod"]
    );
    let json = serde_json::to_value(&read).unwrap();
    assert_eq!(
        json,
        serde_json::json!(["org:read", "secrets:read", "secrets:read@dev", "secrets:read@prod"])
    );
    assert_eq!(serde_json::from_value::<GrantSet>(json).unwrap(), read);
    assert!(serde_json::from_str::<GrantSet>(r#"["secrets:everything"]"#).is_err());
}

#[test]
fn narrowing_moves_one_permission_and_gives_none() {
    let classes = ClassSet::EMPTY.with(EnvClass::Prod);
    let narrowed = set(&["secrets:read@dev", "secrets:write"]).narrowed_to(Permission::SecretsRead, classes);
    assert_eq!(narrowed.to_list(), ["secrets:read@prod", "secrets:write"]);
    let without = set(&["secrets:write"]).narrowed_to(Permission::SecretsRead, classes);
    assert_eq!(without.to_list(), ["secrets:write"]);
}

#[test]
fn a_set_within_a_class_is_what_it_grants_there() {
    let set = GrantSet::parse(&["secrets:read", "secrets:write@dev", "envs:read@prod", "members:read"]).unwrap();
    assert_eq!(
        set.within(EnvClass::Prod),
        GrantSet::parse(&["members:read", "envs:read@prod", "secrets:read@prod"]).unwrap()
    );
}
