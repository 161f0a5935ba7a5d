//! Organisations and who belongs to them: roles, rules, service accounts, members.

use domain::access::Permission::{
    AccessRead, AclManage, MembersInvite, MembersRead, MembersRemove, MembersSetRole, OrgDelete, OrgRead, OrgUpdate,
    RolesManage, ServiceAccountsManage,
};
use serde_json::json;

use super::{Doer, Gate, Operation, ask, change, read, write};

/// Makes the colleague an owner, so that the owner may leave: what they have in their personal organisation moves here.
const COLLEAGUE_OWNS: &str = "UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'acme'), scope_id = (SELECT id FROM orgs WHERE slug = 'acme')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'acme-colleague')";

/// Gives the organisation an identity provider, which nobody answers for.
pub(super) const SSO: &str = "INSERT INTO sso_providers (id, org_id, name, enabled, issuer, client_id, discovery,
        authorization_endpoint, token_endpoint, jwks_uri, scopes, create_unknown_user, allowed_domains, created_at, updated_at)
    SELECT id, id, 'Acme', TRUE, 'http://127.0.0.1:9999', 'strongroom', FALSE, 'http://127.0.0.1:9999/auth',
        'http://127.0.0.1:9999/token', 'http://127.0.0.1:9999/jwks', 'openid', TRUE, '[]', 1, 1
    FROM orgs WHERE slug = 'acme'";

/// Lets tokens of another issuer stand for every service account; the rule has the id of its account.
const FEDERATED: &str =
    "INSERT INTO federated_identities (id, org_id, service_account_id, name, issuer, audience, claims,
        created_at)
    SELECT id, org_id, id, 'ci', 'http://127.0.0.1:9999', 'strongroom', '{\"sub\":\"a\"}', 1 FROM service_accounts";

pub(super) const ROWS: &[Operation] = &[
    write(
        "create_org",
        Gate::Unbound,
        201,
        |_, _| json!({ "name": "New", "slug": "new-org" }),
    ),
    read("list_orgs", Gate::Scope(OrgRead)),
    read("get_org", Gate::Org(OrgRead)),
    write(
        "update_org",
        Gate::Org(OrgUpdate),
        200,
        |_, _| json!({ "name": "Renamed" }),
    ),
    change("delete_org", Gate::OrgSession(OrgDelete), 204),
    Operation {
        prepare: Some("UPDATE orgs SET deleted_at = updated_at WHERE slug = 'acme'"),
        ..change("restore_org", Gate::OrgSession(OrgDelete), 200)
    },
    read("get_org_sso", Gate::Org(OrgUpdate)),
    write(
        "update_org_sso",
        Gate::OrgSession(OrgUpdate),
        200,
        |_, _| json!({ "issuer": "https://idp.example.com", "client_id": "strongroom", "enabled": true }),
    ),
    Operation {
        prepare: Some(SSO),
        ..change("delete_org_sso", Gate::OrgSession(OrgUpdate), 204)
    },
    Operation {
        prepare: Some(SSO),
        ..ask("test_org_sso", Gate::OrgSession(OrgUpdate), |_, _| json!({}))
    },
    read("list_roles", Gate::Org(OrgRead)),
    write(
        "create_role",
        Gate::Org(RolesManage),
        201,
        |_, _| json!({ "name": "release", "level": "org", "permissions": ["org:read"] }),
    ),
    read("get_role", Gate::Org(OrgRead)),
    write(
        "update_role",
        Gate::Org(RolesManage),
        200,
        |_, _| json!({ "display_name": "Renamed" }),
    ),
    change("delete_role", Gate::Org(RolesManage), 204),
    read("list_access_rules", Gate::Org(AclManage)),
    write("put_access_rule", Gate::Org(AclManage), 201, |_, place| {
        let subject = json!({ "type": "role", "id": place.side.role });
        json!({ "subject": subject, "pattern": "*/@dev", "permissions": ["secrets:read"] })
    }),
    change("delete_access_rule", Gate::Org(AclManage), 204),
    // Asked where a project is named; `who_can` where none is.
    ask(
        "explain_access",
        Gate::Project(AccessRead),
        |_, place| json!({ "permission": "secrets:read", "project": place.side.project, "environment": place.env.slug }),
    ),
    Operation {
        query: "?permission=members:read",
        ..read("who_can", Gate::Org(AccessRead))
    },
    read("list_service_accounts", Gate::Org(ServiceAccountsManage)),
    write(
        "create_service_account",
        Gate::Org(ServiceAccountsManage),
        201,
        |_, _| json!({ "name": "builder", "role": "member" }),
    ),
    read("get_service_account", Gate::Org(ServiceAccountsManage)),
    write(
        "update_service_account",
        Gate::Org(ServiceAccountsManage),
        200,
        |_, _| json!({ "description": "changed", "enabled": false }),
    ),
    change("delete_service_account", Gate::Org(ServiceAccountsManage), 204),
    read("list_service_keys", Gate::Org(ServiceAccountsManage)),
    write(
        "create_service_key",
        Gate::Org(ServiceAccountsManage),
        201,
        |_, _| json!({ "name": "next" }),
    ),
    change("revoke_service_key", Gate::Org(ServiceAccountsManage), 204),
    read("list_federated_identities", Gate::Org(ServiceAccountsManage)),
    write(
        "create_federated_identity",
        Gate::Org(ServiceAccountsManage),
        201,
        |_, _| {
            let claims = json!({ "sub": "repo:acme/web:*" });
            json!({ "issuer": "https://token.actions.githubusercontent.com", "audience": "strongroom", "claims": claims })
        },
    ),
    Operation {
        prepare: Some(FEDERATED),
        ..change("delete_federated_identity", Gate::Org(ServiceAccountsManage), 204)
    },
    read("list_members", Gate::Org(MembersRead)),
    write(
        "add_member",
        Gate::Org(MembersInvite),
        201,
        |world, _| json!({ "user_id": world.outsider.id.to_string(), "role": "viewer" }),
    ),
    write(
        "update_member",
        Gate::Org(MembersSetRole),
        200,
        |_, _| json!({ "role": "viewer" }),
    ),
    change("remove_member", Gate::Org(MembersRemove), 204),
    write(
        "add_member_role",
        Gate::Org(MembersSetRole),
        201,
        |_, _| json!({ "role": "member" }),
    ),
    change("remove_member_role", Gate::Org(MembersSetRole), 204),
    Operation {
        prepare: Some("UPDATE orgs SET join_policy = 'open' WHERE slug = 'acme'"),
        doer: Doer::Outsider,
        ..change("join_org", Gate::JoinOrg, 201)
    },
    Operation {
        prepare: Some(COLLEAGUE_OWNS),
        ..change("leave_org", Gate::LeaveOrg, 204)
    },
    read("list_invites", Gate::Org(MembersInvite)),
    write(
        "create_invite",
        Gate::Org(MembersInvite),
        201,
        |_, _| json!({ "email": "guest@example.com" }),
    ),
    change("resend_invite", Gate::Org(MembersInvite), 200),
    change("revoke_invite", Gate::Org(MembersInvite), 204),
    read("get_invite", Gate::Public),
    Operation {
        doer: Doer::Invitee,
        ..write("accept_invite", Gate::Invited, 201, |_, _| json!({}))
    },
    write(
        "transfer_org_ownership",
        Gate::OrgSession(OrgDelete),
        200,
        |_, place| json!({ "member": place.side.member }),
    ),
];
