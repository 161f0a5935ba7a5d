//! Every operation of the API: how to call it with a valid request, what it needs, and what it does. A test holds
//! this table to the served document, so a new operation needs a row.

use std::sync::LazyLock;

use domain::access::Permission;
use serde_json::Value;

use crate::matrix::world::{Place, World};

mod accounts;
mod admin;
mod billing;
mod endpoint;
mod limits;
mod orgs;
mod projects;
mod realms;
mod secrets;
mod templates;
mod webhooks;

pub use endpoint::{Endpoint, endpoints};

/// What stands before an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing: it takes no credential.
    Public,
    /// No credential; whose it is decides what it does: it is for the person who was invited.
    Invited,
    /// No credential; a session that comes with it is ended.
    Ending,
    /// Any credential whose scopes name the permission.
    AnyScope(Permission),
    /// Any credential of a person.
    Person,
    /// A session of a person.
    Session,
    /// The session of the person whose token or address it is about.
    OwnToken,
    /// The session of the person who has the second factor; others have none.
    OwnFactor,
    /// A credential of a person that nothing narrows.
    Unbound,
    /// A credential of a person whose scopes name the permission.
    Scope(Permission),
    /// That the organisation is visible, and the scopes name the permission.
    Visible(Permission),
    /// A superuser who is signed in.
    Superuser,
    /// The permission in the organisation.
    Org(Permission),
    /// The permission in the organisation, and a session.
    OrgSession(Permission),
    /// The permission in the project.
    Project(Permission),
    /// The permission in the project, and a credential that is bound to no places: what those hold is not given away.
    ProjectGiving(Permission),
    /// The permission in the project, and a session.
    ProjectSession(Permission),
    /// An open organisation, and a person who is not in it.
    JoinOrg,
    /// An open project, and a person who is in its organisation and not in it.
    JoinProject,
    /// A role of a person's in the organisation, or in one of its projects.
    LeaveOrg,
    /// A role of a person's in the very project.
    LeaveProject,
    /// Sight of the organisation, a session, then the permission in the deleted project.
    DeletedProject(Permission),
    /// The permission in the environment.
    Env(Permission),
    /// The permission for some key of some environment of the project.
    SomeEnv(Permission),
    /// The permission for some key of the environment.
    AnyKey(Permission),
    /// Both permissions for some key of the environment.
    AnyKeyBoth(Permission, Permission),
    /// To read in the environment that secrets are promoted from, and to write in the one that they come to.
    Promotion,
    /// The permission for the key.
    Key(Permission),
}

impl Gate {
    /// Whether the operation takes no credential.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Public | Self::Invited | Self::Ending)
    }

    /// Whether the operation acts on an organisation, or inside one.
    pub fn is_in_org(self) -> bool {
        let is_outside = matches!(
            self,
            Self::AnyScope(_)
                | Self::Person
                | Self::Session
                | Self::OwnToken
                | Self::OwnFactor
                | Self::Unbound
                | Self::Scope(_)
                | Self::Superuser
        );
        !is_outside && !self.is_public()
    }

    /// Whether the operation acts inside an environment, so that its class matters.
    pub fn is_in_env(self) -> bool {
        matches!(
            self,
            Self::Env(_) | Self::AnyKey(_) | Self::AnyKeyBoth(..) | Self::Key(_) | Self::Promotion
        )
    }
}

/// Who succeeds with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer {
    Owner,
    /// Somebody from elsewhere.
    Outsider,
    /// Somebody who was invited and has not come yet.
    Invitee,
    /// A superuser.
    Superuser,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Operation {
    pub id: &'static str,
    pub gate: Gate,
    /// Whether a success changes something.
    pub mutates: bool,
    pub success: u16,
    /// Makes a valid body.
    pub body: Option<fn(&World, &Place) -> Value>,
    /// What must be done to the world first.
    pub prepare: Option<&'static str>,
    /// What follows the path: `?q=ac`.
    pub query: &'static str,
    /// Rows that a success adds to the journal. None for what is nobody's event yet, such as a code that was asked for.
    pub journal_rows: i64,
    /// Who succeeds with it.
    pub doer: Doer,
}

const fn read(id: &'static str, gate: Gate) -> Operation {
    Operation {
        id,
        gate,
        mutates: false,
        success: 200,
        body: None,
        prepare: None,
        query: "",
        journal_rows: 0,
        doer: Doer::Owner,
    }
}

/// A question that takes a body to ask.
const fn ask(id: &'static str, gate: Gate, body: fn(&World, &Place) -> Value) -> Operation {
    Operation {
        body: Some(body),
        ..read(id, gate)
    }
}

const fn change(id: &'static str, gate: Gate, success: u16) -> Operation {
    Operation {
        mutates: true,
        success,
        journal_rows: 1,
        ..read(id, gate)
    }
}

const fn write(id: &'static str, gate: Gate, success: u16, body: fn(&World, &Place) -> Value) -> Operation {
    Operation {
        body: Some(body),
        ..change(id, gate, success)
    }
}

/// A change that is nobody's event yet.
const fn unrecorded(id: &'static str, success: u16, body: fn(&World, &Place) -> Value) -> Operation {
    Operation {
        journal_rows: 0,
        ..write(id, Gate::Public, success, body)
    }
}

/// Every operation.
pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let areas = [
        accounts::ROWS,
        orgs::ROWS,
        realms::ROWS,
        projects::ROWS,
        templates::ROWS,
        secrets::ROWS,
        webhooks::ROWS,
        admin::ROWS,
        billing::ROWS,
        limits::ROWS,
    ];
    areas.concat()
});

/// Reads that the journal keeps.
pub const JOURNALED_READS: &[&str] = &[
    "list_secrets",
    "get_secret",
    "get_secret_version",
    "export_secrets",
    "verify_project",
    "validate_template",
    "test_org_sso",
    "test_admin_oidc",
];
