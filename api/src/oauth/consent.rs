//! What a person is asked: which application, as whom, for what, in which organisation.

use domain::auth::account::{Account, OwnOrg};
use domain::oauth::scopes::{Scopes, Word};
use url::form_urlencoded;

use super::html::{escaped, hidden};
use super::wording;

fn item(sentence: &str) -> String {
    format!("<li>{sentence}</li>\n")
}

/// The scopes as a list of sentences.
pub fn scopes(scopes: &Scopes) -> String {
    let words = Word::ALL.into_iter().filter(|word| scopes.has(*word));
    let words = words.map(|word| wording::of_word(word).to_owned());
    let grants: Vec<String> = match scopes.grants() {
        Some(grants) => grants.iter().map(wording::of_grant).collect(),
        None => vec![wording::EVERYTHING.to_owned()],
    };
    let items: String = words.chain(grants).map(|sentence| item(&sentence)).collect();
    format!("<ul class=\"scopes\">\n{items}</ul>\n")
}

/// Who is signed in, with a way to be somebody else; `back` is where that leads to then.
pub fn signed_in(account: &Account, back: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", back);
    let way = escaped(&format!("/sign-in?{}", query.finish()));
    let email = escaped(&account.email);
    let initial: String = account.email.chars().take(1).flat_map(char::to_uppercase).collect();
    format!(
        "<p class=\"who\"><span class=\"face\" aria-hidden=\"true\">{}</span>
<span>You are signed in as <strong>{email}</strong></span>
<a href=\"{way}\">Use another account</a></p>\n",
        escaped(&initial)
    )
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

/// What to know before deciding: the bounds, `destination`, which is HTML, and a warning for whoever did not begin this
/// themselves.
pub fn caution(scopes: &Scopes, destination: &str) -> String {
    let bounds = if scopes.reaches_organisations() || scopes.has(Word::OfflineAccess) {
        "It can never do more than you can, and every use is recorded. "
    } else {
        ""
    };
    format!("<p class=\"note\">{bounds}{destination}Cancel if you did not start this yourself.</p>\n")
}
