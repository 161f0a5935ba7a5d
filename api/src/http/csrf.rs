//! A cookie travels with requests that other sites' pages make. A change that rides on one must therefore prove that
//! our own page made it.

use domain::kernel::{Error, Problem, ProblemCode, Result};
use poem::Request;
use poem::http::{Method, header};
use url::Url;

/// A header that no form can send, and no other site's script without asking first, which we never allow.
const REQUESTED_WITH: (&str, &str) = ("X-Requested-With", "strongroom");

fn failed(detail: &'static str) -> Error {
    Problem::new(ProblemCode::CsrfFailed, detail).into()
}

/// Checks a request that shows the session cookie.
///
/// # Errors
/// `csrf_failed` saying which proof is missing.
pub fn check(request: &Request, base_url: &Url) -> Result<()> {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    ) {
        return Ok(());
    }
    if request.header(REQUESTED_WITH.0) != Some(REQUESTED_WITH.1) {
        return Err(failed(
            "A change with the session cookie needs the header `X-Requested-With: strongroom`.",
        ));
    }
    if let Some(site) = request.header("Sec-Fetch-Site")
        && !matches!(site, "same-origin" | "none")
    {
        return Err(failed("A change with the session cookie must come from this origin."));
    }
    match request.header(header::ORIGIN) {
        Some(origin) if is_ours(origin, base_url) => {}
        Some(_) => return Err(failed("`Origin` is not this instance's own.")),
        None if request.header("Sec-Fetch-Site").is_some() => {}
        None => {
            return Err(failed(
                "A change with the session cookie needs `Origin` or `Sec-Fetch-Site`.",
            ));
        }
    }
    let is_json = request
        .content_type()
        .is_none_or(|content| content.starts_with("application/json"));
    if is_json {
        Ok(())
    } else {
        Err(failed("A change with the session cookie takes JSON."))
    }
}

fn is_ours(origin: &str, base_url: &Url) -> bool {
    Url::parse(origin).is_ok_and(|origin| origin.origin() == base_url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().method(method);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.finish()
    }

    #[test]
    fn a_change_needs_every_proof_and_a_read_none() {
        let base = Url::parse("https://vault.example.com").unwrap();
        let with = ("X-Requested-With", "strongroom");
        let ours = ("Origin", "https://vault.example.com");
        let passes = |headers: &[(&str, &str)]| check(&request(Method::POST, headers), &base).is_ok();
        assert!(check(&request(Method::GET, &[]), &base).is_ok());
        assert!(passes(&[with, ours]));
        assert!(passes(&[
            with,
            ours,
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/json")
        ]));
        assert!(passes(&[with, ("Sec-Fetch-Site", "same-origin")]));
        assert!(!passes(&[]));
        assert!(!passes(&[with]));
        assert!(!passes(&[ours]));
        assert!(!passes(&[with, ("Origin", "https://evil.example")]));
        assert!(!passes(&[with, ("Origin", "http://vault.example.com")]));
        assert!(!passes(&[with, ours, ("Sec-Fetch-Site", "cross-site")]));
        assert!(!passes(&[with, ours, ("Sec-Fetch-Site", "same-site")]));
        assert!(!passes(&[
            with,
            ours,
            ("Content-Type", "application/x-www-form-urlencoded")
        ]));
    }
}
