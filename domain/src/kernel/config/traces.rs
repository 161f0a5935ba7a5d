//! The types of the settings of traces. No message repeats the text: headers hold credentials.

use reqwest::header::HeaderName;
use url::Url;

use super::values::{FromSetting, url_of};
use crate::kernel::Secret;

/// Base of a collector's URLs.
pub(super) struct Collector(pub(super) Url);

impl FromSetting for Collector {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "must be a URL such as http://collector:4318 or https://otlp.example.com, without query or \
                        password";
        let url = url_of(text, &["http", "https"], expected)?;
        let is_bare = url.query().is_none() && url.fragment().is_none();
        if is_bare && url.username().is_empty() && url.password().is_none() {
            return Ok(Self(url));
        }
        Err(expected.to_owned())
    }
}

/// Names and values of headers.
pub(super) struct Headers(pub(super) Vec<(String, Secret<String>)>);

impl FromSetting for Headers {
    fn from_setting(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let header = |(index, entry): (usize, &str)| {
            header_of(entry).ok_or_else(|| {
                let nth = index + 1;
                format!("entry {nth} must be a header such as authorization=Bearer%20token")
            })
        };
        entries.enumerate().map(header).collect::<Result<_, _>>().map(Self)
    }
}

fn header_of(entry: &str) -> Option<(String, Secret<String>)> {
    let (name, value) = entry.split_once('=')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let value = Secret::new(decoded(value.trim())?);
    let mut bytes = value.expose().bytes();
    let is_plain = bytes.all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_plain.then(|| (name.as_str().to_owned(), value))
}

/// The text with its `%20` and the like resolved.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend(pieces.next()?.bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A part of a whole.
pub(super) struct Share(pub(super) f64);

impl FromSetting for Share {
    fn from_setting(text: &str) -> Result<Self, String> {
        let number = text.parse::<f64>().ok();
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .map(Self)
            .ok_or_else(|| "must be a number from 0 to 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::kernel::config::Config;

    #[test]
    fn a_collector_is_a_bare_url() {
        for good in [
            "http://collector:4318",
            "https://otlp.example.com/acme/",
            "http://[::1]:4318",
        ] {
            assert!(Collector::from_setting(good).is_ok(), "{good}");
        }
        for bad in [
            "collector",
            "collector:4317",
            "ftp://collector",
            "http://dana@collector:4318",
            "http://:pw@collector:4318",
            "http://collector:4318?key=x",
            "http://collector:4318#x",
        ] {
            assert!(Collector::from_setting(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = Headers::from_setting("Authorization=Bearer%20a=b, x-team = web ,,x=%2C")
            .ok()
            .unwrap();
        let read: Vec<_> = read
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect();
        assert_eq!(read, [("authorization", "Bearer a=b"), ("x-team", "web"), ("x", ",")]);
        for bad in ["a", "=x", "a b=x", "a=%", "a=%2", "a=%zz", "a=%ff", "a=x%0Ay", "a=ä"] {
            assert!(Headers::from_setting(bad).is_err(), "{bad}");
        }
        let said = Headers::from_setting("a=b,hunter2").err().unwrap();
        assert_eq!(said, "entry 2 must be a header such as authorization=Bearer%20token");
    }

    #[test]
    fn a_share_is_a_number_from_nothing_to_all() {
        for (text, is_good) in [
            ("0", true),
            ("1", true),
            ("0.01", true),
            ("-0.1", false),
            ("1.1", false),
            ("NaN", false),
        ] {
            assert_eq!(Share::from_setting(text).is_ok(), is_good, "{text}");
        }
    }

    /// The collector and the number of headers in force.
    fn in_force(env: &[(&str, &str)], toml: &str) -> (String, usize) {
        let env: Vec<_> = env
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let config = Config::load(env.into_iter(), |path: &Path| match path.to_str() {
            Some("acme.toml") => Ok(toml.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        let config = config.map_err(|errors| errors.to_string()).ok().unwrap();
        let endpoint = config.otlp_endpoint.as_ref().map(Url::to_string);
        (endpoint.unwrap_or_default(), config.otlp_headers.len())
    }

    #[test]
    fn names_of_opentelemetry_fill_in_what_nothing_else_sets() {
        let theirs = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c=d"),
            ("OTEL_SERVICE_NAME", "of somebody else"),
        ];
        assert_eq!(in_force(&theirs, ""), ("http://theirs:4318/".to_owned(), 2));
        let mut both = theirs.to_vec();
        both.push(("STRONGROOM_OTLP_ENDPOINT", "http://ours:4318"));
        assert_eq!(in_force(&both, ""), ("http://ours:4318/".to_owned(), 2));
        let mut file = theirs.to_vec();
        file.push(("STRONGROOM_CONFIG", "acme.toml"));
        let toml = "otlp_endpoint = \"http://file:4318\"\notlp_headers = [\"a=b\"]\n";
        assert_eq!(in_force(&file, toml), ("http://file:4318/".to_owned(), 1));
        assert_eq!(in_force(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], ""), (String::new(), 0));
    }
}
