//! Changing what a project is called and how it is run.

use sea_orm::{ActiveValue::Set, EntityTrait};

use super::entity::project;
use super::joining::{self, Joining};
use super::project::{self as projects, Project, unique_slug};
use super::template_gate::TemplateGate;
use crate::access::grant::ProjectsUpdate;
use crate::access::{Caller, ProjectAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::ProjectId;
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Reads, Result, WriteTx};

/// Changes to a project; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub description: Option<String>,
    /// Whether anybody of the organisation may join.
    pub is_open: Option<bool>,
    /// Name or id.
    pub join_role: Option<String>,
    pub template_gate: Option<TemplateGate>,
}

/// # Errors
/// `invalid_field`, `slug_taken`; `forbidden` for a join role above the caller.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<ProjectsUpdate>,
    patch: ProjectPatch,
) -> Result<Project> {
    let joining = joining::changed(tx, access, &patch).await?;
    let changed = names(&patch);
    let row = row(tx, access, patch, joining)?;
    project::Entity::update(row)
        .exec(tx.conn())
        .await
        .map_err(unique_slug)?;
    let (org, project) = (access.org.id, access.project.id);
    let entry = Entry::in_org(org, Action::ProjectUpdated, Target::Project(project)).project(project);
    journal::record(tx, &caller.origin, entry.with("changed", changed)).await?;
    projects::load(tx, access).await
}

/// Sets what a project is called; absent parts stay. Whoever calls has checked that it may be, and journals the parts that
/// are returned.
///
/// # Errors
/// `invalid_field`.
pub async fn describe(
    tx: &WriteTx,
    id: ProjectId,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<Vec<&'static str>> {
    let mut row = project::ActiveModel {
        id: Set(id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    let mut changed = Vec::new();
    if let Some(name) = name {
        row.name = Set(text::name("name", name)?);
        changed.push("name");
    }
    if let Some(description) = description {
        row.description = Set(text::long("description", description, MAX_DESCRIPTION_LEN)?);
        changed.push("description");
    }
    project::Entity::update(row).exec(tx.conn()).await?;
    Ok(changed)
}

/// The fields that a patch names.
fn names(patch: &ProjectPatch) -> Vec<&'static str> {
    let ProjectPatch {
        name,
        slug,
        description,
        is_open,
        join_role,
        template_gate,
    } = patch;
    let fields = [
        ("name", name.is_some()),
        ("slug", slug.is_some()),
        ("description", description.is_some()),
        ("join_policy", is_open.is_some()),
        ("join_role", join_role.is_some()),
        ("template_gate", template_gate.is_some()),
    ];
    fields
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

fn row(
    tx: &WriteTx,
    access: &ProjectAccess<ProjectsUpdate>,
    patch: ProjectPatch,
    joining: Option<Joining>,
) -> Result<project::ActiveModel> {
    let mut row = project::ActiveModel {
        id: Set(access.project.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = patch.name {
        row.name = Set(text::name("name", &name)?);
    }
    if let Some(slug) = patch.slug {
        row.slug = Set(text::slug("slug", &slug)?);
    }
    if let Some(description) = patch.description {
        row.description = Set(text::long("description", &description, MAX_DESCRIPTION_LEN)?);
    }
    if let Some(gate) = patch.template_gate {
        row.template_gate = Set(gate.as_str().to_owned());
    }
    if let Some(joining) = joining {
        row.join_policy = Set(joining.policy().to_owned());
        row.join_role_id = Set(Some(joining.role));
    }
    Ok(row)
}
