//! Sends mails by SMTP, or writes them into a folder when there is no mail server.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::kernel::config::Config;
use domain::kernel::id::MailId;
use domain::kernel::{Error, Result, Secret, Timestamp};
use domain::mail::Rendered;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::{self, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// The folder of unsent mail in the data folder.
const FOLDER: &str = "mail";
/// Everything between the start of a mail and the server's last word. Job leases count on it.
const WALL: Duration = Duration::from_secs(20);
/// Connections to the mail server.
const CONNECTIONS: u32 = 16;
/// Replies to a failed sign-in at the server: a fault of our configuration, not of the mail. Source: RFC 4954.
const SIGN_IN_FAILED: [u16; 4] = [530, 534, 535, 538];

/// A mail that was not sent.
#[derive(Debug)]
pub struct MailError {
    /// Whether another try is pointless.
    pub is_final: bool,
    /// Whether neither the mail nor its way is to blame: there is no room for the file.
    pub has_no_room: bool,
    /// The server's reply code.
    pub status: Option<u16>,
    /// For the log of attempts: `rejected`, `deferred`, `timeout`, `connect` or `internal`.
    pub outcome: &'static str,
    /// For people; never holds the server's text, which may name the address.
    pub text: String,
}

/// A mail, ready to be sent.
pub struct Outgoing {
    pub id: MailId,
    pub at: Timestamp,
    /// With angle brackets.
    pub message_id: String,
    pub to: String,
    pub rendered: Rendered,
}

enum Way {
    Files(PathBuf),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// Where mails go.
pub struct Mailer {
    from: Mailbox,
    way: Way,
}

impl Mailer {
    /// The mailer that the configuration asks for.
    ///
    /// # Errors
    /// [`Error::Internal`] for a mail server URL that cannot be used.
    pub fn from_config(config: &Config) -> Result<Self> {
        match &config.smtp {
            Some(url) => Self::smtp(url, config.mail_from.clone()),
            None => Ok(Self::files(&config.data_dir.join(FOLDER), config.mail_from.clone())),
        }
    }

    /// Writes mails as `.eml` files into `dir`, which is made when needed.
    pub fn files(dir: &Path, from: Mailbox) -> Self {
        let way = Way::Files(dir.to_owned());
        Self { from, way }
    }

    /// Sends mails to the server at `url`: `smtps://`, or `smtp://` with `?tls=required` for STARTTLS.
    ///
    /// # Errors
    /// [`Error::Internal`] for a URL that cannot be used.
    pub fn smtp(url: &Secret<String>, from: Mailbox) -> Result<Self> {
        // The library's own text could repeat the URL, which holds the password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|_| Error::internal("STRONGROOM_SMTP_URL cannot be used"))?;
        let pool = PoolConfig::new().max_size(CONNECTIONS);
        let way = Way::Smtp(builder.timeout(Some(WALL)).pool_config(pool).build());
        Ok(Self { from, way })
    }

    /// Whether mails become files here instead of going out.
    pub(crate) fn writes_files(&self) -> bool {
        match self.way {
            Way::Files(_) => true,
            Way::Smtp(_) => false,
        }
    }

    /// Sends one mail, within 20 s.
    ///
    /// # Errors
    /// [`MailError`], which tells whether another try makes sense.
    pub async fn send(&self, mail: Outgoing) -> Result<(), MailError> {
        let (id, at) = (mail.id, mail.at);
        let message = self.message(mail)?;
        match &self.way {
            Way::Files(dir) => write(dir, &file_name(id, at), &message.formatted())
                .await
                .map_err(|error| unwritten(error.kind())),
            Way::Smtp(transport) => match tokio::time::timeout(WALL, transport.send(message)).await {
                Ok(sent) => sent.map(|_| ()).map_err(|error| refused(&error)),
                Err(_) => Err(failed("timeout", "the mail server took too long".to_owned())),
            },
        }
    }

    fn message(&self, mail: Outgoing) -> Result<Message, MailError> {
        let Outgoing {
            id: _,
            at,
            message_id,
            to,
            rendered,
        } = mail;
        let Rendered { subject, text, html } = rendered;
        let unfit = |text: &str| MailError {
            is_final: true,
            ..failed("rejected", text.to_owned())
        };
        let to = to.parse().map_err(|_| unfit("the address cannot be written to"))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(system_time(at))
            .message_id(Some(message_id))
            .multipart(self.parts(text, html))
            .map_err(|_| unfit("the mail cannot be written"))
    }

    fn parts(&self, text: String, html: String) -> MultiPart {
        match &self.way {
            // Not folded, so that a link can be copied out of the file as it is.
            Way::Files(_) => MultiPart::alternative()
                .singlepart(clear(ContentType::TEXT_PLAIN, &text))
                .singlepart(clear(ContentType::TEXT_HTML, &html)),
            Way::Smtp(_) => MultiPart::alternative_plain_html(text, html),
        }
    }
}

fn clear(kind: ContentType, text: &str) -> SinglePart {
    let bytes = text.replace('\n', "\r\n").into_bytes();
    let body = Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::EightBit);
    SinglePart::builder().header(kind).body(body)
}

fn failed(outcome: &'static str, text: String) -> MailError {
    MailError {
        is_final: false,
        has_no_room: false,
        status: None,
        outcome,
        text,
    }
}

/// A file that could not be written.
fn unwritten(kind: ErrorKind) -> MailError {
    MailError {
        has_no_room: matches!(
            kind,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
        ),
        ..failed("internal", format!("the file could not be written: {kind}"))
    }
}

fn refused(error: &smtp::Error) -> MailError {
    let Some(status) = error.status().map(u16::from) else {
        if error.is_timeout() {
            return failed("timeout", "the mail server took too long".to_owned());
        }
        // Only our own configuration and the network are in these texts.
        tracing::warn!(%error, "the mail server cannot be talked to");
        return failed("connect", "the mail server could not be talked to".to_owned());
    };
    let is_final = error.is_permanent() && !SIGN_IN_FAILED.contains(&status);
    MailError {
        is_final,
        has_no_room: false,
        status: Some(status),
        outcome: if is_final { "rejected" } else { "deferred" },
        text: format!("the mail server answered {status}"),
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + at.since(Timestamp::from_micros(0))
}

/// `20300102T030405678Z-mai_….eml`: in the order of sending.
fn file_name(id: MailId, at: Timestamp) -> String {
    let at: String = at.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{at}-{id}.eml")
}

/// Writes a file whole or not at all, for the owner's eyes only: it holds a link that proves an address.
async fn write(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(dir).await?;
    let (path, unfinished) = (dir.join(name), dir.join(format!(".{name}.unfinished")));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let file = options.open(&unfinished).await?;
    let written = match fill(file, bytes).await {
        Ok(()) => fs::rename(&unfinished, &path).await,
        Err(error) => Err(error),
    };
    if written.is_err() {
        // Its bytes fill a disk that may be full already.
        let _ = fs::remove_file(&unfinished).await;
    }
    written?;
    tracing::info!(path = %path.display(), "no mail server is set: a mail was written to a file");
    Ok(())
}

async fn fill(mut file: fs::File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes).await?;
    // The write goes on behind our back, and only this tells of one that failed: what follows does not.
    file.flush().await?;
    file.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_told_from_a_folder_that_cannot_be_written_to() {
        for full in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::ReadOnlyFilesystem,
        ] {
            assert!(unwritten(full).has_no_room, "{full}");
        }
        assert!(!unwritten(ErrorKind::PermissionDenied).has_no_room);
        assert!(!unwritten(ErrorKind::StorageFull).is_final);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_mail_that_found_no_room_is_not_taken_for_written() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(".a.eml.unfinished")).unwrap();
        let error = write(dir.path(), "a.eml", b"Subject: hello").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(!dir.path().join("a.eml").exists());
    }
}
