//! Secrets in and out as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::{Error, Secret};
use domain::secrets::Moment;
use domain::secrets::bulk::Mode;
use domain::secrets::format::Format;
use domain::secrets::list::{self, Selection};
use domain::secrets::transfer::{self, Import};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiRequest, ApiResponse, Enum, OpenApi, ResponseContent};

use super::bulk::{BulkMode, ChangedKeys, answer};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::http::ready_json::ReadyJson;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct TransferApi(pub Arc<App>);

/// A text format that holds secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum TextFormat {
    /// What `dotenv` of npm, `python-dotenv` and Docker Compose all read the same.
    #[default]
    Dotenv,
    /// A flat object of strings.
    Json,
    /// A flat mapping of strings.
    Yaml,
    /// `export` lines for a POSIX shell.
    Shell,
    /// A file for `docker run --env-file`.
    DockerEnv,
    /// A Kubernetes Secret manifest.
    K8sSecret,
}

impl From<TextFormat> for Format {
    fn from(format: TextFormat) -> Self {
        match format {
            TextFormat::Dotenv => Self::Dotenv,
            TextFormat::Json => Self::Json,
            TextFormat::Yaml => Self::Yaml,
            TextFormat::Shell => Self::Shell,
            TextFormat::DockerEnv => Self::DockerEnv,
            TextFormat::K8sSecret => Self::K8sSecret,
        }
    }
}

/// Secrets to be stored.
#[derive(ApiRequest)]
pub enum ImportBody {
    /// A text in the format that `format` names.
    #[oai(content_type = "text/plain")]
    Text(PlainText<String>),
    /// A flat object of strings, whatever `format` says.
    Json(Json<BTreeMap<String, String>>),
}

#[derive(ResponseContent)]
pub enum ExportContent {
    /// A text in the format that was asked for.
    Text(PlainText<String>),
    /// A flat object of strings.
    Json(Json<BTreeMap<String, String>>),
}

#[derive(ApiResponse)]
pub enum Exported {
    /// The secrets that the caller may read.
    #[oai(status = 200)]
    Ok(ExportContent),
}

#[OpenApi(tag = "Tag::Secrets")]
impl TransferApi {
    /// Import secrets
    ///
    /// From a text: all of them or none, as one revision. A text that two readers of its format would take differently
    /// is refused rather than guessed at, and so is a key that stands in it twice. Comments stay.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/import",
        method = "post",
        operation_id = "import_secrets"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn import_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The text's format; `dotenv` if absent.
        format: Query<Option<TextFormat>>,
        /// What becomes of the keys that the text does not name; they stay if absent.
        mode: Query<Option<BulkMode>>,
        /// Only tell what would happen.
        dry_run: Query<Option<bool>>,
        body: ImportBody,
    ) -> Result<ReadyJson<ChangedKeys>, ApiError> {
        let (format, text) = match body {
            ImportBody::Text(text) => (format.0.unwrap_or_default().into(), text.0),
            ImportBody::Json(map) => {
                let text = serde_json::to_string(&map.0).map_err(|e| Error::internal(format!("import: {e}")))?;
                (Format::Json, text)
            }
        };
        let import = Import {
            format,
            text: Secret::new(text),
            mode: mode.0.unwrap_or_default().into(),
            dry_run: dry_run.0.unwrap_or(false),
        };
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env).await?;
        let deletes = match import.mode {
            Mode::Merge => None,
            Mode::Replace => Some(access.also::<grant::SecretsDelete>()?),
        };
        let done = transfer::import(&tx, &self.0.keys, &caller, &access, deletes.as_ref(), import).await?;
        answer(tx, done).await
    }

    /// Export secrets
    ///
    /// As a text: all that the caller may read, now or as they were. A value that the format cannot hold exactly is
    /// named, and nothing is written. The read is recorded in the audit log before it is answered.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/export",
        method = "get",
        operation_id = "export_secrets"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn export_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The text's format; `dotenv` if absent.
        format: Query<Option<TextFormat>>,
        /// A revision of the environment, or the name of a pin: as it was then.
        revision: Query<Option<String>>,
        /// An instant: as it was then.
        at: Query<Option<Time>>,
    ) -> Result<Exported, ApiError> {
        let access = access::env::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, &env).await?;
        let selection = Selection {
            moment: Moment::new(revision.0.as_deref(), at.0.map(|at| at.0))?,
            ..Selection::default()
        };
        let listing = list::secrets(&self.0.db, &self.0.keys, &self.0.warm, &access, &selection).await?;
        let format = format.0.unwrap_or_default();
        let name = format!("{}-{}", access.project.slug, access.env.slug);
        let text = transfer::export(format.into(), &listing, &name)?;
        self.0.reads.record(list::event(&caller, &access, &listing)).await?;
        Ok(Exported::Ok(match format {
            TextFormat::Json => {
                let entries = listing.page.data.into_iter();
                ExportContent::Json(Json(
                    entries
                        .map(|opened| (opened.key.clone(), opened.value.expose().clone()))
                        .collect(),
                ))
            }
            TextFormat::Dotenv
            | TextFormat::Yaml
            | TextFormat::Shell
            | TextFormat::DockerEnv
            | TextFormat::K8sSecret => ExportContent::Text(PlainText(text.expose().clone())),
        }))
    }
}
