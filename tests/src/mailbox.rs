//! What the application mailed, and the links and codes in it.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

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

/// Subject of the mail that verifies an address.
pub const VERIFY: &str = "Confirm your e-mail address";
/// Subject of the mail with a sign-in code.
pub const SIGN_IN: &str = "Your sign-in code";
/// Subject of the mail with a registration code.
pub const REGISTER: &str = "Your registration code";
/// Subject of the mail that resets a password.
pub const RESET: &str = "Reset your password";
/// Subject of the mail that invites.
pub const INVITE: &str = "You have an invitation";

/// The mails of a subject to an address, oldest first.
pub fn letters(mailbox: &impl Mailbox, to: &str, subject: &str) -> Vec<String> {
    let (to, subject) = (format!("To: {to}"), format!("Subject: {subject}"));
    let mut mails = mailbox.mails();
    mails.retain(|mail| {
        [&to, &subject]
            .iter()
            .all(|header| mail.lines().any(|line| line == **header))
    });
    mails
}

/// The tokens of all verification links mailed to an address, oldest first.
pub fn link_tokens(mailbox: &impl Mailbox, to: &str) -> Vec<String> {
    let mails = letters(mailbox, to, VERIFY);
    mails.iter().filter_map(|mail| token_in(mail)).collect()
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

/// The code of a mail: six digits on a line of their own.
fn code_in(mail: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).map(str::to_owned)
}

/// Waits for the `count`-th mail of a subject to an address.
///
/// # Panics
/// When it does not arrive within ten seconds.
pub async fn expect_letter(mailbox: &impl Mailbox, to: &str, subject: &str, count: usize) -> String {
    eventually(&format!("`{subject}` arrives at {to}"), || async {
        letters(mailbox, to, subject).len() >= count
    })
    .await;
    letters(mailbox, to, subject).swap_remove(count - 1)
}

/// The code of the `count`-th mail of a subject to an address.
///
/// # Panics
/// When it does not arrive within ten seconds, or has none.
pub async fn expect_code(mailbox: &impl Mailbox, to: &str, subject: &str, count: usize) -> String {
    code_in(&expect_letter(mailbox, to, subject, count).await).expect("a code")
}

/// The token of the link in the `count`-th mail of a subject to an address.
///
/// # Panics
/// When it does not arrive within ten seconds, or has none.
pub async fn expect_token(mailbox: &impl Mailbox, to: &str, subject: &str, count: usize) -> String {
    token_in(&expect_letter(mailbox, to, subject, count).await).expect("a link")
}

/// Waits for the `count`-th verification link mailed to an address.
///
/// # Panics
/// When it does not arrive within ten seconds.
pub async fn expect_link(mailbox: &impl Mailbox, to: &str, count: usize) -> String {
    expect_token(mailbox, to, VERIFY, count).await
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
