//! Projects, their members and their environments.

use domain::access::Permission::{
    EnvsManage, EnvsRead, KeysRotate, KeysVerify, MembersInvite, MembersRead, MembersRemove, MembersSetRole,
    ProjectsCreate, ProjectsDelete, ProjectsRead, ProjectsUpdate,
};
use serde_json::json;

use super::{Gate, Operation, change, read, write};

/// Gives the owner the colleague's role in the project, so that there is something to give up.
const OWNER_IN_PROJECT: &str = "UPDATE memberships
    SET subject_id = (SELECT user_id FROM user_emails WHERE canonical = 'acme-owner@example.com')
    WHERE project_id IS NOT NULL
      AND subject_id = (SELECT user_id FROM user_emails WHERE canonical = 'acme-colleague@example.com')";

pub(super) const ROWS: &[Operation] = &[
    read("list_project_members", Gate::Project(MembersRead)),
    write(
        "add_project_member",
        Gate::ProjectGiving(MembersInvite),
        201,
        |world, _| json!({ "user_id": world.outsider.id.to_string(), "role": "viewer" }),
    ),
    write(
        "update_project_member",
        Gate::ProjectGiving(MembersSetRole),
        200,
        |_, _| json!({ "role": "developer" }),
    ),
    change("remove_project_member", Gate::Project(MembersRemove), 204),
    read("list_project_invites", Gate::Project(MembersInvite)),
    write(
        "create_project_invite",
        Gate::ProjectGiving(MembersInvite),
        201,
        |_, _| json!({ "max_uses": 3, "role": "viewer" }),
    ),
    change("resend_project_invite", Gate::ProjectGiving(MembersInvite), 200),
    change("revoke_project_invite", Gate::Project(MembersInvite), 204),
    Operation {
        prepare: Some("UPDATE projects SET join_policy = 'open' WHERE slug = 'web'"),
        ..change("join_project", Gate::JoinProject, 201)
    },
    Operation {
        prepare: Some(OWNER_IN_PROJECT),
        ..change("leave_project", Gate::LeaveProject, 204)
    },
    write(
        "transfer_project_ownership",
        Gate::ProjectSession(ProjectsDelete),
        200,
        |_, place| json!({ "member": place.side.member }),
    ),
    read("list_projects", Gate::Visible(ProjectsRead)),
    write(
        "create_project",
        Gate::Org(ProjectsCreate),
        201,
        |_, _| json!({ "name": "New", "slug": "new" }),
    ),
    read("get_project", Gate::Project(ProjectsRead)),
    write(
        "update_project",
        Gate::Project(ProjectsUpdate),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    write(
        "replace_project",
        Gate::Project(ProjectsUpdate),
        200,
        |_, _| json!({ "name": "Renamed", "slug": "renamed" }),
    ),
    change("delete_project", Gate::ProjectSession(ProjectsDelete), 204),
    change("restore_project", Gate::DeletedProject(ProjectsDelete), 200),
    change("rotate_project_key", Gate::Project(KeysRotate), 202),
    read("list_project_keys", Gate::Project(KeysRotate)),
    read("verify_project", Gate::Project(KeysVerify)),
    read("list_environments", Gate::Project(ProjectsRead)),
    write(
        "create_environment",
        Gate::Project(EnvsManage),
        201,
        |_, _| json!({ "name": "Preview" }),
    ),
    read("get_environment", Gate::Env(EnvsRead)),
    write(
        "update_environment",
        Gate::Env(EnvsManage),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    write(
        "replace_environment",
        Gate::Env(EnvsManage),
        200,
        |_, place| json!({ "name": "Renamed", "slug": "renamed", "class": place.env.class }),
    ),
    change("delete_environment", Gate::Env(EnvsManage), 204),
];
