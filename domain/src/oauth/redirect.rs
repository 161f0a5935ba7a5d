//! Where answers go: only to addresses that a client registered, letter by letter. One exception, of RFC 8252 §7.3: a
//! native application on the person's own machine takes whatever port is free.

use url::Url;

use crate::kernel::{Problem, Result};

/// Addresses of one client at most.
pub const MAX_URIS: usize = 20;
/// Longest address, bytes.
const MAX_LEN: usize = 2000;
/// The beginnings of addresses whose port is free.
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// Checks the addresses that a client is to be registered with.
///
/// # Errors
/// `invalid_field` naming `redirect_uris` or its entry.
pub fn check_all(uris: &[String], is_confidential: bool) -> Result<()> {
    if uris.len() > MAX_URIS {
        let message = format!("must have at most {MAX_URIS} entries");
        return Err(Problem::field("redirect_uris", "too_many", message).into());
    }
    for (index, uri) in uris.iter().enumerate() {
        if let Err(message) = check(uri, is_confidential) {
            return Err(Problem::field(format!("redirect_uris[{index}]"), "format", message).into());
        }
        if uris.iter().take(index).any(|earlier| earlier == uri) {
            return Err(Problem::field(format!("redirect_uris[{index}]"), "duplicate", "is there already").into());
        }
    }
    Ok(())
}

fn check(uri: &str, is_confidential: bool) -> Result<(), &'static str> {
    if uri.len() > MAX_LEN {
        return Err("is too long");
    }
    if uri.bytes().any(|byte| !byte.is_ascii_graphic()) || uri.contains(['*', '\\', '"', '<', '>']) {
        return Err("must be plain ASCII without blanks, wildcards, quotes and backslashes");
    }
    let url = Url::parse(uri).map_err(|_| "must be an absolute address")?;
    if url.fragment().is_some() || uri.contains('#') {
        return Err("must have no fragment");
    }
    match url.scheme() {
        "http" | "https" => check_web(&url),
        _ if is_confidential => Err("must be https: only a public client has a scheme of its own"),
        // A name that its owner controls, so that no two applications have one: RFC 8252 §7.1.
        scheme if scheme.contains('.') && !url.has_authority() => Ok(()),
        _ => Err("must be https, or a scheme of your own such as com.example.app:/callback"),
    }
}

fn check_web(url: &Url) -> Result<(), &'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user name");
    }
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    if url.scheme() == "https" || is_local {
        Ok(())
    } else {
        Err("must be https, unless it is on this machine")
    }
}

/// Whether an answer may go there.
pub fn is_registered(registered: &[String], given: &str, is_confidential: bool) -> bool {
    let is_same = |uri: &String| uri == given || (!is_confidential && is_same_but_port(uri, given));
    registered.iter().any(is_same)
}

/// Whether two addresses of the own machine differ in their port only. Compared as texts: nothing is decoded, so nothing
/// can be decoded in two ways.
fn is_same_but_port(one: &str, other: &str) -> bool {
    LOOPBACK.iter().any(|start| {
        let rests = one.strip_prefix(start).zip(other.strip_prefix(start));
        rests.is_some_and(|(one, other)| {
            let (one, other) = (without_port(one), without_port(other));
            one.is_some() && one == other
        })
    })
}

/// What follows the port; `None` when what follows the host is neither a port nor the end of the authority.
fn without_port(rest: &str) -> Option<&str> {
    let after = match rest.strip_prefix(':') {
        None => rest,
        Some(port) => {
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            let (port, after) = port.split_at_checked(digits)?;
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            after
        }
    };
    (after.is_empty() || after.starts_with(['/', '?'])).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_registered() {
        for good in [
            "https://app.example.com/callback",
            "https://app.example.com:8443/callback?x=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:3000/callback",
            "http://[::1]/callback",
            "http://localhost:3000/callback",
            "com.example.app:/callback",
        ] {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        assert!(
            check("com.example.app:/callback", true).is_err(),
            "a server has an address"
        );
        for bad in [
            "",
            "/callback",
            "app.example.com/callback",
            "http://app.example.com/callback",
            "http://127.0.0.1.example.com/callback",
            "https://app.example.com/callback#x",
            "https://app.example.com/callback#",
            "https://user@app.example.com/callback",
            "https://user:pw@app.example.com/callback",
            "https://*.example.com/callback",
            "https://app.example.com/call back",
            "https://app.example.com\\@evil.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "app:/callback",
            "com.example.app://evil.example/callback",
            "https://\u{e4}pp.example.com/",
        ] {
            assert!(check(bad, false).is_err(), "{bad}");
        }
        assert!(
            check_all(
                &["https://a.example/".to_owned(), "https://a.example/".to_owned()],
                true
            )
            .is_err()
        );
    }

    #[test]
    fn answers_go_where_was_registered_letter_by_letter() {
        let web = ["https://app.example.com/callback".to_owned()];
        for is_confidential in [true, false] {
            assert!(is_registered(&web, "https://app.example.com/callback", is_confidential));
            for bad in [
                "",
                "https://app.example.com/callback/",
                "https://app.example.com/callback?x=1",
                "https://app.example.com/Callback",
                "https://APP.example.com/callback",
                "https://app.example.com:443/callback",
                "https://app.example.com:8443/callback",
                "https://app.example.com/callback#x",
                "https://app.example.com/callback/../evil",
                "https://app.example.com/%63allback",
                "https://app.example.com.evil.example/callback",
                "https://app.example.com@evil.example/callback",
                "http://app.example.com/callback",
            ] {
                assert!(!is_registered(&web, bad, is_confidential), "{bad}");
            }
        }
    }

    #[test]
    fn the_port_is_free_on_the_own_machine_and_for_public_clients_alone() {
        let local = ["http://127.0.0.1/cb".to_owned(), "http://[::1]:7/cb?x=1".to_owned()];
        for good in [
            "http://127.0.0.1/cb",
            "http://127.0.0.1:1/cb",
            "http://127.0.0.1:65535/cb",
            "http://[::1]/cb?x=1",
        ] {
            assert!(is_registered(&local, good, false), "{good}");
        }
        assert!(!is_registered(&local, "http://127.0.0.1:1/cb", true));
        for bad in [
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:80@evil.example/cb",
            "http://127.0.0.1:80.evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.10/cb",
            "http://127.0.0.1:80/cb/",
            "http://127.0.0.1:80/other",
            "https://127.0.0.1:80/cb",
            "http://localhost:80/cb",
            "http://[::1]:80/cb",
            "http://127.0.0.1:+80/cb",
        ] {
            assert!(!is_registered(&local, bad, false), "{bad}");
        }
        let localhost = ["http://localhost:3000/cb".to_owned()];
        assert!(
            !is_registered(&localhost, "http://localhost:3001/cb", false),
            "a name may lead elsewhere"
        );
    }
}
