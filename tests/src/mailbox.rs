//! What the application mailed, and the link tokens in it.

use crate::app::{TestApp, eventually};
use crate::people::{PASSWORD, Person};
use crate::smtp::SmtpSink;

/// A place where mails arrive.
pub trait Mailbox: Sync {
    /// The mails so far, oldest first, as text that a person would read.
    fn mails(&self) -> Vec<String>;
}

impl Mailbox for TestApp {
    fn mails(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.dir.path().join("mail")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect()
    }
}

impl Mailbox for SmtpSink {
    fn mails(&self) -> Vec<String> {
        // Quoted-printable: a soft line break, and the one escape that a link has.
        let read = |mail: String| mail.replace("=\r\n", "").replace("=3D", "=");
        SmtpSink::mails(self).into_iter().map(read).collect()
    }
}

/// The tokens of all links mailed to an address, oldest first.
pub fn link_tokens(mailbox: &impl Mailbox, to: &str) -> Vec<String> {
    let mails = mailbox.mails();
    let addressed = mails
        .iter()
        .filter(|mail| mail.lines().any(|line| line.starts_with("To: ") && line.contains(to)));
    addressed.filter_map(|mail| token_in(mail)).collect()
}

/// The token of the first link of a mail.
fn token_in(mail: &str) -> Option<String> {
    let (_, rest) = mail.split_once("#token=")?;
    Some(
        rest.chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect(),
    )
}

/// Waits for the `count`-th link mailed to an address.
///
/// # Panics
/// When it does not arrive within ten seconds.
pub async fn expect_link(mailbox: &impl Mailbox, to: &str, count: usize) -> String {
    eventually("a mail with a link arrives", || async {
        link_tokens(mailbox, to).len() >= count
    })
    .await;
    link_tokens(mailbox, to).swap_remove(count - 1)
}

impl Person {
    /// The person, signed in anew: for after the clock was moved.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn signs_in_again(&self) -> Self {
        let body = serde_json::json!({ "email": self.email, "password": PASSWORD, "transport": "bearer" });
        let answer = self.client().anonymous().post("/v1/auth/login", body).await.expect(200);
        self.with_tokens(&answer.at("/access_token"), &answer.at("/refresh_token"))
    }
}
