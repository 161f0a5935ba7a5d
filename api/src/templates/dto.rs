//! Templates as the API shows them.

use domain::access::ProjectEnvs;
use domain::access::grant::SecretsRead;
use domain::templates::template_key::{self, ShownKey};
use domain::templates::validate;
use domain::templates::{Breach, Rule, TemplateKeyContent};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// A key to be added to a template.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewTemplateKey {
    /// `[A-Za-z_][A-Za-z0-9_.-]{0,254}`, but neither `validate` nor `env-example`.
    pub key: String,
    /// What it is for, up to 2000 characters.
    #[oai(default)]
    pub description: String,
    /// Whether it must be there, and not empty; yes if absent.
    pub required: Option<bool>,
    /// Where it counts: slugs or ids of environments, and classes, `@dev`, `@staging`, `@prod`; 100 at most. Empty:
    /// everywhere. Named environments are meant for good, also when they are renamed.
    #[oai(default)]
    pub environments: Vec<String>,
    /// A regular expression that must be found in the value, up to 200 characters; `^` and `$` tie it to the ends. In
    /// the syntax of Rust's `regex`, so without look-around and back-references.
    pub pattern: Option<String>,
    /// The value must be one of these: up to 50 values of up to 1 KiB. Empty: any.
    #[oai(rename = "enum", default)]
    pub allowed: Vec<String>,
    /// Characters that the value must have at least, 0 to 65536.
    pub min_length: Option<i64>,
    /// Characters that the value may have at most, 0 to 65536.
    pub max_length: Option<i64>,
    /// A value to begin with, up to 1 KiB, that keeps the rules above. Put no secret here: everybody who may read the
    /// template sees it.
    pub default: Option<String>,
}

impl NewTemplateKey {
    pub fn into_parts(self) -> (String, TemplateKeyContent) {
        let Self {
            key,
            description,
            required,
            environments,
            pattern,
            allowed,
            min_length,
            max_length,
            default,
        } = self;
        let content = TemplateKeyContent {
            description,
            required: required.unwrap_or(true),
            environments,
            pattern,
            allowed,
            min_length,
            max_length,
            default,
        };
        (key, content)
    }
}

/// All that a key of a template says.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PutTemplateKey {
    /// What it is for, up to 2000 characters.
    #[oai(default)]
    pub description: String,
    /// Whether it must be there, and not empty; yes if absent.
    pub required: Option<bool>,
    /// Where it counts: slugs or ids of environments, and classes, `@dev`, `@staging`, `@prod`; 100 at most. Empty:
    /// everywhere. Named environments are meant for good, also when they are renamed.
    #[oai(default)]
    pub environments: Vec<String>,
    /// A regular expression that must be found in the value, up to 200 characters; `^` and `$` tie it to the ends. In
    /// the syntax of Rust's `regex`, so without look-around and back-references.
    pub pattern: Option<String>,
    /// The value must be one of these: up to 50 values of up to 1 KiB. Empty: any.
    #[oai(rename = "enum", default)]
    pub allowed: Vec<String>,
    /// Characters that the value must have at least, 0 to 65536.
    pub min_length: Option<i64>,
    /// Characters that the value may have at most, 0 to 65536.
    pub max_length: Option<i64>,
    /// A value to begin with, up to 1 KiB, that keeps the rules above. Put no secret here: everybody who may read the
    /// template sees it.
    pub default: Option<String>,
}

impl From<PutTemplateKey> for TemplateKeyContent {
    fn from(put: PutTemplateKey) -> Self {
        let PutTemplateKey {
            description,
            required,
            environments,
            pattern,
            allowed,
            min_length,
            max_length,
            default,
        } = put;
        Self {
            description,
            required: required.unwrap_or(true),
            environments,
            pattern,
            allowed,
            min_length,
            max_length,
            default,
        }
    }
}

/// A key of a template.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TemplateKey {
    /// Id of the template key: `tpl_…`.
    pub id: String,
    /// The key.
    pub key: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Whether it must be there, and not empty.
    pub required: bool,
    /// Where it counts: slugs of today, and classes with an `@`. Empty: everywhere. An environment that is deleted, or
    /// hidden from the caller, shows its id.
    pub environments: Vec<String>,
    /// A regular expression that must be found in the value.
    pub pattern: Option<String>,
    /// The value must be one of these. Empty: any.
    #[oai(rename = "enum")]
    pub allowed: Vec<String>,
    /// Characters that the value must have at least.
    pub min_length: Option<i64>,
    /// Characters that the value may have at most.
    pub max_length: Option<i64>,
    /// A value to begin with. No secret.
    pub default: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<ShownKey> for TemplateKey {
    fn from(shown: ShownKey) -> Self {
        let ShownKey { key, environments } = shown;
        let template_key::TemplateKey {
            id,
            description,
            rule,
            default,
            created_at,
            updated_at,
        } = key;
        let Rule {
            key,
            required,
            scope: _,
            pattern,
            allowed,
            min_length,
            max_length,
        } = rule;
        Self {
            id: id.to_string(),
            key,
            description,
            required,
            environments,
            pattern,
            allowed,
            min_length,
            max_length,
            default,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A rule of a template that a value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum InvalidReason {
    /// It is none of the values that are allowed.
    #[oai(rename = "enum")]
    NotListed,
    /// The pattern is not found in it.
    Pattern,
    /// It has too few characters.
    TooShort,
    /// It has too many characters.
    TooLong,
}

impl From<Breach> for InvalidReason {
    fn from(breach: Breach) -> Self {
        match breach {
            Breach::Enum => Self::NotListed,
            Breach::Pattern => Self::Pattern,
            Breach::TooShort => Self::TooShort,
            Breach::TooLong => Self::TooLong,
        }
    }
}

/// A value that breaks a rule; it is not shown.
#[derive(Clone, Debug, Object)]
pub struct InvalidValue {
    /// The key.
    pub key: String,
    /// The rule.
    pub reason: InvalidReason,
    /// For people: what the value must be.
    pub message: String,
}

/// What was found in an environment. Keys are sorted.
#[derive(Clone, Debug, Object)]
pub struct EnvironmentReport {
    /// Slug of the environment.
    pub environment: String,
    /// Its revision that was looked at.
    pub revision: i64,
    /// Whether nothing that was looked at is missing, empty or invalid.
    pub valid: bool,
    /// Keys that are required and not there.
    pub missing: Vec<String>,
    /// Keys that are required and have an empty value.
    pub empty: Vec<String>,
    /// Each rule that a value breaks.
    pub invalid: Vec<InvalidValue>,
    /// Keys that are there and not in the template of this environment.
    pub extra: Vec<String>,
    /// How many keys of the template the caller may not read here. Nothing is said of them.
    pub not_readable: u64,
}

impl From<validate::EnvironmentReport> for EnvironmentReport {
    fn from(report: validate::EnvironmentReport) -> Self {
        let valid = report.is_valid();
        let validate::EnvironmentReport {
            environment,
            revision,
            missing,
            empty,
            invalid,
            extra,
            not_readable,
            opened: _,
        } = report;
        let entry = |(key, breach): (String, Breach)| InvalidValue {
            key,
            reason: breach.into(),
            message: breach.message().to_owned(),
        };
        Self {
            environment,
            revision,
            valid,
            missing,
            empty,
            invalid: invalid.into_iter().map(entry).collect(),
            extra,
            not_readable,
        }
    }
}

/// How the environments of a project keep to its template.
#[derive(Clone, Debug, Object)]
pub struct TemplateReport {
    /// Whether every environment that was looked at is valid.
    pub valid: bool,
    /// What was found in each.
    pub environments: Vec<EnvironmentReport>,
    /// Slugs of environments that the caller may know of and not read: they were not looked at.
    pub not_readable: Vec<String>,
}

impl TemplateReport {
    pub fn of(reports: Vec<validate::EnvironmentReport>, of: &ProjectEnvs<SecretsRead>) -> Self {
        Self {
            valid: reports.iter().all(validate::EnvironmentReport::is_valid),
            environments: reports.into_iter().map(Into::into).collect(),
            not_readable: of.refused.iter().map(|env| env.slug.clone()).collect(),
        }
    }
}

/// A format that an example can be written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum ExampleFormat {
    /// A `.env` file.
    #[default]
    Dotenv,
}
