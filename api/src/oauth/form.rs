//! Parameters of a query or a form. One that comes twice is refused, because two readers could take different ones
//! (RFC 6749 §3.1); one without a value counts as absent.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::kernel::Secret;
use domain::oauth::party::Proof;
use domain::oauth::{Refusal, RefusalCode};
use poem::Request;
use poem::http::header;

/// Parameters by name.
#[derive(Default)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `a=b&c=d`.
    ///
    /// # Errors
    /// `invalid_request` for a parameter that comes twice.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut found = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if found.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::request("A parameter comes twice."));
            }
        }
        found.retain(|_, value| !value.is_empty());
        Ok(Self(found))
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// `invalid_request` for another media type.
    pub fn of_body(request: &Request, body: &str) -> Result<Self, Refusal> {
        let is_form = |kind: &str| {
            kind.to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded")
        };
        if !body.is_empty() && !request.content_type().is_some_and(is_form) {
            return Err(Refusal::request("Send application/x-www-form-urlencoded."));
        }
        Self::parse(body)
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Whether a parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// What a request shows of the client that makes it: in the `Authorization` header or in the form, not in both.
///
/// # Errors
/// `invalid_request`, `invalid_client`.
pub fn proof(request: &Request, form: &mut Form) -> Result<Proof, Refusal> {
    let (client_id, secret) = (form.take("client_id"), form.take("client_secret"));
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let given = match (headers.next(), headers.next()) {
        (Some(given), None) => given,
        (None, _) => {
            let secret = secret.map(Secret::new);
            return Ok(Proof { client_id, secret });
        }
        (Some(_), Some(_)) => return Err(Refusal::request("Send one Authorization header.")),
    };
    if secret.is_some() {
        return Err(Refusal::request(
            "Show the client's secret once: in the header or in the form.",
        ));
    }
    let unreadable = || {
        Refusal::new(
            RefusalCode::InvalidClient,
            "The Authorization header is not Basic of id:secret.",
        )
    };
    let (id, secret) = given.to_str().ok().and_then(basic).ok_or_else(unreadable)?;
    if client_id.is_some_and(|named| named != id) {
        return Err(Refusal::request("The header and the form name different clients."));
    }
    Ok(Proof {
        client_id: Some(id),
        // Some libraries send a public client's id with an empty secret.
        secret: Some(secret).filter(|secret| !secret.is_empty()).map(Secret::new),
    })
}

/// Id and secret, each form-encoded before they were joined: RFC 6749 §2.3.1.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((decode(id)?, decode(secret)?))
}

fn decode(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    let pair = format!("x={text}");
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(authorization: Option<&str>, body: &str) -> Result<(Option<String>, Option<String>), RefusalCode> {
        let mut request = Request::builder();
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let mut form = Form::parse(body).map_err(|refusal| refusal.code)?;
        let proof = proof(&request.finish(), &mut form).map_err(|refusal| refusal.code)?;
        Ok((proof.client_id, proof.secret.map(|secret| secret.expose().clone())))
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn a_parameter_comes_once() {
        let mut form = Form::parse("a=1&b=&c=x%20y+z").unwrap();
        assert_eq!(
            (form.take("a"), form.take("b"), form.take("c")),
            (Some(text("1")), None, Some(text("x y z")))
        );
        assert!(Form::parse("a=1&a=1").is_err());
        assert!(Form::parse("a=&a=1").is_err());
    }

    #[test]
    fn a_client_shows_itself_once() {
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(shown(None, "client_id=a"), Ok((Some(text("a")), None)));
        assert_eq!(
            shown(None, "client_id=a&client_secret=b"),
            Ok((Some(text("a")), Some(text("b"))))
        );
        assert_eq!(
            shown(Some(&header("a%3Ab:c+d")), ""),
            Ok((Some(text("a:b")), Some(text("c d"))))
        );
        assert_eq!(shown(Some(&header("a:")), "client_id=a"), Ok((Some(text("a")), None)));
        assert_eq!(
            shown(Some(&header("a:b")), "client_secret=b"),
            Err(RefusalCode::InvalidRequest)
        );
        assert_eq!(
            shown(Some(&header("a:b")), "client_id=c"),
            Err(RefusalCode::InvalidRequest)
        );
        let twice = Request::builder().header("authorization", header("a:b"));
        let twice = twice.header("authorization", header("c:d")).finish();
        let refused = proof(&twice, &mut Form::default()).map_err(|refusal| refusal.code);
        assert_eq!(refused.err(), Some(RefusalCode::InvalidRequest));
        for bad in ["Bearer x", "Basic", "Basic !", &header("ab"), &header("a:b&x=c")] {
            assert_eq!(shown(Some(bad), ""), Err(RefusalCode::InvalidClient), "{bad}");
        }
    }
}
