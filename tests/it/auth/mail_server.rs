//! Mails arrive at a mail server that other people wrote, and what they bring works.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use harness::app::{Options, eventually};
use harness::mailbox::{RESET, SIGN_IN, VERIFY};
use harness::people::PASSWORD;
use harness::{TestApp, on_each_backend};
use serde_json::{Value, json};

/// aiosmtpd, with the mails that it read.
struct MailServer {
    url: String,
    mails: Arc<Mutex<Vec<Value>>>,
    process: Child,
}

/// A Python that knows aiosmtpd: the first on the path, or the one that the system's packages belong to.
fn python() -> &'static str {
    let knows = |python: &&str| {
        let import = Command::new(python)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(knows)
        .expect("aiosmtpd; tests/run.sh installs it")
}

impl MailServer {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail_server.py");
        let mut process = Command::new(python())
            .arg(script)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let port = lines
            .next()
            .expect("aiosmtpd is installed; tests/run.sh installs it")
            .expect("a port");
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).expect("a mail as JSON");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
            }
        });
        Self {
            url: format!("smtp://127.0.0.1:{port}"),
            mails,
            process,
        }
    }

    fn find(&self, subject: &str) -> Option<Value> {
        let mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.iter().find(|mail| mail["subject"] == subject).cloned()
    }

    /// The first mail to an address.
    fn to(&self, address: &str) -> Option<Value> {
        let mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.iter().find(|mail| mail["header_to"] == address).cloned()
    }

    /// The first mail of a subject.
    async fn mail(&self, subject: &str) -> Value {
        eventually(subject, || async { self.find(subject).is_some() }).await;
        self.find(subject).expect("the mail")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(mail: &Value, part: &str) -> String {
    mail[part].as_str().expect("a text").to_owned()
}

/// The six digits on a line of their own; the page has them too.
fn code(mail: &Value) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    let body = text(mail, "text");
    let code = body.lines().map(str::trim).find(is_code).expect("a code").to_owned();
    assert!(text(mail, "html").contains(&code));
    code
}

/// The token of the link; the page has the same.
fn token(mail: &Value, link: &str) -> String {
    let body = text(mail, "text");
    let (_, rest) = body.split_once(link).expect("a link");
    let token: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    assert!(text(mail, "html").contains(&format!("{link}{token}\"")));
    token
}

on_each_backend! {
    async fn a_mail_server_of_others_reads_our_mails_and_their_links_and_codes_work(backend: Backend) {
        let server = MailServer::start();
        let options = Options::new(backend).with("STRONGROOM_SMTP_URL", &server.url);
        let t = TestApp::start(options.with("STRONGROOM_BASE_URL", "https://vault.example.com")).await;
        let base = t.app().base_url.as_str().trim_end_matches('/');
        let dana = t.person("dana").await;
        let anyone = t.anonymous();
        let verify = server.mail(VERIFY).await;
        assert_eq!((verify["to"].clone(), text(&verify, "header_to")), (json!([dana.email]), dana.email.clone()));
        dana.post("/v1/auth/email/verify", json!({ "code": code(&verify) })).await.expect(204).ok();
        let erin = t.person("erin").await;
        eventually("the mail to erin", || async { server.to(&erin.email).is_some() }).await;
        let link = token(&server.to(&erin.email).expect("the mail"), &format!("{base}/verify-email#token="));
        anyone.post("/v1/auth/email/verify", json!({ "token": link })).await.expect(204).ok();

        let begun = anyone.post("/v1/auth/code", json!({ "email": dana.email })).await.expect(200);
        let mailed = code(&server.mail(SIGN_IN).await);
        let body = json!({ "challenge_token": begun.at("/challenge_token"), "code": mailed });
        anyone.post("/v1/auth/code/verify", body).await.expect(200).ok();

        anyone.post("/v1/auth/password/forgot", json!({ "email": dana.email })).await.expect(200).ok();
        let link = token(&server.mail(RESET).await, &format!("{base}/reset-password#token="));
        let body = json!({ "token": link, "password": "another horse, another battery" });
        anyone.post("/v1/auth/password/reset", body).await.expect(204).ok();
        server.mail("Your password was changed").await;

        anyone.post("/v1/auth/register", json!({ "email": dana.email })).await.expect(202).ok();
        let taken = server.mail("You have an account already").await;
        assert!(text(&taken, "text").contains(base) && !text(&taken, "text").contains(PASSWORD));
    }
}
