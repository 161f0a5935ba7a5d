//! Where secrets lie, without the proof that led there: what is sealed, and what the journal says.

use crate::access::EnvAccess;
use crate::crypto::envelope::{SecretField, SecretPlace};
use crate::journal::{Action, Entry, Target};
use crate::kernel::id::{EnvId, OrgId, ProjectId, SecretId};

/// An environment.
#[derive(Clone, Debug)]
pub(super) struct EnvPlace {
    pub(super) org: OrgId,
    pub(super) project: ProjectId,
    pub(super) project_slug: String,
    pub(super) env: EnvId,
    pub(super) env_slug: String,
}

impl<A> From<&EnvAccess<A>> for EnvPlace {
    fn from(access: &EnvAccess<A>) -> Self {
        Self {
            org: access.org.id,
            project: access.project.id,
            project_slug: access.project.slug.clone(),
            env: access.env.id,
            env_slug: access.env.slug.clone(),
        }
    }
}

impl EnvPlace {
    /// What the texts of a version are sealed for: this place and no other.
    pub(super) fn aad(&self, secret: SecretId, version: i64, field: SecretField) -> Vec<u8> {
        SecretPlace {
            org: self.org,
            project: self.project,
            env: self.env,
            secret,
            version,
            field,
        }
        .aad()
    }

    /// An event of this environment at a revision.
    pub(super) fn entry(&self, action: Action, target: Target, revision: i64) -> Entry {
        Entry::in_org(self.org, action, target)
            .project(self.project)
            .environment(self.env, revision)
            .with("project", self.project_slug.clone())
            .with("environment", self.env_slug.clone())
    }
}
