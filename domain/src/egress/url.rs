//! Which URLs may be stored and called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::EgressPolicy;
use super::address::is_public;

/// Longest URL, in bytes.
const MAX_LEN: usize = 2048;

/// Why a URL may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No absolute URL with a host, or one with blanks, control characters or backslashes.
    #[error("It must be an absolute URL such as https://example.com/hooks, without blanks or backslashes.")]
    Malformed,
    /// More than 2048 bytes.
    #[error("It must be at most 2048 characters long.")]
    TooLong,
    /// Neither https, nor http to a place that the operator listed.
    #[error("It must start with https://. Plain http is only for networks that the operator of this instance opened.")]
    Scheme,
    /// A user name or password before the host.
    #[error("It must not carry a user name or password.")]
    Userinfo,
    /// A part behind `#`, which would never be sent.
    #[error("It must not have a fragment (the part behind #).")]
    Fragment,
    /// A privileged port other than that of the scheme.
    #[error("Its port must be 443 (https), 80 (http) or at least 1024.")]
    Port,
    /// An IP address that is not public and not listed.
    #[error("Its address is not on the public internet.")]
    Address,
    /// A name that only means something inside a network.
    #[error("Its host is a local name. Use a name of the public internet.")]
    LocalName,
}

impl Refused {
    /// Machine-readable reason of a field problem: `scheme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "format",
            Self::TooLong => "too_long",
            Self::Scheme => "scheme",
            Self::Userinfo => "userinfo",
            Self::Fragment => "fragment",
            Self::Port => "port",
            Self::Address => "address",
            Self::LocalName => "local_name",
        }
    }
}

impl EgressPolicy {
    /// Reads a URL and says whether it may be called. What a name resolves to is judged when it is dialled. Store the
    /// text of the result, which is the canonical spelling.
    ///
    /// # Errors
    /// [`Refused`], whose text tells a person what to change.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > MAX_LEN {
            return Err(Refused::TooLong);
        }
        // The parser drops tabs and line feeds and reads `\` as `/`; what a person sees must be what is dialled.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refused::Malformed);
        }
        let url = Url::parse(text).map_err(|_| Refused::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        // The parser may have lengthened it by escaping.
        if url.as_str().len() > MAX_LEN {
            return Err(Refused::TooLong);
        }
        let plain = url.scheme() == "http";
        check_port(&url, plain)?;
        match url.host().ok_or(Refused::Malformed)? {
            Host::Ipv4(ip) => self.check_ip(IpAddr::V4(ip), plain)?,
            Host::Ipv6(ip) => self.check_ip(IpAddr::V6(ip), plain)?,
            Host::Domain(name) => self.check_name(name, plain)?,
        }
        Ok(url)
    }

    fn check_ip(&self, ip: IpAddr, plain: bool) -> Result<(), Refused> {
        match (self.is_allow_listed(ip), is_public(ip)) {
            (false, false) => Err(Refused::Address),
            (false, true) if plain => Err(Refused::Scheme),
            (true, _) | (false, true) => Ok(()),
        }
    }

    fn check_name(&self, name: &str, plain: bool) -> Result<(), Refused> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.ends_with('.') {
            return Err(Refused::Malformed);
        }
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let (parents, last) = name.rsplit_once('.').unwrap_or(("", name));
        let open = match last {
            "localhost" => loopback.into_iter().any(|ip| self.is_allow_listed(ip)),
            "internal" | "local" => self.opens_inside(),
            // A name without a dot is found in a hosts file or a search domain, never in public.
            _ => !parents.is_empty() || self.opens_inside(),
        };
        if !open {
            return Err(Refused::LocalName);
        }
        if plain && self.allow.is_empty() {
            return Err(Refused::Scheme);
        }
        Ok(())
    }
}

fn check_port(url: &Url, plain: bool) -> Result<(), Refused> {
    let usual = if plain { 80 } else { 443 };
    match url.port_or_known_default() {
        Some(port) if port == usual || port >= 1024 => Ok(()),
        _ => Err(Refused::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(nets: &[&str]) -> EgressPolicy {
        EgressPolicy {
            allow: nets.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn refusal(policy: &EgressPolicy, text: &str) -> Option<Refused> {
        policy.check_url(text).err()
    }

    #[test]
    fn public_https_urls_pass_in_canonical_spelling() {
        let policy = policy(&[]);
        for (text, canonical) in [
            ("https://example.com/hooks", "https://example.com/hooks"),
            ("HTTPS://EXAMPLE.com:443/a?b=c", "https://example.com/a?b=c"),
            ("https://example.com.:8443/", "https://example.com.:8443/"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://134744072/", "https://8.8.8.8/"),
            ("https://[2606:4700::1111]:1024/", "https://[2606:4700::1111]:1024/"),
        ] {
            assert_eq!(
                policy.check_url(text).map(String::from),
                Ok(canonical.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let policy = policy(&[]);
        for (text, reason) in [
            ("", Refused::Malformed),
            ("example.com/hooks", Refused::Malformed),
            ("https://", Refused::Malformed),
            ("https://./", Refused::Malformed),
            ("https://example.com../", Refused::Malformed),
            ("https:\\\\example.com/", Refused::Malformed),
            (" https://example.com/", Refused::Malformed),
            ("https://exam\tple.com/", Refused::Malformed),
            ("https://example.com/\n", Refused::Malformed),
            ("https://[fe80::1%25eth0]/", Refused::Malformed),
            ("ftp://example.com/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Scheme),
            ("http://example.com/", Refused::Scheme),
            ("http://8.8.8.8/", Refused::Scheme),
            ("https://dana@example.com/", Refused::Userinfo),
            ("https://:pw@example.com/", Refused::Userinfo),
            ("https://example.com/#top", Refused::Fragment),
            ("https://example.com:22/", Refused::Port),
            ("https://example.com:80/", Refused::Port),
            ("https://example.com:0/", Refused::Port),
            ("https://example.com:1023/", Refused::Port),
            ("https://127.0.0.1/", Refused::Address),
            ("https://[::ffff:10.0.0.1]/", Refused::Address),
            ("https://localhost/", Refused::LocalName),
            ("https://a.LOCALHOST./", Refused::LocalName),
            ("https://metadata.google.internal/", Refused::LocalName),
            ("https://printer.local/", Refused::LocalName),
            ("https://redis/", Refused::LocalName),
        ] {
            assert_eq!(refusal(&policy, text), Some(reason), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2048));
        assert_eq!(refusal(&policy, &long), Some(Refused::TooLong));
        let grows = format!("https://example.com/{}", "ä".repeat(500));
        assert_eq!(refusal(&policy, &grows), Some(Refused::TooLong));
    }

    #[test]
    fn listed_networks_open_plain_http_and_local_names() {
        let policy = policy(&["127.0.0.0/8", "10.0.0.0/8"]);
        for text in [
            "http://127.0.0.1:8080/",
            "http://10.1.2.3/",
            "https://10.1.2.3/",
            "http://localhost:3000/",
            "http://receiver:8080/",
            "https://hooks.acme.internal/",
            // What it resolves to decides when it is dialled.
            "http://example.com/",
        ] {
            assert_eq!(refusal(&policy, text), None, "{text}");
        }
        assert_eq!(refusal(&policy, "http://8.8.8.8/"), Some(Refused::Scheme));
        assert_eq!(refusal(&policy, "http://192.168.0.1/"), Some(Refused::Address));
        assert_eq!(refusal(&policy, "http://127.0.0.1:443/"), Some(Refused::Port));
    }

    #[test]
    fn everywhere_is_open_to_what_the_operator_named() {
        let policy = EgressPolicy::everywhere();
        for text in [
            "http://localhost:4318/v1/traces",
            "http://collector:4318/v1/traces",
            "http://10.1.2.3/",
            "http://[fd00::1]:4318/",
            "https://8.8.8.8/",
            "http://example.com/",
        ] {
            assert_eq!(refusal(&policy, text), None, "{text}");
        }
        assert_eq!(refusal(&policy, "http://127.0.0.1:22/"), Some(Refused::Port));
    }

    #[test]
    fn localhost_needs_loopback_on_the_list() {
        assert_eq!(
            refusal(&policy(&["10.0.0.0/8"]), "http://localhost:8080/"),
            Some(Refused::LocalName)
        );
        assert_eq!(refusal(&policy(&["::1/128"]), "http://localhost:8080/"), None);
    }
}
