//! Lists of permissions as callers send them, and what each place takes.

use crate::access::facts::Effect;
use crate::access::pattern::Pattern;
use crate::access::permission::{Grant, Reach};
use crate::access::role::RoleLevel;
use crate::access::{GrantSet, Permission};
use crate::kernel::{Problem, Result};

/// Entries of a list of platform permissions at most: more than there are.
const MAX_GRANTS: usize = 200;
/// Permissions of a role of the tenant's application at most.
const MAX_APP_PERMISSIONS: usize = 100;
/// Longest permission of the tenant's application, characters.
const MAX_APP_PERMISSION_LEN: usize = 100;

fn at(index: usize, reason: &'static str, message: impl Into<String>) -> Problem {
    Problem::field(format!("permissions[{index}]"), reason, message.into())
}

fn too_many(max: usize) -> Problem {
    Problem::field("permissions", "too_many", format!("must have at most {max} entries"))
}

/// Every entry that is a grant and passes `refusal`.
fn checked(list: &[String], refusal: impl Fn(Grant) -> Option<(&'static str, String)>) -> Result<GrantSet> {
    if list.len() > MAX_GRANTS {
        return Err(too_many(MAX_GRANTS).into());
    }
    let mut grants = Vec::with_capacity(list.len());
    for (index, text) in list.iter().enumerate() {
        let grant: Grant = text.parse().map_err(|e| at(index, "unknown", format!("{e}")))?;
        if let Some((reason, message)) = refusal(grant) {
            return Err(at(index, reason, message).into());
        }
        grants.push(grant);
    }
    Ok(grants.into_iter().collect())
}

/// The permissions of a role of this platform.
///
/// # Errors
/// `invalid_field` naming the entry that is none, or that a role of this level cannot carry.
pub(super) fn of_role(list: &[String], level: RoleLevel) -> Result<GrantSet> {
    checked(list, |grant| {
        let beyond = level == RoleLevel::Project && grant.permission().reach() == Reach::Org;
        beyond.then(|| {
            let message = "acts on the whole organisation, so a role of a project cannot grant it";
            ("level", message.to_owned())
        })
    })
}

/// The permissions of a rule over `pattern`: those that could ever be asked for where it applies.
///
/// # Errors
/// `invalid_field` naming the entry that is none, or that such a rule cannot carry.
pub(super) fn of_rule(list: &[String], effect: Effect, pattern: &Pattern) -> Result<GrantSet> {
    if list.is_empty() {
        return Err(Problem::field("permissions", "required", "must name at least one permission").into());
    }
    checked(list, |grant| {
        let refused = match effect {
            Effect::Deny => undeniable(grant.permission()),
            Effect::Allow => None,
        };
        refused.or_else(|| out_of_place(grant, pattern))
    })
}

/// Nobody can be locked out of managing their own organisation.
fn undeniable(permission: Permission) -> Option<(&'static str, String)> {
    let deniable = permission.acts_on_keys() || permission == Permission::EnvsRead;
    (!deniable).then(|| {
        let message = "cannot be denied: deny rules take the permissions on secrets, and `envs:read`";
        ("not_deniable", message.to_owned())
    })
}

/// Why the grant would never count where the pattern applies.
fn out_of_place(grant: Grant, pattern: &Pattern) -> Option<(&'static str, String)> {
    let permission = grant.permission();
    let message = match permission.reach() {
        Reach::Org => "acts on the whole organisation; give it with a role",
        Reach::Project if !pattern.covers_projects() => {
            "acts on whole projects, so the pattern must end with `/*/*`, or have the project alone"
        }
        Reach::Env if !permission.acts_on_keys() && !pattern.covers_environments() => {
            "acts on whole environments, so the pattern must end with `/*`, or leave out the key"
        }
        Reach::Env => {
            let apart = matches!((grant.class(), pattern.class()), (Some(of), Some(at)) if of != at);
            return apart.then(|| ("conflict", format!("is never asked for in `@{}`", class_of(pattern))));
        }
        Reach::Project => return None,
    };
    Some(("level", message.to_owned()))
}

fn class_of(pattern: &Pattern) -> &'static str {
    pattern.class().map_or("*", crate::access::EnvClass::as_str)
}

/// The permissions of a role of the tenant's own application: kept as they are, sorted, each once.
///
/// # Errors
/// `invalid_field` naming the entry that is not of the form `resource:action`.
pub(super) fn of_app(list: &[String]) -> Result<Vec<String>> {
    if list.len() > MAX_APP_PERMISSIONS {
        return Err(too_many(MAX_APP_PERMISSIONS).into());
    }
    for (index, text) in list.iter().enumerate() {
        if text.chars().count() > MAX_APP_PERMISSION_LEN {
            let message = format!("must have at most {MAX_APP_PERMISSION_LEN} characters");
            return Err(at(index, "too_long", message).into());
        }
        if !is_app_permission(text) {
            return Err(at(index, "format", "must be of the form `comments:write`, in lower case").into());
        }
    }
    let mut kept = list.to_vec();
    kept.sort_unstable();
    kept.dedup();
    Ok(kept)
}

/// `[a-z][a-z0-9_.-]*(:[a-z0-9_.*-]+)*`
fn is_app_permission(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    let mut parts = text.split(':');
    let resource = parts.next().unwrap_or_default();
    resource.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && resource.bytes().all(inner)
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| inner(b) || b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::pattern::PatternText;
    use crate::kernel::Error;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    /// Field and reason of a refusal.
    fn refused<T>(result: Result<T>) -> Option<(String, String)> {
        let Err(Error::Problem(problem)) = result else {
            return None;
        };
        let error = problem.errors.first().unwrap();
        Some((error.field.to_string(), error.reason.to_string()))
    }

    fn over(text: &str) -> Pattern {
        let pattern = PatternText::parse(text).unwrap();
        pattern.resolve(|_| None, |_, _| None).unwrap()
    }

    #[test]
    fn what_no_role_of_the_level_can_grant_is_refused_by_its_place() {
        assert_eq!(
            of_role(&list(&["audit:read"]), RoleLevel::Org).unwrap().iter().count(),
            1
        );
        let project = of_role(&list(&["secrets:read", "audit:read"]), RoleLevel::Project);
        assert_eq!(refused(project), Some(("permissions[1]".into(), "level".into())));
        for unknown in ["secrets:explode", "secrets:read@moon", "audit:read@dev", "", "*"] {
            let refused = refused(of_role(&list(&["org:read", unknown]), RoleLevel::Org));
            assert_eq!(refused, Some(("permissions[1]".into(), "unknown".into())), "{unknown}");
        }
    }

    #[test]
    fn a_rule_takes_what_is_asked_for_where_it_applies() {
        for (permission, pattern, reason) in [
            ("secrets:read", "*/*/DB_*", None),
            ("secrets:read@dev", "*/@dev", None),
            ("secrets:read@dev", "*/@prod", Some("conflict")),
            ("envs:read", "*/prod", None),
            ("envs:read", "*/prod/K", Some("level")),
            ("members:read", "we*", None),
            ("members:read", "we*/@dev", Some("level")),
            ("org:read", "*", Some("level")),
            ("acl:manage", "*", Some("level")),
        ] {
            let refused = refused(of_rule(&list(&[permission]), Effect::Allow, &over(pattern)));
            assert_eq!(
                refused.map(|(_, reason)| reason),
                reason.map(str::to_owned),
                "{permission} {pattern}"
            );
        }
    }

    #[test]
    fn only_secrets_and_the_sight_of_environments_can_be_denied() {
        for &permission in Permission::ALL {
            let refused = refused(of_rule(&list(&[permission.as_str()]), Effect::Deny, &Pattern::ANYTHING));
            let deniable = permission.as_str().starts_with("secrets:") || permission.as_str() == "envs:read";
            assert_eq!(refused.is_none(), deniable, "{permission}");
        }
        assert_eq!(
            refused(of_rule(&[], Effect::Deny, &Pattern::ANYTHING)).unwrap().0,
            "permissions"
        );
    }

    #[test]
    fn an_application_names_its_permissions_as_it_likes_within_one_form() {
        let own = list(&["secrets:read", "comments:write", "a", "x.y-z_1:*:b", "comments:write"]);
        assert_eq!(
            of_app(&own).unwrap(),
            ["a", "comments:write", "secrets:read", "x.y-z_1:*:b"]
        );
        for bad in [
            "",
            "A",
            "1a",
            "*",
            ":a",
            "a:",
            "a::b",
            "a b",
            "ä",
            "a:B",
            &"a".repeat(101),
        ] {
            assert!(of_app(&list(&[bad])).is_err(), "{bad}");
        }
        assert!(of_app(&vec!["a".to_owned(); 101]).is_err());
    }
}
