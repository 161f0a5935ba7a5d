//! The five systems that this product replaces, each walked through by the examples of its own reference: whoever
//! comes from one of them finds everything here, in one shape.

mod coldrune;
mod heartlock;
mod heimdall;
mod hitkey;
mod secr;

use harness::mailbox::{Mailbox, expect_link};
use harness::app::eventually;
use harness::{Client, TestApp};
use serde_json::json;

/// A strong password for people of the examples.
const PASSWORD: &str = "brisk-otter-paints-seven-kettles";

/// Registers an address of an example.
async fn register(t: &TestApp, email: &str) -> Client {
    let body = json!({ "email": email, "password": PASSWORD, "transport": "bearer" });
    let made = t.anonymous().post("/v1/auth/register", body).await.expect(201);
    t.anonymous().bearer(&made.at("/access_token"))
}

/// Registers an address, and opens the mailed link.
async fn verified(t: &TestApp, email: &str) -> Client {
    let client = register(t, email).await;
    let token = expect_link(t, email, 1).await;
    t.anonymous().post("/v1/auth/email/verify", json!({ "token": token })).await.expect(204).ok();
    client
}

/// Mails to an address, oldest first.
fn mails(t: &TestApp, to: &str) -> Vec<String> {
    let mut mails = t.mails();
    mails.retain(|mail| mail.lines().any(|line| line.starts_with("To: ") && line.contains(to)));
    mails
}

/// The six digits of the newest mail to an address that has any; waits for the `count`-th such mail.
async fn code(t: &TestApp, to: &str, count: usize) -> String {
    let codes = || mails(t, to).iter().filter_map(|mail| six_digits(mail)).collect::<Vec<_>>();
    eventually("a mail with a code arrives", || async { codes().len() >= count }).await;
    codes().pop().expect("a code")
}

/// A line of the text that is six digits and nothing else.
fn six_digits(mail: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|letter| letter.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).map(str::to_owned)
}

/// The invitation's token in the newest mail to an address; waits for the `count`-th such mail.
async fn invitation(t: &TestApp, to: &str, count: usize) -> String {
    let tokens = || mails(t, to).iter().filter_map(|mail| invite_token(mail)).collect::<Vec<_>>();
    eventually("a mail with an invitation arrives", || async { tokens().len() >= count }).await;
    tokens().pop().expect("an invitation")
}

fn invite_token(mail: &str) -> Option<String> {
    let at = mail.find("srm_inv_")?;
    let token = mail[at..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_');
    Some(token.collect())
}
