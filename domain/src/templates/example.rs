//! A `.env` file to begin with, made of a template. It holds defaults and no secret.

use super::template_key::{TemplateKey, of_project};
use crate::access::ProjectEnvs;
use crate::access::grant::SecretsRead;
use crate::kernel::id::EnvId;
use crate::kernel::{Problem, Reads, Result};
use crate::secrets::format::{self, Format};

/// The file for a project, or for one of its environments, by slug or id.
///
/// # Errors
/// `not_found` for an environment that there is not; `invalid_field` naming a key whose default dotenv cannot hold.
pub async fn env_example(
    from: &impl Reads,
    environments: &ProjectEnvs<SecretsRead>,
    environment: Option<&str>,
) -> Result<String> {
    let mut keys = of_project(from, environments.project.id).await?;
    if let Some(name) = environment {
        let is_meant = |slug: &str, id: EnvId| slug == name || name.parse() == Ok(id);
        let mut meant = environments.known().filter(|env| is_meant(&env.slug, env.id));
        let env = meant.next().ok_or_else(Problem::not_found)?;
        keys.retain(|key| key.rule.scope.covers(env.id, env.class));
    }
    dotenv(&keys)
}

/// Each key with its description as comment lines, whether it is required, and its default.
fn dotenv(keys: &[TemplateKey]) -> Result<String> {
    let mut text = String::new();
    for key in keys {
        if !text.is_empty() {
            text.push('\n');
        }
        let is_required = if key.rule.required { "required" } else { "optional" };
        let description = key.description.split(is_line_end).map(str::trim);
        for line in description.filter(|line| !line.is_empty()).chain([is_required]) {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
        let default = key.default.as_deref().unwrap_or_default();
        let entry = std::iter::once((key.rule.key.as_str(), default));
        let line = format::write(Format::Dotenv, entry, "").map_err(|error| {
            let message = format!("cannot hold the default of `{}`: {}", error.key, error.reason);
            Problem::field("format", "cannot_hold", message)
        })?;
        text.push_str(&line);
    }
    Ok(text)
}

/// What any reader of `.env` files takes for the end of a line: a comment must not go on as something else.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::super::rule::Rule;
    use super::super::rule::tests::rule;
    use super::*;
    use crate::kernel::Timestamp;
    use crate::kernel::id::TemplateKeyId;

    fn key(name: &str, required: bool, description: &str, default: Option<&str>) -> TemplateKey {
        TemplateKey {
            id: TemplateKeyId(uuid::Uuid::nil()),
            description: description.to_owned(),
            rule: Rule { required, ..rule(name) },
            default: default.map(str::to_owned),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn the_file_reads_back_to_the_defaults() {
        let keys = [
            key(
                "DB_URL",
                true,
                "Where orders are.\nAsk Dana.",
                Some("postgres://localhost/dev"),
            ),
            key("TOKEN", false, "  ", None),
        ];
        let text = dotenv(&keys).unwrap();
        let first = "# Where orders are.\n# Ask Dana.\n# required\nDB_URL='postgres://localhost/dev'\n";
        assert_eq!(text, format!("{first}\n# optional\nTOKEN=''\n"));
        let read = format::read(Format::Dotenv, &text).unwrap();
        let pairs: Vec<_> = read
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.expose().as_str()))
            .collect();
        assert_eq!(pairs, [("DB_URL", "postgres://localhost/dev"), ("TOKEN", "")]);
    }

    #[test]
    fn a_description_cannot_leave_its_comment() {
        for end in ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = dotenv(&[key("A", false, &format!("one{end}EVIL=1"), Some("a"))]).unwrap();
            assert_eq!(text, "# one\n# EVIL=1\n# optional\nA='a'\n", "{end:?}");
        }
    }

    #[test]
    fn a_default_that_dotenv_cannot_hold_is_named_and_not_quoted() {
        let problem = dotenv(&[key("A", false, "", Some("canary ${B}"))])
            .unwrap_err()
            .into_problem();
        let message = &problem.errors[0].message;
        assert!(message.contains("`A`") && !message.contains("canary"), "{message}");
    }
}
