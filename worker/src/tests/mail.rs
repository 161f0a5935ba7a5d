//! Mail, into files and to a server.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::auth::{account, verification};
use domain::jobs::JobState;
use domain::kernel::{Clock, Secret, Timestamp};
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

/// What a mail server does with one connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers `RCPT` so.
    Recipient(&'static str),
    /// Greets so and says no more.
    Greets(&'static str),
    /// Takes the mail and hangs up instead of saying so.
    Forgets,
    /// Says nothing at all.
    Hangs,
}

/// A mail server that treats each connection as the script says, the last word for ever, and keeps what it is sent.
async fn server(script: &'static [Manner]) -> (Secret<String>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let heard: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&heard);
    let turn = AtomicUsize::new(0);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let turn = turn.fetch_add(1, Ordering::SeqCst);
            let manner = script.get(turn).or(script.last()).copied().unwrap();
            tokio::spawn(converse(stream, manner, Arc::clone(&kept)));
        }
    });
    (Secret::new(url), heard)
}

async fn converse(stream: TcpStream, manner: Manner, heard: Arc<Mutex<String>>) {
    let mut stream = BufReader::new(stream);
    let (greeting, reply) = match manner {
        Manner::Recipient(reply) => ("220 mx.example.com", reply),
        Manner::Greets(greeting) => (greeting, "250 ok"),
        Manner::Forgets => ("220 mx.example.com", "250 ok"),
        Manner::Hangs => return std::future::pending().await,
    };
    stream.write_all(format!("{greeting}\r\n").as_bytes()).await.unwrap();
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        heard.lock().unwrap().push_str(&line);
        let answer = match line.split_whitespace().next() {
            Some(".") if is_data && matches!(manner, Manner::Forgets) => return,
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
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The ids of the mails in what a server heard.
fn message_ids(heard: &str) -> Vec<&str> {
    heard.lines().filter(|line| line.starts_with("Message-ID: ")).collect()
}

/// Runs the mail job against a server of that manner; returns its outcomes, its status and what the server heard.
async fn send(script: &'static [Manner], state: JobState) -> (Vec<String>, Option<i32>, String) {
    let world = World::new().await;
    let (url, heard) = server(script).await;
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
    let (outcomes, _, heard) = send(&[Manner::Recipient("250 ok")], JobState::Done).await;
    assert_eq!(outcomes, ["ok"]);
    assert!(heard.contains("MAIL FROM:<secrets@example.com>") && heard.contains("RCPT TO:<dana@example.com>"));
    let unfolded = heard.replace("=\r\n", "").replace("=3D", "=");
    assert!(token(&unfolded).starts_with("srm_lnk_"), "{heard}");
}

#[tokio::test]
async fn what_a_mail_server_says_for_good_is_for_good() {
    let (outcomes, status, _) = send(&[Manner::Recipient("550 no such user")], JobState::Dead).await;
    assert_eq!((outcomes, status), (vec!["rejected".to_owned()], Some(550)));
    let (outcomes, status, _) = send(&[Manner::Recipient("451 later")], JobState::Ready).await;
    assert_eq!((outcomes, status), (vec!["deferred".to_owned()], Some(451)));
    let (outcomes, status, _) = send(&[Manner::Greets("421 too busy")], JobState::Ready).await;
    assert_eq!((outcomes, status), (vec!["deferred".to_owned()], Some(421)));
    let (outcomes, status, _) = send(&[Manner::Greets("554 not you")], JobState::Dead).await;
    assert_eq!((outcomes, status), (vec!["rejected".to_owned()], Some(554)));
}

#[tokio::test]
async fn a_mail_that_has_to_wait_goes_out_later_under_the_same_id() {
    static SCRIPT: &[Manner] = &[
        Manner::Greets("421 too busy"),
        Manner::Recipient("450 greylisted, come back"),
        // It took the mail, and nobody knows: it comes twice, and can be told to be one.
        Manner::Forgets,
        Manner::Recipient("250 ok"),
    ];
    let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
    let (url, heard) = server(SCRIPT).await;
    let mailer = Mailer::smtp(&url, sender()).unwrap();
    let worker = world.start_with("one", world.bell.clone(), mailer);
    for (tries, wait) in [(1, 6), (2, 361), (3, 2161)] {
        until(async || {
            let job = &world.jobs("mail").await[0];
            job.attempt == tries && job.state == JobState::Ready.as_i32()
        })
        .await;
        world.db.clock().advance(Duration::from_secs(wait));
    }
    world.wait_for("mail", JobState::Done, 1).await;
    worker.stop().await;
    let job = &world.jobs("mail").await[0];
    assert_eq!(world.outcomes(job).await, ["deferred", "deferred", "connect", "ok"]);
    let heard = heard.lock().unwrap().clone();
    assert_eq!(
        message_ids(&heard),
        vec![format!("Message-ID: <{}@vault.example.com>", job.id); 2]
    );
}

#[tokio::test]
async fn a_mail_server_that_hangs_costs_twenty_seconds_and_a_try() {
    let world = World::new().await;
    let (url, _) = server(&[Manner::Hangs]).await;
    let mailer = Mailer::smtp(&url, sender()).unwrap();
    let worker = world.start_with("one", world.bell.clone(), mailer);
    let begun = std::time::Instant::now();
    while world.jobs("mail").await[0].last_outcome.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(25), "it goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
    let job = &world.jobs("mail").await[0];
    assert_eq!((job.state, job.attempt), (JobState::Ready.as_i32(), 1));
    assert_eq!(world.outcomes(job).await, ["timeout"]);
}
