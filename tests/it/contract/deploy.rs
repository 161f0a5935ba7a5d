//! What stands in deploy/ agrees with the code. `deploy/lint.sh` checks the files with their own tools.

use std::fs;
use std::path::{Path, PathBuf};

use domain::kernel::config::Setting;
use serde_json::Value;

/// How the names of secret settings end; the chart's schema tells them by it.
const SECRET_ENDINGS: [&str; 5] = ["_URL", "_KEY", "_PASSWORD", "_SECRET", "_HEADERS"];
/// What the names of our figures begin with.
const FIGURES: [&str; 2] = ["strongroom_", "http_server_"];
/// Tags that mean another image tomorrow.
const MOVING: [&str; 5] = ["latest", "stable", "edge", "main", "master"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file below a folder with its text. What make-secrets.sh makes is left out.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "secrets") {
                found.extend(texts(&path));
            }
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn deployed() -> Vec<(PathBuf, String)> {
    let found = texts(&workspace().join("deploy"));
    assert!(found.len() > 30, "deploy/ has its files");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join("deploy").join(path)).unwrap()
}

/// The words that begin so and go on with such characters.
fn words<'a>(text: &'a str, start: &'a str, goes_on: fn(char) -> bool) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).filter_map(move |(at, _)| {
        let is_inside = text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
        let rest = &text[at..];
        let end = rest.find(|c: char| !goes_on(c)).unwrap_or(rest.len());
        (!is_inside && end > start.len()).then(|| &rest[..end])
    })
}

fn is_of_setting(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

fn is_of_figure(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn is_secret_name(name: &str) -> bool {
    name != "STRONGROOM_BASE_URL" && SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[test]
fn settings_named_in_deploy_exist() {
    let mut known: Vec<String> = Setting::ALL.iter().map(|s| s.variable().to_owned()).collect();
    known.extend(Setting::ALL.iter().filter_map(|s| s.file_variable()));
    let mut unknown = Vec::new();
    for (path, text) in deployed() {
        for name in words(&text, "STRONGROOM_", is_of_setting) {
            // Of the tests' servers, for deploy/dev-scaled.sh.
            if !known.iter().any(|setting| setting == name) && !name.starts_with("STRONGROOM_TEST_") {
                unknown.push(format!("{name} in {}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// The sources of the processes, without their tests.
fn sources() -> String {
    let folders = ["api", "worker", "domain"].map(|krate| workspace().join(krate).join("src"));
    let files = folders.iter().flat_map(|folder| sources_in(folder));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn sources_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_tests = stem == "tests" || stem.ends_with("_tests");
        if path.is_dir() && !is_tests {
            found.extend(sources_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests {
            found.push(path);
        }
    }
    found
}

#[test]
fn figures_that_alerts_and_dashboard_ask_for_are_shown() {
    let sources = sources();
    let is_shown = |name: &str| sources.contains(&format!("\"{name}\""));
    let mut unknown = Vec::new();
    let mut asked = 0;
    for (path, text) in deployed() {
        for name in FIGURES.iter().flat_map(|start| words(&text, start, is_of_figure)) {
            asked += 1;
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part));
            if !is_shown(name) && !family.is_some_and(is_shown) {
                unknown.push(format!("{name} in {}", path.display()));
            }
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    assert!(asked > 50, "alerts and dashboard ask for figures");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// The images that a Dockerfile or a compose file names.
fn images(text: &str) -> Vec<&str> {
    let named = text.lines().filter_map(|line| {
        let line = line.trim();
        let image = line.strip_prefix("FROM ").or_else(|| line.strip_prefix("image: "))?;
        image.split_whitespace().next()
    });
    named.collect()
}

#[test]
fn images_are_pinned() {
    let mut seen = 0;
    for file in ["Dockerfile", "compose.yaml", "compose.single.yaml"] {
        let text = read(file);
        for image in images(&text) {
            seen += 1;
            let last = image.rsplit('/').next().unwrap();
            let tag = last.split_once([':', '@']).map(|(_, tag)| tag);
            let tag = tag.unwrap_or_else(|| panic!("{image} in {file} has no tag"));
            assert!(!MOVING.contains(&tag), "{image} in {file} moves");
            assert!(
                last.contains(|c: char| c.is_ascii_digit()),
                "{image} in {file} has no version"
            );
        }
    }
    assert!(seen >= 6, "{seen} images");
    assert!(read("helm/strongroom/values.schema.json").contains("\"latest\""));
}

#[test]
fn versions_are_those_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    let rust = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(read("Dockerfile").contains(&rust), "the image is built with {rust}");
    assert!(read("helm/strongroom/Chart.yaml").contains(&format!("appVersion: \"{version}\"")));
    for file in ["compose.yaml", "compose.single.yaml"] {
        assert!(read(file).contains(&format!("image: strongroom:{version}\n")), "{file}");
    }
}

/// `NAME: value` or `NAME=value`, also where it is a comment, an item of a list or a setting of a unit.
fn assigned(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches([' ', '#', '-']);
    let line = line.strip_prefix("Environment=").unwrap_or(line);
    let end = line.find(|c: char| !is_of_setting(c))?;
    let value = line[end..].strip_prefix([':', '='])?;
    Some((&line[..end], value.trim()))
}

/// Whether the value of a secret is none: absent, asked for, or the name of the entry that it comes from.
fn is_no_secret(name: &str, value: &str) -> bool {
    let entry = name.trim_start_matches("STRONGROOM_").to_ascii_lowercase();
    let is_asked_for = value.starts_with("${") && (value.ends_with(":-}") || !value.contains(":-"));
    ["", "null", "\"\""].contains(&value) || value == entry || is_asked_for
}

#[test]
fn no_password_stands_in_deploy() {
    let mut found = Vec::new();
    for (path, text) in deployed() {
        let name = path.file_name().unwrap().to_string_lossy();
        let is_config = [".yaml", ".yml", ".service", ".conf", ".tpl"]
            .iter()
            .any(|ending| name.ends_with(ending));
        for line in text.lines() {
            let is_set = assigned(line).is_some_and(|(name, value)| is_secret_name(name) && !is_no_secret(name, value));
            let is_redis = line.trim().strip_prefix("requirepass ");
            let is_url = line.split("://").skip(1).any(|rest| {
                let authority = rest.split(['/', ' ', '`', '"', '\'']).next().unwrap_or_default();
                let password = authority.split_once('@').and_then(|(user, _)| user.split_once(':'));
                password.is_some_and(|(_, password)| !password.starts_with(['%', '$', '<']))
            });
            if (is_config && is_set) || is_url || is_redis.is_some_and(|password| !password.starts_with("$$(")) {
                found.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn secrets_are_told_by_their_names() {
    for setting in Setting::ALL {
        let name = setting.variable();
        assert_eq!(
            setting.is_secret(),
            is_secret_name(name),
            "{name}: the schema of the chart keeps secrets out of values by the ends of their names"
        );
    }
}

#[test]
fn pods_are_confined_and_see_no_unknown_setting() {
    let helpers = read("helm/strongroom/templates/_helpers.tpl");
    for line in [
        // Otherwise Kubernetes sets STRONGROOM_PORT and its like, and the start is refused.
        "enableServiceLinks: false",
        "automountServiceAccountToken: false",
        "runAsNonRoot: true",
        "runAsUser: 10001",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
    ] {
        assert!(helpers.lines().any(|text| text.trim() == line), "{line}");
    }
    for pod in ["api", "worker", "migrate"] {
        let template = read(&format!("helm/strongroom/templates/{pod}.yaml"));
        for part in ["strongroom.pod", "strongroom.container", "strongroom.volumes"] {
            assert!(
                template.contains(&format!("include \"{part}\" .")),
                "{pod} has no {part}"
            );
        }
    }
    assert!(read("Dockerfile").contains("USER 10001:10001"));
}

#[test]
fn alerts_lead_to_runbooks_and_runbooks_are_listed() {
    let alerts = read("prometheus/alerts.yml");
    let mut count = 0;
    for path in alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")) {
        count += 1;
        assert!(workspace().join(path).is_file(), "{path}");
    }
    assert_eq!(
        count,
        alerts.matches("- alert: ").count(),
        "each alert names its runbook"
    );
    let list = read("runbooks/README.md");
    for entry in fs::read_dir(workspace().join("deploy/runbooks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || list.contains(&format!("({name})")), "{name}");
    }
}

#[test]
fn dashboard_and_schema_are_json() {
    let dashboard: Value = serde_json::from_str(&read("grafana/strongroom.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    let schema: Value = serde_json::from_str(&read("helm/strongroom/values.schema.json")).unwrap();
    assert_eq!(schema["properties"]["secret"]["required"][0], "existing");
}
