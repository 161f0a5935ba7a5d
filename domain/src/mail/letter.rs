//! The one layout of all mails, as text and as HTML. Whatever is put into a letter is escaped here and nowhere else.

use crate::crypto::token::Token;
use url::Url;

/// A mail, ready to be sent.
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A mail being written, from top to bottom.
pub struct Letter {
    subject: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Code(String),
    Button { label: &'static str, link: String },
    Facts(Vec<(&'static str, String)>),
}

impl Letter {
    /// A letter to somebody of this first name, which may be empty.
    pub fn to(first_name: &str, subject: impl Into<String>) -> Self {
        let greeting = if first_name.is_empty() {
            "Hello,".to_owned()
        } else {
            format!("Hello {first_name},")
        };
        Self {
            subject: subject.into(),
            parts: vec![Part::Text(greeting)],
        }
    }

    /// A paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// A code to be typed, on a line of its own.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.parts.push(Part::Code(code.to_owned()));
        self
    }

    /// A link to be opened.
    #[must_use]
    pub fn button(mut self, label: &'static str, link: impl Into<String>) -> Self {
        let link = link.into();
        self.parts.push(Part::Button { label, link });
        self
    }

    /// Names and values, one a line.
    #[must_use]
    pub fn facts(mut self, facts: Vec<(&'static str, String)>) -> Self {
        self.parts.push(Part::Facts(facts));
        self
    }

    /// Both forms of it.
    pub fn render(self) -> Rendered {
        let texts: Vec<_> = self.parts.iter().map(Part::text).collect();
        let html: String = self.parts.iter().map(Part::html).collect();
        Rendered {
            // A subject is one line, whatever stands in it.
            subject: self.subject.replace(char::is_control, " "),
            text: format!("{}\n", texts.join("\n\n")),
            html: format!(
                "<!doctype html><html lang=\"en\"><body style=\"font-family:sans-serif;line-height:1.5;color:#1c2430\">\
                 {html}</body></html>"
            ),
        }
    }
}

impl Part {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Code(code) => format!("    {code}"),
            Self::Button { label, link } => format!("{label}:\n{link}"),
            Self::Facts(facts) => {
                let lines: Vec<_> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                lines.join("\n")
            }
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Text(text) => format!("<p>{}</p>", escape(text)),
            Self::Code(code) => format!(
                "<p style=\"font-size:28px;letter-spacing:6px;font-family:monospace\">{}</p>",
                escape(code)
            ),
            Self::Button { label, link } => format!(
                "<p><a href=\"{}\" style=\"background:#1f4b99;color:#fff;padding:10px 16px;border-radius:6px;\
                 text-decoration:none\">{}</a></p>",
                escape(link),
                escape(label)
            ),
            Self::Facts(facts) => {
                let row = |(name, value): &(&str, String)| {
                    format!(
                        "<tr><td style=\"padding-right:16px\">{}</td><td>{}</td></tr>",
                        escape(name),
                        escape(value)
                    )
                };
                format!("<table>{}</table>", facts.iter().map(row).collect::<String>())
            }
        }
    }
}

/// A link to a page of ours that hands a token to the API. The token rides behind `#`: browsers keep that part to
/// themselves, so it is in no proxy's log.
pub fn link(base_url: &Url, path: &str, token: &Token) -> String {
    let mut link = base_url.clone();
    link.set_path(path);
    link.set_fragment(Some(&format!("token={}", token.expose())));
    link.into()
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

    #[test]
    fn whatever_is_written_is_escaped() {
        let evil = "<b>\"&";
        let mail = Letter::to(evil, format!("Hi\r\nBcc: {evil}"))
            .text(evil)
            .code(evil)
            .button("Open", evil)
            .facts(vec![("Who", evil.to_owned())])
            .render();
        assert!(!mail.html.contains(evil) && !mail.html.contains("<b>"));
        assert_eq!(mail.html.matches("&lt;b&gt;&quot;&amp;").count(), 5);
        assert_eq!(mail.text.matches(evil).count(), 5);
        assert!(!mail.subject.contains(['\r', '\n']), "no header can be smuggled in");
    }
}
