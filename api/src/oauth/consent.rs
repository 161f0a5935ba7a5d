//! What a person is asked: which application, as whom, for what, in which organisation.

use domain::auth::account::{Account, OwnOrg};
use domain::oauth::scopes::{Scopes, Word};
use url::form_urlencoded;

use super::html::{escaped, hidden};

/// What a scope means, in the words of whoever is asked.
fn meaning(scope: &str) -> String {
    let known = match scope {
        "openid" => "know who you are",
        "profile" => "see your name and user name",
        "email" => "see your e-mail address",
        "offline_access" => "stay connected when you are away, for up to 90 days",
        "*" => "do everything that you can do",
        permission => return format!("use the permission <code>{}</code>", escaped(permission)),
    };
    known.to_owned()
}

fn item(scope: impl AsRef<str>) -> String {
    format!("<li>{}</li>\n", meaning(scope.as_ref()))
}

/// The scopes as a list of sentences.
pub fn scopes(scopes: &Scopes) -> String {
    let items: String = scopes.to_list().iter().map(item).collect();
    format!("<ul>\n{items}</ul>\n")
}

/// Who is signed in, with a way to be somebody else; `back` is where that leads to then.
pub fn signed_in(account: &Account, back: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", back);
    let way = escaped(&format!("/sign-in?{}", query.finish()));
    let email = escaped(&account.email);
    format!("<p>You are signed in as <strong>{email}</strong>. <a href=\"{way}\">Be somebody else</a></p>\n")
}

/// The choice of an organisation; nothing when there is none to make.
pub fn organisations(orgs: &[OwnOrg]) -> String {
    let Some((first, rest)) = orgs.split_first() else {
        return String::new();
    };
    let option = |org: &OwnOrg| {
        let (id, name, slug) = (org.id.to_string(), escaped(&org.name), escaped(&org.slug));
        format!("<option value=\"{id}\">{name} ({slug})</option>\n")
    };
    let others: String = rest.iter().map(option).collect();
    format!(
        "<p><label for=\"org\">In this organisation</label>
<select id=\"org\" name=\"org\">
{}{others}<option value=\"\">All of your organisations</option>
</select></p>\n",
        option(first)
    )
}

/// The two ways out.
pub fn decision() -> &'static str {
    "<p class=\"decision\">
<button type=\"submit\" name=\"decision\" value=\"approve\" class=\"primary\">Allow</button>
<button type=\"submit\" name=\"decision\" value=\"deny\">Cancel</button>
</p>\n"
}

/// A form with fields that are not seen.
pub fn form(action: &str, fields: &[(&str, &str)], inside: &str) -> String {
    let fields: String = fields.iter().map(|(name, value)| hidden(name, value)).collect();
    format!("<form method=\"post\" action=\"{action}\">\n{fields}{inside}</form>\n")
}

/// A warning for whoever did not begin this themselves.
pub fn caution(scopes: &Scopes) -> &'static str {
    if scopes.reaches_organisations() || scopes.has(Word::OfflineAccess) {
        "<p class=\"note\">It can never do more than you can, and every use is recorded. Cancel if you did not start this \
         yourself.</p>\n"
    } else {
        "<p class=\"note\">Cancel if you did not start this yourself.</p>\n"
    }
}
