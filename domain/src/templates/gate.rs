//! What a protected environment is held to when it is written to or promoted into.

use std::collections::BTreeMap;

use sea_orm::FromQueryResult;

use super::rule::{Rule, RuleRow};
use crate::access::EnvClass;
use crate::kernel::id::EnvId;
use crate::kernel::{Reads, Result};

/// The rules of an environment, by key.
#[derive(Clone, Debug, Default)]
pub struct Rules(BTreeMap<String, Rule>);

impl Rules {
    /// The rules that an environment is held to, in one statement; none when it is not protected, or its project does
    /// not gate what is.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`].
    pub async fn of_gated(from: &impl Reads, env: EnvId, class: EnvClass) -> Result<Self> {
        let sql = "SELECT t.key, t.required, t.environments, t.pattern, t.allowed_values, t.min_length, t.max_length
                   FROM environments e
                   JOIN projects p ON p.id = e.project_id
                   JOIN template_keys t ON t.project_id = p.id
                   WHERE e.id = $1 AND e.protected AND p.template_gate = 'protected'";
        let rows = RuleRow::find_by_statement(from.sql(sql, [env.into()]))
            .all(from.conn())
            .await?;
        let mut rules = BTreeMap::new();
        for row in rows {
            let rule = Rule::read(row)?;
            if rule.scope.covers(env, class) {
                rules.insert(rule.key.clone(), rule);
            }
        }
        Ok(Self(rules))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds for a key, if anything.
    pub fn of(&self, key: &str) -> Option<&Rule> {
        self.0.get(key)
    }

    /// Whether the environment must have the key.
    pub fn requires(&self, key: &str) -> bool {
        self.of(key).is_some_and(|rule| rule.required)
    }

    /// The keys that the environment must have, sorted.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        let required = self.0.values().filter(|rule| rule.required);
        required.map(|rule| rule.key.as_str())
    }
}
