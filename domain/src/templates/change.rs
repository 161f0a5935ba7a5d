//! Making, changing and deleting the keys of a template. What is stored already is not held to a new rule until it is
//! written again.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::entity::template_key;
use super::rule::{Rule, check_pattern};
use super::scope::Scope;
use super::template_key::{ShownKey, TemplateKey};
use crate::access::grant::TemplatesManage;
use crate::access::{Caller, ProjectAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::ProjectId;
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Backend, Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::projects::environment::{self, Environment};
use crate::secrets::key::check_key;

/// Keys of one template at most.
const MAX_KEYS: u64 = 1000;
/// Values that can be listed for one key at most.
const MAX_ALLOWED: usize = 50;
/// Longest listed or default value, bytes.
const MAX_VALUE_BYTES: usize = 1024;
/// Longest length that can be asked for: that of the longest value, characters.
const MAX_LENGTH: i64 = 65_536;
/// Keys that cannot be named in a path, where these words mean something else.
const RESERVED: [&str; 2] = ["validate", "env-example"];

/// What a key of a template is to say.
#[derive(Clone, Debug, Default)]
pub struct TemplateKeyContent {
    pub description: String,
    pub required: bool,
    /// Slugs or ids of environments, and classes, `@prod`; empty = everywhere.
    pub environments: Vec<String>,
    pub pattern: Option<String>,
    /// Empty = any value.
    pub allowed: Vec<String>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub default: Option<String>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Changed,
}

/// What is to be stored, checked.
struct Checked {
    description: String,
    rule: Rule,
    default: Option<String>,
}

fn checked(key: &str, content: TemplateKeyContent, known: &[Environment]) -> Result<Checked> {
    let TemplateKeyContent {
        description,
        required,
        environments,
        pattern,
        allowed,
        min_length,
        max_length,
        default,
    } = content;
    check_key(key)?;
    if RESERVED.contains(&key) {
        return Err(Problem::field("key", "reserved", "cannot be named in a path; choose another").into());
    }
    check_allowed(&allowed)?;
    check_lengths(min_length, max_length)?;
    pattern.as_deref().map_or(Ok(()), check_pattern)?;
    let rule = Rule {
        key: key.to_owned(),
        required,
        scope: Scope::resolve(&environments, known)?,
        pattern,
        allowed,
        min_length,
        max_length,
    };
    if let Some(default) = &default {
        check_default(&rule, default)?;
    }
    Ok(Checked {
        description: text::long("description", &description, MAX_DESCRIPTION_LEN)?,
        rule,
        default,
    })
}

fn check_allowed(allowed: &[String]) -> Result<()> {
    if allowed.len() > MAX_ALLOWED {
        return Err(Problem::field("enum", "too_many", format!("must be at most {MAX_ALLOWED} values")).into());
    }
    for (index, value) in allowed.iter().enumerate() {
        let field = format!("enum[{index}]");
        if value.len() > MAX_VALUE_BYTES {
            return Err(Problem::field(field, "too_long", "must have at most 1024 bytes").into());
        }
        if allowed.iter().take(index).any(|before| before == value) {
            return Err(Problem::field(field, "duplicate", "is there twice").into());
        }
    }
    Ok(())
}

fn check_lengths(min: Option<i64>, max: Option<i64>) -> Result<()> {
    for (field, length) in [("min_length", min), ("max_length", max)] {
        if length.is_some_and(|length| !(0..=MAX_LENGTH).contains(&length)) {
            return Err(Problem::field(field, "range", format!("must be between 0 and {MAX_LENGTH}")).into());
        }
    }
    match (min, max) {
        (Some(min), Some(max)) if min > max => {
            Err(Problem::field("min_length", "range", "must not be greater than `max_length`").into())
        }
        _ => Ok(()),
    }
}

/// A default that could not be stored would be no help.
fn check_default(rule: &Rule, default: &str) -> Result<()> {
    if default.len() > MAX_VALUE_BYTES {
        return Err(Problem::field("default", "too_long", "must have at most 1024 bytes").into());
    }
    match rule.checker()?.faults(default).into_iter().next() {
        None => Ok(()),
        Some(fault) => Err(Problem::field("default", fault.as_str(), fault.message()).into()),
    }
}

/// One change of a template at a time, so that what a check saw still holds when it is written. SQLite has one writer
/// anyway.
async fn lock(tx: &WriteTx, project: ProjectId) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let sql = "SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE";
        tx.conn().execute_raw(tx.sql(sql, [project.into()])).await?;
    }
    Ok(())
}

async fn find(from: &impl Reads, project: ProjectId, key: &str) -> Result<Option<TemplateKey>> {
    let found = template_key::Entity::find()
        .filter(template_key::Column::ProjectId.eq(project))
        .filter(template_key::Column::Key.eq(key))
        .one(from.conn())
        .await?;
    found.map(TemplateKey::read).transpose()
}

/// Adds a key to the template.
///
/// # Errors
/// `invalid_field`; `key_taken`; `conflict` when the template is full.
pub async fn create(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<TemplatesManage>,
    key: &str,
    content: TemplateKeyContent,
) -> Result<ShownKey> {
    lock(tx, access.project.id).await?;
    let known = environment::known(tx, access).await?;
    let checked = checked(key, content, &known)?;
    if find(tx, access.project.id, key).await?.is_some() {
        let detail = "The template has this key. Use PUT to change it.";
        return Err(Problem::new(ProblemCode::KeyTaken, detail).with("field", "key").into());
    }
    let made = insert(tx, access, checked).await?;
    record(tx, caller, access, Action::TemplateKeyCreated, &made).await?;
    Ok(made.shown(&known))
}

/// Makes a key of the template say this, whether or not it is there.
///
/// # Errors
/// `invalid_field`; `conflict` when the template is full.
pub async fn put(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<TemplatesManage>,
    key: &str,
    content: TemplateKeyContent,
) -> Result<(ShownKey, Outcome)> {
    lock(tx, access.project.id).await?;
    let known = environment::known(tx, access).await?;
    let checked = checked(key, content, &known)?;
    let (stored, outcome, action) = match find(tx, access.project.id, key).await? {
        None => (
            insert(tx, access, checked).await?,
            Outcome::Created,
            Action::TemplateKeyCreated,
        ),
        Some(before) => {
            let row = template_key::ActiveModel {
                id: Set(before.id),
                ..columns(tx, checked)?
            };
            let row = template_key::Entity::update(row).exec(tx.conn()).await?;
            (TemplateKey::read(row)?, Outcome::Changed, Action::TemplateKeyUpdated)
        }
    };
    record(tx, caller, access, action, &stored).await?;
    Ok((stored.shown(&known), outcome))
}

/// Removes a key from the template. Secrets stay as they are.
///
/// # Errors
/// `not_found`.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &ProjectAccess<TemplatesManage>, key: &str) -> Result<()> {
    lock(tx, access.project.id).await?;
    let found = find(tx, access.project.id, key).await?.ok_or_else(Problem::not_found)?;
    template_key::Entity::delete_by_id(found.id).exec(tx.conn()).await?;
    record(tx, caller, access, Action::TemplateKeyDeleted, &found).await
}

async fn insert(tx: &WriteTx, access: &ProjectAccess<TemplatesManage>, checked: Checked) -> Result<TemplateKey> {
    let there = template_key::Entity::find().filter(template_key::Column::ProjectId.eq(access.project.id));
    if there.count(tx.conn()).await? >= MAX_KEYS {
        let detail = format!("A template has at most {MAX_KEYS} keys. Delete one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let row = template_key::ActiveModel {
        id: Set(tx.new_id()?),
        org_id: Set(access.org.id),
        project_id: Set(access.project.id),
        key: Set(checked.rule.key.clone()),
        created_at: Set(tx.now()),
        ..columns(tx, checked)?
    };
    let templates = limits::hold(tx, access.org.id, LimitKey::Templates).await?;
    let made = TemplateKey::read(template_key::Entity::insert(row).exec_with_returning(tx.conn()).await?)?;
    // The first key of a project makes a template of it.
    templates.settle(tx).await?;
    Ok(made)
}

/// The columns that a change sets.
fn columns(tx: &WriteTx, checked: Checked) -> Result<template_key::ActiveModel> {
    let Checked {
        description,
        rule,
        default,
    } = checked;
    let Rule {
        key: _,
        required,
        scope,
        pattern,
        allowed,
        min_length,
        max_length,
    } = rule;
    let allowed = serde_json::to_string(&allowed).map_err(|e| Error::internal(format!("template key columns: {e}")))?;
    Ok(template_key::ActiveModel {
        description: Set(description),
        required: Set(required),
        environments: Set(scope.to_json()?),
        pattern: Set(pattern),
        allowed_values: Set(allowed),
        min_length: Set(min_length),
        max_length: Set(max_length),
        default_value: Set(default),
        updated_at: Set(tx.now()),
        ..Default::default()
    })
}

async fn record(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<TemplatesManage>,
    action: Action,
    key: &TemplateKey,
) -> Result<()> {
    let entry = Entry::in_org(access.org.id, action, Target::TemplateKey(key.id))
        .project(access.project.id)
        .with("key", key.rule.key.clone())
        .with("required", key.rule.required);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
