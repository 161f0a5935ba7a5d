//! What a backup is written like, in a file or an object:
//!
//! ```text
//! SRBACKUP | format = 1 (1) | length of the header (4) | header, JSON | nonce prefix (7)
//!          | length of the wrapped key (2) | wrapped key | sealed stream
//! ```
//!
//! The header is in clear: what made the backup, when, and how many rows each table has. The key of the file is drawn for
//! it and wrapped by the backup key. Everything before the stream is authenticated with each of its chunks. The stream is
//! zstd over lines of JSON: `{"table":"users"}`, then a list for each row, and `{"end":true}` behind the last table.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use zstd::{Decoder, Encoder};

use super::fault::Fault;
use super::store::{Sink, Source};
use super::tables::Column;
use crate::crypto::aead::AeadKey;
use crate::crypto::keyring::RootKeyring;
use crate::crypto::stream::{Opener, PREFIX_LEN, Sealer};
use crate::crypto::{Aad, Purpose};
use crate::kernel::id::BackupId;
use crate::kernel::{Error, Result, Rng, Secret};

const MAGIC: [u8; 8] = *b"SRBACKUP";
const FORMAT: u8 = 1;
/// Longest header that is read, bytes.
const MAX_HEADER: u32 = 4 * 1024 * 1024;
/// zstd's own default: more costs much time for little room.
const LEVEL: i32 = 3;

/// What is known of a backup without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub id: BackupId,
    /// RFC 3339, UTC: the instant that the rows are of.
    pub created_at: String,
    /// Version of Strongroom.
    pub product: String,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Which backup key wraps the key of the file.
    pub key_id: String,
    /// The migrations that made the schema.
    pub migrations: Vec<String>,
    pub tables: Vec<Table>,
}

impl Header {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// What a backup holds of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub rows: u64,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes.
    pub size: u64,
    pub sha256: [u8; 32],
}

/// Binds the wrapped key to its header.
fn bound(header: &[u8]) -> Vec<u8> {
    Aad::new(Purpose::Backup).bytes(header).finish()
}

/// Counts and hashes what passes through, either way.
struct Measured<T> {
    inner: T,
    hasher: Sha256,
    size: u64,
}

impl<T> Measured<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            size: self.size,
            sha256: self.hasher.clone().finalize().into(),
        }
    }
}

impl<T: Write> Write for Measured<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.note(bytes.get(..count).unwrap_or(bytes));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Measured<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.note(into.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A backup that is being written. It is none before [`Writer::finish`].
pub(super) struct Writer {
    lines: Encoder<'static, Sealer<Measured<Sink>>>,
}

impl Writer {
    /// Begins with the header.
    pub(super) fn begin(to: Sink, header: &Header, keys: &RootKeyring, rng: &Rng) -> Result<Self, Fault> {
        let header = serde_json::to_vec(header).map_err(|error| Error::internal(format!("backup header: {error}")))?;
        let too_long = |_| Error::internal("a backup header that is too long");
        let length = u32::try_from(header.len()).map_err(too_long)?;
        let key = Secret::new(rng.bytes::<32>()?);
        let (_, wrapped) = keys.wrap(rng, &bound(&header), key.expose())?;
        let wrapped_length = u16::try_from(wrapped.len()).map_err(too_long)?;
        let prefix = rng.bytes::<PREFIX_LEN>()?;
        let preamble = [
            MAGIC.as_slice(),
            [FORMAT].as_slice(),
            length.to_be_bytes().as_slice(),
            header.as_slice(),
            prefix.as_slice(),
            wrapped_length.to_be_bytes().as_slice(),
            wrapped.as_slice(),
        ]
        .concat();
        let mut out = Measured::new(to);
        out.write_all(&preamble)?;
        let aad = Sha256::digest(&preamble).to_vec();
        let sealer = Sealer::new(out, AeadKey::new(*key.expose()), prefix, aad);
        Ok(Self {
            lines: Encoder::new(sealer, LEVEL)?,
        })
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.lines.write_all(lines)
    }

    /// Ends the backup, as [`Sink::finish`] does.
    pub(super) fn finish(self) -> Result<Sizes, Fault> {
        let measured = self.lines.finish()?.finish()?;
        let sizes = measured.sizes();
        measured.inner.finish()?;
        Ok(sizes)
    }
}

/// A line behind the header.
#[derive(Debug)]
pub(super) enum Line {
    /// Rows of this table follow.
    Table(String),
    Row(Vec<Json>),
    /// That was all.
    End,
}

/// What a store gives, measured, opened and unpacked.
type Unpacked = Decoder<'static, BufReader<Opener<BufReader<Measured<Source>>>>>;

/// A backup that is being read.
pub(super) struct Reader {
    pub(super) header: Header,
    lines: BufReader<Unpacked>,
    line: String,
}

fn bytes_of(from: &mut impl Read, length: usize, preamble: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    preamble.extend_from_slice(&bytes);
    Ok(bytes)
}

fn array_of<const N: usize>(from: &mut impl Read, preamble: &mut Vec<u8>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    preamble.extend_from_slice(&bytes);
    Ok(bytes)
}

impl Reader {
    /// Opens a backup with whichever of these keys wraps its own.
    pub(super) fn open(from: Source, keys: &RootKeyring) -> Result<Self, Fault> {
        let mut from = BufReader::new(Measured::new(from));
        let mut preamble = Vec::new();
        let (magic, format) = (
            array_of::<8>(&mut from, &mut preamble)?,
            array_of::<1>(&mut from, &mut preamble)?,
        );
        if magic != MAGIC {
            return Err(Fault::refused("This is no backup of Strongroom."));
        }
        if format != [FORMAT] {
            return Err(Fault::refused("The backup is written in a format of a newer version."));
        }
        let length = u32::from_be_bytes(array_of(&mut from, &mut preamble)?);
        if length > MAX_HEADER {
            return Err(Fault::damaged());
        }
        let text = bytes_of(&mut from, usize::try_from(length).unwrap_or(0), &mut preamble)?;
        let prefix: [u8; PREFIX_LEN] = array_of(&mut from, &mut preamble)?;
        let length = u16::from_be_bytes(array_of(&mut from, &mut preamble)?);
        let wrapped = bytes_of(&mut from, usize::from(length), &mut preamble)?;
        let header: Header = serde_json::from_slice(&text).map_err(|_| Fault::damaged())?;
        let key = keys
            .unwrap(&header.key_id, &bound(&text), &wrapped)
            .map_err(|_| Fault::damaged())?;
        let key = <[u8; 32]>::try_from(key.expose().as_slice()).map_err(|_| Fault::damaged())?;
        let aad = Sha256::digest(&preamble).to_vec();
        let opener = Opener::new(from, AeadKey::new(key), prefix, aad);
        Ok(Self {
            header,
            lines: BufReader::new(Decoder::new(opener)?),
            line: String::new(),
        })
    }

    /// What was read so far: all of it, once there is no line left.
    pub(super) fn sizes(&self) -> Sizes {
        let opener = self.lines.get_ref().get_ref().get_ref();
        opener.get_ref().get_ref().sizes()
    }

    /// Length of the line that was read last, bytes.
    pub(super) fn length(&self) -> usize {
        self.line.len()
    }

    /// The next line; `None` at the end of the stream, which is authentic too.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Fault> {
        self.line.clear();
        if self.lines.read_line(&mut self.line)? == 0 {
            return Ok(None);
        }
        let line = match serde_json::from_str(&self.line).map_err(|_| Fault::damaged())? {
            Json::Array(values) => Line::Row(values),
            Json::Object(members) => match (members.get("table"), members.get("end")) {
                (Some(Json::String(name)), None) => Line::Table(name.clone()),
                (None, Some(Json::Bool(true))) => Line::End,
                _ => return Err(Fault::damaged()),
            },
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return Err(Fault::damaged()),
        };
        Ok(Some(line))
    }
}

/// Begins the rows of a table.
pub(super) fn table_line(name: &str) -> Vec<u8> {
    format!("{}\n", serde_json::json!({ "table": name })).into_bytes()
}

/// Ends the rows of the last table.
pub(super) const END_LINE: &[u8] = b"{\"end\":true}\n";

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
