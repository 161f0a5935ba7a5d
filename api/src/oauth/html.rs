//! Pages made of words of ours and words of others, which are escaped. They load our own style and nothing else, and
//! work without any script.

use poem::Response;
use poem::http::{StatusCode, header};
use url::Url;

/// Text as HTML, in an element or a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A hidden field of a form.
pub fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value))
}

/// Where forms of a page may lead, as its policy says: browsers hold redirects after a form to it too.
pub enum Leads {
    Nowhere,
    Here,
    /// Here, and from here to an address of a client's.
    To(String),
}

impl Leads {
    fn policy(&self) -> String {
        match self {
            Self::Nowhere => "'none'".to_owned(),
            Self::Here => "'self'".to_owned(),
            Self::To(address) => format!("'self'{}", source(address)),
        }
    }
}

/// The origin of an address as a policy names it, or its scheme alone where a policy has no name for the origin.
fn source(address: &str) -> String {
    let Ok(url) = Url::parse(address) else {
        return String::new();
    };
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(url::Host::Domain(_) | url::Host::Ipv4(_))) => {
            format!(" {}", url.origin().ascii_serialization())
        }
        (scheme, _) => format!(" {scheme}:"),
    }
}

/// A page. `title` is text, also of others; `main` is HTML.
pub fn page(status: StatusCode, title: &str, main: &str, leads: &Leads) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action {}; base-uri 'none'; frame-ancestors 'none'",
        leads.policy()
    );
    let title = escaped(title);
    let html = format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"robots\" content=\"noindex\">
<meta name=\"referrer\" content=\"same-origin\">
<title>{title} · Strongroom</title>
<link rel=\"icon\" href=\"/pages/mark.svg\" type=\"image/svg+xml\">
<link rel=\"stylesheet\" href=\"/pages/page.css\">
</head>
<body>
<main>
<p class=\"brand\"><img src=\"/pages/mark.svg\" alt=\"\" width=\"32\" height=\"32\">Strongroom</p>
<h1>{title}</h1>
{main}
</main>
</body>
</html>
"
    );
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::CACHE_CONTROL, "no-store")
        .body(html)
}

/// What is wrong, above a form or alone. `text` is text.
pub fn wrong(text: &str) -> String {
    format!("<p role=\"alert\" class=\"wrong\">{}</p>\n", escaped(text))
}

/// A page that says what came of something, good or not. `text` is text.
pub fn message(status: StatusCode, title: &str, text: &str) -> Response {
    let main = if status.is_success() {
        format!("<p role=\"status\" class=\"done\">{}</p>", escaped(text))
    } else {
        wrong(text)
    };
    page(status, title, &main, &Leads::Nowhere)
}

/// Sends the browser elsewhere, with GET.
pub fn redirect(to: &str) -> Response {
    Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, to)
        .header(header::CACHE_CONTROL, "no-store")
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_stay_words() {
        assert_eq!(
            escaped("<script>alert(\"x\" & 'y')</script>"),
            "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)&lt;/script&gt;"
        );
        assert!(hidden("a", "\"><b>").ends_with("value=\"&quot;&gt;&lt;b&gt;\">\n"));
    }

    #[test]
    fn a_policy_names_where_a_form_leads() {
        for (address, wanted) in [
            ("https://app.example.com/cb?x=1", "'self' https://app.example.com"),
            ("http://127.0.0.1:4711/cb", "'self' http://127.0.0.1:4711"),
            ("http://[::1]:4711/cb", "'self' http:"),
            ("com.example.app:/cb", "'self' com.example.app:"),
        ] {
            assert_eq!(Leads::To(address.to_owned()).policy(), wanted);
        }
    }
}
