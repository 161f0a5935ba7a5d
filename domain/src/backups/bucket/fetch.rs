//! Fetching a backup as it is read. A connection that breaks is taken up again where it broke.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::answer::{self, Trouble};
use super::{Bucket, MANY, Pauses};
use crate::backups::fault::Fault;
use crate::egress::why_unanswered;

/// Pieces that wait for the reader.
const QUEUE: usize = 8;
/// How long nothing may come before the connection is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// A piece of an object; an empty one is the end of it.
type Piece = Result<Bytes, Fault>;

/// An object that is being fetched, for a thread that may block.
pub(in crate::backups) struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    is_over: bool,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_over {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) if piece.is_empty() => self.is_over = true,
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(fault)) => return Err(io::Error::other(fault)),
                None => return Err(io::Error::other(Fault::Store("the download was broken off".to_owned()))),
            }
        }
        let mut from: &[u8] = &self.rest;
        let count = from.read(into)?;
        self.rest.advance(count);
        Ok(count)
    }
}

impl Bucket {
    /// Begins to fetch, ahead of the reader by little.
    pub(in crate::backups) fn fetch(&self, key: &str) -> Incoming {
        let (to, pieces) = mpsc::channel(QUEUE);
        let (bucket, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move {
            if let Err(fault) = pass_on(&bucket, &key, &to).await {
                let _ = to.send(Err(fault)).await;
            }
        });
        Incoming {
            pieces,
            rest: Bytes::new(),
            is_over: false,
        }
    }
}

/// Passes an object on, to its end or until nobody reads it any more.
async fn pass_on(bucket: &Bucket, key: &str, to: &mpsc::Sender<Piece>) -> Result<(), Fault> {
    let mut at = 0;
    let mut etag: Option<String> = None;
    let mut pauses = Pauses::new(MANY);
    loop {
        let mut response = bucket.get(key, at, etag.as_deref()).await?;
        etag = etag.or_else(|| answer::etag(&response));
        let trouble = loop {
            match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(piece))) if piece.is_empty() => {}
                Ok(Ok(Some(piece))) => {
                    at += piece.len() as u64;
                    pauses = Pauses::new(MANY);
                    if to.send(Ok(piece)).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(Ok(None)) => {
                    let _ = to.send(Ok(Bytes::new())).await;
                    return Ok(());
                }
                Ok(Err(error)) => break Trouble::Away(why_unanswered(&error)),
                Err(_) => break Trouble::Away("nothing comes any more".to_owned()),
            }
        };
        pauses.after(trouble).await?;
    }
}
