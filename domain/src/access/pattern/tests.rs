use uuid::Uuid;

use super::super::facts::{EnvRef, ProjectRef};
use super::*;
use crate::kernel::id::OrgId;

const WEB: ProjectId = ProjectId(Uuid::from_u128(1));
const API: ProjectId = ProjectId(Uuid::from_u128(2));
const WEB_PROD: EnvId = EnvId(Uuid::from_u128(3));
const API_PROD: EnvId = EnvId(Uuid::from_u128(4));

fn resolve(text: &str) -> Result<Pattern, PatternError> {
    PatternText::parse(text)?.resolve(
        |slug| match slug {
            "web" => Some(WEB),
            "api" => Some(API),
            _ => None,
        },
        |project, slug| match (project, slug) {
            (WEB, "prod") => Some(WEB_PROD),
            (API, "prod") => Some(API_PROD),
            _ => None,
        },
    )
}

fn web_prod() -> Resource<'static> {
    let env = EnvRef {
        id: WEB_PROD,
        slug: "prod",
        class: EnvClass::Prod,
    };
    Resource::env(OrgId(Uuid::nil()), ProjectRef { id: WEB, slug: "web" }, env)
}

fn api_prod() -> Resource<'static> {
    let env = EnvRef {
        id: API_PROD,
        slug: "prod",
        class: EnvClass::Prod,
    };
    Resource::env(OrgId(Uuid::nil()), ProjectRef { id: API, slug: "api" }, env)
}

#[test]
fn shows_all_three_segments_and_reads_them_back() {
    for (text, canonical) in [
        ("*", "*/*/*"),
        ("web", "web/*/*"),
        ("web/prod", "web/prod/*"),
        ("web/@prod/STRIPE_*", "web/@prod/STRIPE_*"),
        ("we*/pr*/_a.b-c", "we*/pr*/_a.b-c"),
        ("0-web/*/K", "0-web/*/K"),
    ] {
        let read = PatternText::parse(text).unwrap();
        assert_eq!(read.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(read));
    }
}

#[test]
fn refuses_what_the_grammar_does_not_have() {
    let long_key = format!("*/*/{}", "k".repeat(256));
    for (text, error) in [
        ("", PatternError::Project),
        ("**", PatternError::Project),
        ("w?b", PatternError::Project),
        ("*web", PatternError::Project),
        ("we*b", PatternError::Project),
        ("Web", PatternError::Project),
        ("@prod", PatternError::Project),
        ("web/", PatternError::Env),
        ("web/@", PatternError::Env),
        ("web/@prod*", PatternError::Env),
        ("web/@live", PatternError::Env),
        ("web/PROD", PatternError::Env),
        ("web/prod/", PatternError::Key),
        ("web/prod/@prod", PatternError::Key),
        ("web/prod/1KEY", PatternError::Key),
        ("web/prod/A**", PatternError::Key),
        ("web/prod/[A-Z]", PatternError::Key),
        ("web/prod/Ä", PatternError::Key),
        (long_key.as_str(), PatternError::Key),
        ("web/prod/K/x", PatternError::TooLong),
        ("*/*/*/", PatternError::TooLong),
    ] {
        assert_eq!(PatternText::parse(text), Err(error), "{text}");
    }
}

#[test]
fn names_become_ids_where_they_are_unique() {
    let named = resolve("web/prod/K").unwrap();
    assert_eq!((named.project_id(), named.env_id()), (Some(WEB), Some(WEB_PROD)));
    assert_eq!(resolve("nope"), Err(PatternError::UnknownProject));
    assert_eq!(resolve("web/dev"), Err(PatternError::UnknownEnv));

    let mut renamed = web_prod();
    renamed.project = Some(ProjectRef { id: WEB, slug: "site" });
    assert!(named.matches(&renamed.with_key("K")));
    let mut recreated = web_prod();
    recreated.project = Some(ProjectRef { id: API, slug: "web" });
    assert!(!named.matches(&recreated.with_key("K")));

    let in_any_project = resolve("*/prod").unwrap();
    assert_eq!(in_any_project.env_id(), None);
    assert!(in_any_project.matches(&web_prod()) && in_any_project.matches(&api_prod()));
}

#[test]
fn each_segment_matches_at_its_own_level() {
    let stripe = web_prod().with_key("STRIPE_KEY");
    for text in [
        "*",
        "web",
        "w*",
        "web/prod",
        "web/@prod",
        "web/p*",
        "*/prod",
        "web/prod/STRIPE_KEY",
        "web/@prod/STRIPE_*",
    ] {
        assert!(resolve(text).unwrap().matches(&stripe), "{text}");
    }
    for text in [
        "api",
        "a*",
        "api/prod",
        "web/@dev",
        "web/d*",
        "*/dev",
        "web/prod/STRIPE",
        "*/*/stripe_*",
        "*/*/STRIPE_KEY_*",
    ] {
        assert!(!resolve(text).unwrap().matches(&stripe), "{text}");
    }
}

#[test]
fn only_a_star_matches_an_absent_level() {
    let (org, env) = (Resource::org(OrgId(Uuid::nil())), web_prod());
    let mut project = env;
    project.env = None;
    for (text, levels) in [
        ("*", [true, true, true]),
        ("web", [false, true, true]),
        ("w*", [false, true, true]),
        ("web/@prod", [false, false, true]),
        ("*/p*", [false, false, true]),
        ("*/*/K", [false, false, false]),
        ("*/*/K*", [false, false, false]),
    ] {
        let pattern = resolve(text).unwrap();
        assert_eq!(
            [org, project, env].map(|resource| pattern.matches(&resource)),
            levels,
            "{text}"
        );
        // Something inside each of them could match, though.
        assert_eq!(
            [org, project, env].map(|resource| pattern.could_match_inside(&resource)),
            [true; 3],
            "{text}"
        );
    }
    assert!(!resolve("api").unwrap().could_match_inside(&project));
    assert!(!resolve("web/@dev/K").unwrap().could_match_inside(&env));
    assert!(!resolve("*/*/K").unwrap().could_match_inside(&env.with_key("L")));
}

#[test]
fn is_stored_as_an_object_with_every_part() {
    for text in ["*", "web/prod/K", "we*/prod/A*", "web/@prod", "*/pr*"] {
        let pattern = resolve(text).unwrap();
        let json = serde_json::to_value(&pattern).unwrap();
        assert_eq!(serde_json::from_value::<Pattern>(json).unwrap(), pattern, "{text}");
    }
    assert_eq!(
        serde_json::to_string(&resolve("web/@prod/A*").unwrap()).unwrap(),
        format!(r#"{{"project":{{"id":"{WEB}"}},"env":{{"class":"prod"}},"key":{{"prefix":"A"}}}}"#)
    );
    assert!(serde_json::from_str::<Pattern>(r#"{"project":"any","env":"any"}"#).is_err());
    assert!(serde_json::from_str::<Pattern>(r#"{"project":"any","env":"any","key":"any","org":"any"}"#).is_err());
}

#[test]
fn reads_back_with_the_slugs_of_today_and_without_them_is_canonical() {
    for (text, shown, canonical) in [
        ("*", "*/*/*", "*/*/*".to_owned()),
        ("we*/prod/A*", "we*/prod/A*", "we*/prod/A*".to_owned()),
        ("web/@prod", "site/@prod/*", format!("{WEB}/@prod/*")),
        (
            "web/prod/K",
            "site/live/K",
            format!("{WEB}/{}/K", web_prod().env.unwrap().id),
        ),
    ] {
        let pattern = resolve(text).unwrap();
        assert_eq!(pattern.to_text(|_| Some("site"), |_| Some("live")), shown, "{text}");
        assert_eq!(pattern.to_string(), canonical, "{text}");
    }
    assert_eq!(Pattern::in_project(WEB), resolve("web").unwrap());
}

#[test]
fn covers_environments_and_projects_only_with_stars_below_them() {
    for (text, environments, projects) in [
        ("*", true, true),
        ("web", true, true),
        ("web/@prod", true, false),
        ("web/prod", true, false),
        ("*/*/K", false, false),
        ("web/prod/K*", false, false),
    ] {
        let pattern = resolve(text).unwrap();
        assert_eq!(
            (pattern.covers_environments(), pattern.covers_projects()),
            (environments, projects),
            "{text}"
        );
    }
    assert_eq!(resolve("web/@prod/K").unwrap().class(), Some(EnvClass::Prod));
    assert_eq!(resolve("web/prod/K").unwrap().class(), None);
}
