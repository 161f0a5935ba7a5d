//! Mail, into files and to a server.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use domain::auth::{account, verification};
use domain::jobs::JobState;
use domain::kernel::Secret;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, sender, until};
use crate::Mailer;

/// The token of the link in a mail.
fn token(mail: &str) -> String {
    let link = mail
        .split("https://vault.example.com/verify-email#token=")
        .nth(1)
        .unwrap();
    link.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

#[tokio::test]
async fn without_a_mail_server_the_mail_is_a_file_whose_link_verifies_the_address() {
    let world = World::new().await;
    let worker = world.start("one");
    world.wait_for("mail", JobState::Done, 1).await;
    worker.stop().await;
    let files: Vec<_> = std::fs::read_dir(world.mail_dir())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 1, "one whole file and nothing unfinished");
    let name = files[0].file_name().into_string().unwrap();
    assert!(name.contains("-mai_"), "{name}");
    assert_eq!(files[0].path().extension().unwrap(), "eml");
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mail = std::fs::read_to_string(files[0].path()).unwrap();
    let job = &world.jobs("mail").await[0];
    for line in [
        "To: dana@example.com\r\n",
        "Subject: Confirm your e-mail address\r\n",
        "multipart/alternative",
        &format!("Message-ID: <{}@vault.example.com>\r\n", job.id),
    ] {
        assert!(mail.contains(line), "{line} is not in {mail}");
    }
    let tx = world.db.begin_write().await.unwrap();
    verification::verify(&tx, world.keys.token_mac(), &token(&mail), &world.caller.origin)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let account = account::get(&world.db, world.user()).await.unwrap();
    assert!(account.email_verified_at.is_some());
}

#[tokio::test]
async fn a_mail_to_an_address_that_is_verified_meanwhile_is_not_sent() {
    let world = World::new().await;
    world.sql("UPDATE user_emails SET verified_at = 1").await;
    let worker = world.start("one");
    world.wait_for("mail", JobState::Cancelled, 1).await;
    worker.stop().await;
    assert!(!world.mail_dir().exists());
}

/// A mail server that answers `RCPT` with `reply` and keeps what it is sent.
async fn server(reply: &'static str) -> (Secret<String>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let heard: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, reply, Arc::clone(&kept)));
        }
    });
    (Secret::new(url), heard)
}

async fn converse(stream: TcpStream, reply: &'static str, heard: Arc<Mutex<String>>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mx.example.com\r\n").await.unwrap();
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        heard.lock().unwrap().push_str(&line);
        let answer = match line.split_whitespace().next() {
            Some(".") if is_data => {
                is_data = false;
                "250 taken"
            }
            _ if is_data => continue,
            Some("RCPT") => reply,
            Some("DATA") => {
                is_data = true;
                "354 go on"
            }
            Some("QUIT") => "221 bye",
            _ => "250 mx.example.com",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
    }
}

/// Runs the mail job against a server with that reply; returns its state, its outcomes and what the server heard.
async fn send(reply: &'static str, state: JobState) -> (Vec<String>, Option<i32>, String) {
    let world = World::new().await;
    let (url, heard) = server(reply).await;
    let mailer = Mailer::smtp(&url, sender()).unwrap();
    let worker = world.start_with("one", world.bell.clone(), mailer);
    until(async || {
        let job = &world.jobs("mail").await[0];
        job.last_outcome.is_some() && job.state == state.as_i32()
    })
    .await;
    worker.stop().await;
    let job = &world.jobs("mail").await[0];
    let status = world.attempts(job).await[0].status;
    let heard = heard.lock().unwrap().clone();
    (world.outcomes(job).await, status, heard)
}

#[tokio::test]
async fn a_mail_server_gets_the_mail() {
    let (outcomes, _, heard) = send("250 ok", JobState::Done).await;
    assert_eq!(outcomes, ["ok"]);
    assert!(heard.contains("MAIL FROM:<secrets@example.com>") && heard.contains("RCPT TO:<dana@example.com>"));
    let unfolded = heard.replace("=\r\n", "").replace("=3D", "=");
    assert!(token(&unfolded).starts_with("srm_lnk_"), "{heard}");
}

#[tokio::test]
async fn what_a_mail_server_says_for_good_is_for_good() {
    let (outcomes, status, _) = send("550 no such user", JobState::Dead).await;
    assert_eq!((outcomes, status), (vec!["rejected".to_owned()], Some(550)));
    let (outcomes, status, _) = send("451 later", JobState::Ready).await;
    assert_eq!((outcomes, status), (vec!["deferred".to_owned()], Some(451)));
}
