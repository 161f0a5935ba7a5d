//! Holding environments, as they are now, to the template of their project. Values are opened for it and none is
//! shown, so that it is journaled as a read.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Breach, Fault};
use super::template_key::of_project;
use crate::access::grant::SecretsRead;
use crate::access::{Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::journal::{Action, Entry, ReadEntry, Target};
use crate::kernel::id::ProjectId;
use crate::kernel::{Error, Reads, Result, Secret};
use crate::secrets::list::{self, Values};

/// What was found in one environment. Keys are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentReport {
    pub environment: String,
    pub revision: i64,
    /// Required, and not there.
    pub missing: Vec<String>,
    /// Required, and empty.
    pub empty: Vec<String>,
    /// Each rule that a value breaks.
    pub invalid: Vec<(String, Breach)>,
    /// There, and the template has no such key for this environment.
    pub extra: Vec<String>,
    /// Keys of the template that the caller may not read here: nothing is said of them.
    pub not_readable: u64,
    /// Values that were opened.
    pub opened: u64,
}

impl EnvironmentReport {
    /// Whether nothing that was checked is missing, empty or invalid.
    pub fn is_valid(&self) -> bool {
        self.missing.is_empty() && self.empty.is_empty() && self.invalid.is_empty()
    }

    fn add(&mut self, key: &str, faults: Vec<Fault>) {
        for fault in faults {
            match fault {
                Fault::Missing => self.missing.push(key.to_owned()),
                Fault::Empty => self.empty.push(key.to_owned()),
                Fault::Invalid(breach) => self.invalid.push((key.to_owned(), breach)),
            }
        }
    }
}

/// An environment as it is, and what is found in it.
struct Checked<'a> {
    access: &'a EnvAccess<SecretsRead>,
    values: BTreeMap<String, Secret<String>>,
    report: EnvironmentReport,
}

/// Holds environments of one project to its template, each at its current revision. Only keys that the caller may
/// read are looked at.
///
/// # Errors
/// [`Error::Internal`] when a value does not open: then nothing is told.
pub async fn validate(
    from: &impl Reads,
    store: &KeyStore,
    project: ProjectId,
    environments: &[EnvAccess<SecretsRead>],
) -> Result<Vec<EnvironmentReport>> {
    let mut rules: Vec<_> = of_project(from, project)
        .await?
        .into_iter()
        .map(|key| key.rule)
        .collect();
    rules.sort_by(|left, right| left.key.cmp(&right.key));
    let mut all = Vec::with_capacity(environments.len());
    for access in environments {
        let covering = rules
            .iter()
            .filter(|rule| rule.scope.covers(access.env.id, access.env.class));
        let named: BTreeSet<&str> = covering.map(|rule| rule.key.as_str()).collect();
        let values = list::values(from, store, access, &named).await?;
        all.push(opened(access, values));
    }
    // Rule by rule, so that one pattern at a time is compiled, and once for all environments.
    for rule in &rules {
        let checker = rule.checker()?;
        let covers = |access: &EnvAccess<SecretsRead>| rule.scope.covers(access.env.id, access.env.class);
        for env in all.iter_mut().filter(|env| covers(env.access)) {
            if !env.access.allows_key(&rule.key) {
                env.report.not_readable += 1;
                continue;
            }
            let faults = match env.values.get(&rule.key) {
                Some(value) => checker.faults(value.expose()),
                None if rule.required => vec![Fault::Missing],
                None => Vec::new(),
            };
            env.report.add(&rule.key, faults);
        }
        if checker.has_pattern() {
            // Patterns and values can be long: others get their turn.
            tokio::task::yield_now().await;
        }
    }
    Ok(all.into_iter().map(|env| env.report).collect())
}

/// Sorts the keys of an environment into those of the template and the others.
fn opened(access: &EnvAccess<SecretsRead>, found: Values) -> Checked<'_> {
    let Values { revision, keys } = found;
    let mut report = EnvironmentReport {
        environment: access.env.slug.clone(),
        revision,
        ..EnvironmentReport::default()
    };
    let mut values = BTreeMap::new();
    for (key, value) in keys {
        match value {
            Some(value) => {
                report.opened += 1;
                values.insert(key, value);
            }
            None => report.extra.push(key),
        }
    }
    Checked { access, values, report }
}

/// The event of environments' being held to the template: of one, or of several of the project.
///
/// # Errors
/// [`Error::Internal`] without an environment.
pub fn event(
    caller: &Caller,
    environments: &[EnvAccess<SecretsRead>],
    reports: &[EnvironmentReport],
) -> Result<ReadEntry> {
    let (first, others) = environments
        .split_first()
        .ok_or_else(|| Error::internal("a validation of nothing"))?;
    let (org, project) = (first.org.id, first.project.id);
    let entry = match reports {
        [report] if others.is_empty() => {
            let target = Target::Environment(first.env.id);
            Entry::in_org(org, Action::SecretRead, target).environment(first.env.id, report.revision)
        }
        _ => {
            let names: Vec<_> = reports.iter().map(|report| report.environment.clone()).collect();
            Entry::in_org(org, Action::SecretRead, Target::Project(project)).with("environments", names)
        }
    };
    let count: u64 = reports.iter().map(|report| report.opened).sum();
    Ok(ReadEntry {
        origin: caller.origin.clone(),
        entry: entry.project(project).with("count", count).with("purpose", "validate"),
    })
}
