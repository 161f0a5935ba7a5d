//! The texts. Every link is built from the configured base URL, never from a request.

use url::Url;

use crate::crypto::token::Token;

/// The mails that there are; the name is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Version 1 of the mail that asks to confirm an address.
    VerifyEmail,
}

impl Template {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email_v1",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::VerifyEmail]
            .into_iter()
            .find(|template| template.as_str() == text)
    }
}

/// A mail, ready to be sent.
pub struct Rendered {
    pub subject: &'static str,
    pub text: String,
    pub html: String,
}

impl Rendered {
    /// The mail that asks to confirm an address.
    pub fn verify_email(base_url: &Url, first_name: &str, token: &Token) -> Self {
        // The token rides behind `#`: browsers keep that part to themselves, so it is in no proxy's log.
        let mut link = base_url.clone();
        link.set_path("/verify-email");
        link.set_fragment(Some(&format!("token={}", token.expose())));
        let greeting = if first_name.is_empty() {
            "Hello,".to_owned()
        } else {
            format!("Hello {first_name},")
        };
        let text = format!(
            "{greeting}\n\nplease confirm that this address is yours by opening this link within 24 hours:\n\n{link}\n\n\
             For programs: POST the token to /v1/auth/email/verify.\n\nIf you did not ask for this, ignore this mail.\n"
        );
        let html = format!(
            "<!doctype html><html lang=\"en\"><body style=\"font-family:sans-serif;line-height:1.5\">\
             <p>{}</p><p>Please confirm that this address is yours within 24 hours.</p>\
             <p><a href=\"{link}\" style=\"background:#1f4b99;color:#fff;padding:10px 16px;border-radius:6px;text-decoration:none\">\
             Confirm address</a></p><p>If you did not ask for this, ignore this mail.</p></body></html>",
            escape(&greeting)
        );
        Self {
            subject: "Confirm your e-mail address",
            text,
            html,
        }
    }
}

fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut escaped, letter| {
            match letter {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                other => escaped.push(other),
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::token::TokenKind;
    use crate::kernel::Rng;

    #[test]
    fn names_are_escaped_and_the_link_is_ours() {
        let token = Token::generate(&Rng::seeded(1), TokenKind::Link).unwrap();
        let base = Url::parse("https://vault.example.com").unwrap();
        let mail = Rendered::verify_email(&base, "<b>Dana</b>", &token);
        assert!(!mail.html.contains("<b>Dana"));
        let link = format!("https://vault.example.com/verify-email#token={}", token.expose());
        assert!(mail.text.contains(&link) && mail.html.contains(&link));
    }
}
