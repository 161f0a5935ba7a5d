//! Who may use whom within `domain`, and which crate may know what: kept by reading the `use` lines.

use std::fs;
use std::path::{Path, PathBuf};

/// Left may be used by right, never the other way round.
const LAYERS: [&str; 5] = ["kernel", "crypto", "access", "jobs", "journal"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of a crate with its text.
fn texts(krate: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&workspace().join(krate).join("src"), &mut found);
    assert!(found.len() > 3, "{krate} has sources");
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The rooms of `domain` that a text names: `crate::jobs::emit` names `jobs`.
fn rooms_named(text: &str) -> Vec<&str> {
    let after = text
        .match_indices("crate::")
        .filter(|(at, _)| !text[..*at].ends_with("pub(in "));
    after
        .filter_map(|(at, mark)| {
            text[at + mark.len()..]
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        })
        .collect()
}

/// The room that a file of `domain` is in.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(workspace().join("domain/src")).unwrap();
    inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

#[test]
fn lower_rooms_of_domain_do_not_know_the_higher_ones() {
    let mut broken = Vec::new();
    for (path, text) in texts("domain") {
        let room = room_of(&path);
        let Some(level) = LAYERS.iter().position(|layer| *layer == room) else {
            continue;
        };
        for named in rooms_named(&text) {
            let known = LAYERS.iter().position(|layer| *layer == named);
            let is_area = known.is_none() && workspace().join("domain/src").join(named).is_dir();
            if is_area || known.is_some_and(|named| named > level) {
                broken.push(format!("{} uses {named}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn areas_do_not_touch_each_others_tables() {
    let areas = [
        "auth",
        "orgs",
        "members",
        "policy",
        "service_accounts",
        "projects",
        "templates",
        "secrets",
        "webhooks",
        "billing",
        "limits",
        "admin",
        "mail",
        "setup",
        "signing",
        "oauth",
        "realms",
        "sso",
        "backups",
    ];
    let mut broken = Vec::new();
    for (path, text) in texts("domain") {
        let room = room_of(&path);
        for area in areas.iter().filter(|area| **area != room) {
            if text.contains(&format!("crate::{area}::entity")) {
                broken.push(format!("{} uses the tables of {area}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn only_the_api_knows_poem_and_only_the_worker_knows_redis() {
    let manifest = |krate: &str| fs::read_to_string(workspace().join(krate).join("Cargo.toml")).unwrap();
    for krate in ["domain", "worker", "migration", "openapi"] {
        assert!(!manifest(krate).contains("\npoem"), "{krate} depends on poem");
    }
    for krate in ["domain", "api", "migration", "openapi"] {
        assert!(!manifest(krate).contains("\nredis"), "{krate} depends on redis");
    }
    for krate in ["domain", "api", "worker"] {
        assert!(
            !manifest(krate).contains("\nasync-stripe"),
            "{krate} depends on async-stripe"
        );
    }
}
