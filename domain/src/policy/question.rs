//! What can be asked about access: a permission, and the place where it would be used.

use crate::access::permission::Reach;
use crate::access::{Inquiry, Permission, Resource};
use crate::kernel::{Problem, Result};
use crate::secrets::key::check_key;

/// A place in the caller's words: each level needs the one above it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Id or slug.
    pub project: Option<String>,
    /// Id or slug.
    pub environment: Option<String>,
    pub key: Option<String>,
}

/// A question that some operation asks too before it does anything.
#[derive(Clone, Debug)]
pub struct Question {
    pub permission: Permission,
    place: Place,
}

impl Question {
    /// # Errors
    /// `invalid_field` naming what is no permission, is missing, or lies deeper than the permission reaches.
    pub fn new(permission: &str, place: Place) -> Result<Self> {
        let message = "is no permission: name one, such as `secrets:read`, without a class";
        let permission: Permission = permission
            .parse()
            .map_err(|_| Problem::field("permission", "unknown", message))?;
        if let Some(problem) = misplaced(permission, &place) {
            return Err(problem.into());
        }
        place.key.as_deref().map_or(Ok(()), check_key)?;
        Ok(Self { permission, place })
    }

    /// The path of the place in an organisation.
    pub fn path<'a>(&'a self, org: &'a str) -> Vec<&'a str> {
        let Place {
            project,
            environment,
            key: _,
        } = &self.place;
        let below = [project, environment].into_iter().flatten().map(String::as_str);
        std::iter::once(org).chain(below).collect()
    }

    /// What it is about.
    pub(super) fn resource<'a>(&'a self, inquiry: &'a Inquiry) -> Resource<'a> {
        inquiry.resource(self.place.key.as_deref())
    }
}

/// What is wrong with asking for the permission there.
fn misplaced(permission: Permission, place: &Place) -> Option<Problem> {
    let Place {
        project,
        environment,
        key,
    } = place;
    let (project, environment, key) = (project.is_some(), environment.is_some(), key.is_some());
    if environment && !project {
        return Some(Problem::field(
            "project",
            "required",
            "must be named with an environment",
        ));
    }
    if key && !environment {
        return Some(Problem::field("environment", "required", "must be named with a key"));
    }
    let too_deep = |field: &'static str, reach: &str| {
        let message = format!("must be absent: `{permission}` acts on {reach}");
        Some(Problem::field(field, "level", message))
    };
    match permission.reach() {
        Reach::Org if project => too_deep("project", "the whole organisation"),
        Reach::Project if environment => too_deep("environment", "whole projects"),
        Reach::Env if permission.acts_on_keys() && !environment => {
            let message = format!("must be named: `{permission}` acts on secrets, which lie in environments");
            Some(Problem::field("environment", "required", message))
        }
        Reach::Env if key && !permission.acts_on_keys() => too_deep("key", "whole environments"),
        Reach::Org | Reach::Project | Reach::Env => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Error;

    /// The field and reason of the refusal of a place that is named as deep as `depth`.
    fn refused(permission: &str, depth: usize) -> Option<(String, String)> {
        let named = |level: usize, name: &str| (depth >= level).then(|| name.to_owned());
        field(Question::new(
            permission,
            Place {
                project: named(1, "web"),
                environment: named(2, "dev"),
                key: named(3, "K"),
            },
        ))
    }

    fn field(asked: Result<Question>) -> Option<(String, String)> {
        let Err(Error::Problem(problem)) = asked else {
            return None;
        };
        let error = problem.errors.first().unwrap();
        Some((error.field.to_string(), error.reason.to_string()))
    }

    #[test]
    fn a_permission_is_asked_for_at_its_own_depth_or_above() {
        let level = |field: &str| Some((field.to_owned(), "level".to_owned()));
        let environment = || Some(("environment".to_owned(), "required".to_owned()));
        for (permission, expected) in [
            (
                "audit:read",
                [None, level("project"), level("project"), level("project")],
            ),
            (
                "members:invite",
                [None, None, level("environment"), level("environment")],
            ),
            ("envs:manage", [None, None, None, level("key")]),
            ("secrets:read", [environment(), environment(), None, None]),
        ] {
            for (depth, expected) in expected.into_iter().enumerate() {
                assert_eq!(refused(permission, depth), expected, "{permission} {depth}");
            }
        }
    }

    #[test]
    fn every_permission_can_be_asked_for_somewhere() {
        for permission in Permission::ALL {
            assert!(
                (0..4).any(|depth| refused(permission.as_str(), depth).is_none()),
                "{permission}"
            );
        }
    }

    #[test]
    fn what_is_no_permission_no_key_or_no_path_is_named() {
        for permission in ["", "secrets:explode", "secrets:read@prod", "*"] {
            assert_eq!(
                refused(permission, 3),
                Some(("permission".into(), "unknown".into())),
                "{permission}"
            );
        }
        let asked = |project: Option<&str>, environment: Option<&str>, key: Option<&str>| {
            let place = Place {
                project: project.map(str::to_owned),
                environment: environment.map(str::to_owned),
                key: key.map(str::to_owned),
            };
            field(Question::new("secrets:read", place))
        };
        assert_eq!(
            asked(Some("web"), Some("dev"), Some("1")),
            Some(("key".into(), "format".into()))
        );
        assert_eq!(
            asked(None, Some("dev"), None),
            Some(("project".into(), "required".into()))
        );
        assert_eq!(
            asked(Some("web"), None, Some("K")),
            Some(("environment".into(), "required".into()))
        );
    }
}
