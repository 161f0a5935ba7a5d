//! Sending a backup as it is written, part by part. The object is there once the last part is and the store has put them
//! together; until then there is nothing under its name, or what was there before.

use std::io::{self, Write};
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use rusty_s3::S3Action;
use rusty_s3::actions::{CompleteMultipartUploadResponse, CreateMultipartUpload};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answer::{Trouble, open_uploads};
use super::{Bucket, LONG, MANY, Request, VALID};
use crate::backups::fault::Fault;
use crate::kernel::Clock;

/// Bytes of a part; the last has less. Some stores want them all alike, and none takes less than 5 MiB. Three of them are in
/// memory: one that is being filled, one that waits and one that is being sent.
const PART: usize = 8 * 1024 * 1024;
/// Parts of an upload at most. Source: Amazon S3, multipart upload limits.
const MOST_PARTS: u16 = 10_000;
/// Parts that wait.
const QUEUE: usize = 1;
/// When an upload that nobody ended is taken for left behind.
const STALE: Duration = Duration::from_hours(24);

enum Part {
    More(Bytes),
    Last(Bytes),
}

/// What is written to it is sent. Dropped before [`Outgoing::finish`], nothing of it stays.
pub(in crate::backups) struct Outgoing {
    parts: mpsc::Sender<Part>,
    part: Vec<u8>,
}

impl Outgoing {
    /// For a thread that may block. It fails when the store does; its own fault tells why.
    fn send(&self, part: Part) -> io::Result<()> {
        let sent = self.parts.blocking_send(part);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Sends the last part on its way.
    pub(in crate::backups) fn finish(mut self) -> io::Result<()> {
        let rest = mem::take(&mut self.part);
        self.send(Part::Last(rest.into()))
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // Not before there is more: the last part may be a full one, and never an empty one.
        if self.part.len() == PART {
            let full = mem::replace(&mut self.part, Vec::with_capacity(PART));
            self.send(Part::More(full.into()))?;
        }
        let room = PART - self.part.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.part.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Parts are as long as they are: what is not full yet waits.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bucket {
    /// Begins to send. The task ends when everything is there, or nothing of it.
    pub(in crate::backups) fn begin(&self, key: &str) -> (Outgoing, JoinHandle<Result<(), Fault>>) {
        let (parts, incoming) = mpsc::channel(QUEUE);
        let landing = tokio::spawn(carry(self.clone(), key.to_owned(), incoming));
        let part = Vec::with_capacity(PART);
        (Outgoing { parts, part }, landing)
    }

    /// Ends what earlier tries left half-sent: of this backup, and a day later of any. What cannot be seen stays.
    async fn clear(&self, key: &str) {
        let mut action = self.0.s3.list_objects_v2(Some(&self.0.credentials));
        // The signer knows no request for open uploads: it differs in these.
        action.query_mut().remove("list-type");
        action.query_mut().remove("encoding-type");
        action.query_mut().insert("uploads", "");
        action.with_prefix(self.backups());
        let sign = || action.sign(VALID);
        let listed = match self.ask(&Request::short(Method::GET, &sign)).await {
            Ok(answer) => open_uploads(&answer.text),
            Err(trouble) => {
                let fault = Fault::from(trouble);
                return tracing::debug!(%fault, "cannot see what earlier backups left half-sent");
            }
        };
        let now = Clock::system().now();
        for open in listed {
            let is_stale = open.since.is_some_and(|since| now.since(since) > STALE);
            if open.key == key || is_stale {
                self.abort(&open.key, &open.upload).await;
            }
        }
    }

    async fn create(&self, key: &str) -> Result<String, Trouble> {
        let action = self.0.s3.create_multipart_upload(Some(&self.0.credentials), key);
        let sign = || action.sign(VALID);
        let request = Request {
            headers: vec![(CONTENT_LENGTH, "0".to_owned())],
            pauses: MANY,
            ..Request::short(Method::POST, &sign)
        };
        let answer = self.ask(&request).await?;
        let created = CreateMultipartUpload::parse_response(&answer.text);
        let created = created.map_err(|_| Trouble::Strange("that of a new upload"))?;
        Ok(created.upload_id().to_owned())
    }

    async fn put(&self, key: &str, upload: &str, number: u16, part: Bytes) -> Result<String, Trouble> {
        let action = self.0.s3.upload_part(Some(&self.0.credentials), key, number, upload);
        let sign = || action.sign(VALID);
        let request = Request {
            body: part,
            patience: LONG,
            pauses: MANY,
            ..Request::short(Method::PUT, &sign)
        };
        let answer = self.ask(&request).await?;
        answer.etag.ok_or(Trouble::Strange("that of a part"))
    }

    /// Has the parts put together, of so many bytes.
    async fn complete(&self, key: &str, upload: &str, etags: &[String], size: u64) -> Result<(), Trouble> {
        let credentials = Some(&self.0.credentials);
        let etags = etags.iter().map(String::as_str);
        let action = self.0.s3.complete_multipart_upload(credentials, key, upload, etags);
        let sign = || action.sign(VALID);
        let request = Request {
            body: action.clone().body().into(),
            patience: LONG,
            pauses: MANY,
            ..Request::short(Method::POST, &sign)
        };
        let answered = self.ask(&request).await;
        // An earlier try went through, and its answer was lost.
        if let Err(trouble) = &answered
            && trouble.code() == "NoSuchUpload"
            && self.is_there(key, size).await
        {
            return Ok(());
        }
        let completed = CompleteMultipartUploadResponse::parse(&answered?.text);
        completed.map_err(|_| Trouble::Strange("that of an upload that is complete"))?;
        Ok(())
    }

    async fn abort(&self, key: &str, upload: &str) {
        let action = self.0.s3.abort_multipart_upload(Some(&self.0.credentials), key, upload);
        let sign = || action.sign(VALID);
        match self.ask(&Request::short(Method::DELETE, &sign)).await {
            Err(trouble) if trouble.code() != "NoSuchUpload" => {
                let fault = Fault::from(trouble);
                tracing::warn!(%fault, key, "half of a backup is left in the store, out of sight; a later backup clears it");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Sends part after part. Returns whether it came to the end.
    async fn send_all(&self, key: &str, upload: &str, parts: &mut mpsc::Receiver<Part>) -> Result<bool, Fault> {
        let mut etags = Vec::new();
        let mut size = 0;
        while let Some(part) = parts.recv().await {
            let (bytes, is_last) = match part {
                Part::More(bytes) => (bytes, false),
                Part::Last(bytes) => (bytes, true),
            };
            let number = u16::try_from(etags.len() + 1).ok();
            let number = number.filter(|number| *number <= MOST_PARTS).ok_or_else(too_long)?;
            size += bytes.len() as u64;
            etags.push(self.put(key, upload, number, bytes).await?);
            if is_last {
                self.complete(key, upload, &etags, size).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn too_long() -> Fault {
    let most = PART * usize::from(MOST_PARTS) / (1024 * 1024 * 1024);
    Fault::refused(format!(
        "The backup is longer than {most} GiB, which is more than a bucket takes at once."
    ))
}

/// Takes parts until the last one. Whoever breaks off knows why; that is no fault of the store's.
async fn carry(bucket: Bucket, key: String, mut parts: mpsc::Receiver<Part>) -> Result<(), Fault> {
    bucket.clear(&key).await;
    let upload = bucket.create(&key).await?;
    let outcome = bucket.send_all(&key, &upload, &mut parts).await;
    // Whoever still writes learns of it now.
    drop(parts);
    if !matches!(outcome, Ok(true)) {
        bucket.abort(&key, &upload).await;
    }
    outcome.map(drop)
}
