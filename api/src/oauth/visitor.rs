//! A person in a browser, who fills in forms without any script. A form proves that it is ours: it carries a keyed hash
//! over the session and what the form is about, which no other page can know, and browsers say where a form comes from.

use domain::access::Caller;
use domain::auth::authenticate::{Shown, authenticate};
use domain::crypto::token::TokenMacKey;
use domain::kernel::{Error, ProblemCode};
use poem::Request;
use poem::http::header;
use url::Url;

use crate::app::App;
use crate::http::authenticate::{cookie_name, origin};

/// The cookie of a sign-in that waits for its second factor, with and without TLS.
pub const PENDING: [&str; 2] = ["__Host-strongroom-pending", "strongroom-pending"];

/// A cookie by its name.
pub fn cookie(request: &Request, name: &str) -> Option<String> {
    let lines = request.headers().get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then(|| value.to_owned()))
}

/// The person whose session the browser carries, if it carries one that is good.
///
/// # Errors
/// [`Error::Db`].
pub async fn visitor(app: &App, request: &Request) -> Result<Option<Caller>, Error> {
    let Some(token) = cookie(request, cookie_name(app.is_https())) else {
        return Ok(None);
    };
    match authenticate(&app.db, app.keys.token_mac(), &token, Shown::Cookie, origin()).await {
        Ok(caller) => Ok(Some(caller)),
        Err(error) if error.code() == Some(ProblemCode::Unauthenticated) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The proof that a form of a session is ours. `about` is all that it is about.
pub fn proof(macs: &TokenMacKey, caller: &Caller, about: &str) -> String {
    hex::encode(macs.mac_text("form", &format!("{}|{about}", caller.credential)))
}

/// Whether a form of a session is ours.
pub fn is_ours(app: &App, request: &Request, caller: &Caller, about: &str, shown: Option<&str>) -> bool {
    comes_from_here(request, &app.base_url)
        && shown.is_some_and(|shown| is_same(shown, &proof(app.keys.token_mac(), caller, about)))
}

/// Whether two proofs are one, in a time that does not tell where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    let differ = one
        .bytes()
        .zip(other.bytes())
        .fold(0_u8, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && differ == 0
}

/// Whether the browser says that a form comes from here. One that says nothing leaves it to the form's proof.
pub fn comes_from_here(request: &Request, base_url: &Url) -> bool {
    let site = request.header("Sec-Fetch-Site");
    let origin = request.header(header::ORIGIN).filter(|origin| *origin != "null");
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
        && origin.is_none_or(|origin| Url::parse(origin).is_ok_and(|origin| origin.origin() == base_url.origin()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_pages_are_told_apart() {
        let base = Url::parse("https://vault.example.com/").unwrap();
        let here = |headers: &[(&str, &str)]| {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            comes_from_here(&request.finish(), &base)
        };
        assert!(here(&[]));
        assert!(here(&[
            ("Origin", "https://vault.example.com"),
            ("Sec-Fetch-Site", "same-origin")
        ]));
        assert!(here(&[("Origin", "null"), ("Sec-Fetch-Site", "same-origin")]));
        for bad in [
            ("Origin", "https://evil.example"),
            ("Origin", "http://vault.example.com"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            assert!(!here(&[bad]), "{bad:?}");
        }
        assert!(is_same("abc", "abc") && !is_same("abc", "abd") && !is_same("abc", "abcd") && !is_same("", "a"));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let request = Request::builder().header("cookie", "a=1; strongroom=x=y;b=2").finish();
        assert_eq!(cookie(&request, "strongroom").as_deref(), Some("x=y"));
        assert_eq!(cookie(&request, "room"), None);
    }
}
