//! A stream sealed in chunks, each authenticated by itself and in its place: the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár (2015) over AES-256-GCM. A nonce is
//!
//! ```text
//! prefix (7) | number of the chunk (4, big-endian) | 1 for the last chunk, else 0 (1)
//! ```
//!
//! so that a chunk that was altered, dropped, repeated or moved does not open, nor does a stream that ends early or goes
//! on. The key must be the stream's own.

use std::io::{self, BufRead, Read, Write};

use zeroize::Zeroizing;

use super::aead::{self, AeadKey, NONCE_LEN, TAG_LEN};

/// Plaintext of a chunk, bytes; the last has less, down to none.
pub const CHUNK_LEN: usize = 64 * 1024;
/// Bytes of a nonce that are the same all through a stream.
pub const PREFIX_LEN: usize = NONCE_LEN - 5;

/// What goes into every chunk of a stream.
struct Place {
    key: AeadKey,
    prefix: [u8; PREFIX_LEN],
    /// Additional data of every chunk.
    aad: Vec<u8>,
    /// Number of the next chunk.
    next: Option<u32>,
}

impl Place {
    /// The nonce of the next chunk.
    fn nonce(&mut self, is_last: bool) -> io::Result<[u8; NONCE_LEN]> {
        let number = self
            .next
            .ok_or_else(|| io::Error::other("a sealed stream has at most 2^32 chunks"))?;
        self.next = number.checked_add(1);
        let parts = self
            .prefix
            .iter()
            .copied()
            .chain(number.to_be_bytes())
            .chain([u8::from(is_last)]);
        let mut nonce = [0; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip(parts) {
            *to = from;
        }
        Ok(nonce)
    }
}

/// Seals what is written to it. Without [`Sealer::finish`] the stream does not open.
pub struct Sealer<W> {
    out: W,
    place: Place,
    plain: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    pub fn new(out: W, key: AeadKey, prefix: [u8; PREFIX_LEN], aad: Vec<u8>) -> Self {
        Self {
            out,
            place: Place {
                key,
                prefix,
                aad,
                next: Some(0),
            },
            plain: Zeroizing::new(Vec::with_capacity(CHUNK_LEN)),
        }
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.place.nonce(is_last)?;
        let sealed = aead::seal(&self.place.key, nonce, &self.place.aad, &self.plain)
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.plain.clear();
        self.out.write_all(&sealed)
    }

    /// Seals the last chunk and gives back what was written to.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // Not before there is more: the last chunk may be a full one.
        if self.plain.len() == CHUNK_LEN {
            self.seal(false)?;
        }
        let room = CHUNK_LEN - self.plain.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.plain.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Chunks are as long as they are: what is not full yet waits.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens a sealed stream. What it gives out has been authenticated; whatever does not open is
/// [`io::ErrorKind::InvalidData`].
pub struct Opener<R> {
    from: R,
    place: Place,
    plain: Zeroizing<Vec<u8>>,
    /// How much of it was given out.
    at: usize,
    is_over: bool,
}

impl<R: BufRead> Opener<R> {
    pub fn new(from: R, key: AeadKey, prefix: [u8; PREFIX_LEN], aad: Vec<u8>) -> Self {
        Self {
            from,
            place: Place {
                key,
                prefix,
                aad,
                next: Some(0),
            },
            plain: Zeroizing::new(Vec::new()),
            at: 0,
            is_over: false,
        }
    }

    /// What is read from.
    pub fn get_ref(&self) -> &R {
        &self.from
    }

    fn open_next(&mut self) -> io::Result<()> {
        let longest = CHUNK_LEN + TAG_LEN;
        let mut sealed = Vec::with_capacity(longest);
        self.from.by_ref().take(longest as u64).read_to_end(&mut sealed)?;
        let is_last = self.from.fill_buf()?.is_empty();
        let nonce = self.place.nonce(is_last)?;
        self.plain = aead::open(&self.place.key, nonce, &self.place.aad, &sealed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.at = 0;
        self.is_over = is_last;
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.is_over {
                return Ok(0);
            }
            self.open_next()?;
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AAD: &[u8] = b"the header";

    fn key(byte: u8) -> AeadKey {
        AeadKey::new([byte; 32])
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), key(1), [2; PREFIX_LEN], AAD.to_vec());
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened_with(key: AeadKey, aad: &[u8], stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        let mut opener = Opener::new(stream, key, [2; PREFIX_LEN], aad.to_vec());
        opener.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn opened(stream: &[u8]) -> io::Result<Vec<u8>> {
        opened_with(key(1), AAD, stream)
    }

    fn assert_refused(outcome: io::Result<Vec<u8>>, what: &str) {
        let kind = outcome.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidData), "{what}");
    }

    #[test]
    fn any_length_comes_back_as_it_was() {
        for len in [
            0,
            1,
            CHUNK_LEN - 1,
            CHUNK_LEN,
            CHUNK_LEN + 1,
            3 * CHUNK_LEN,
            3 * CHUNK_LEN + 7,
        ] {
            let plain: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let stream = sealed(&plain);
            let chunks = len.div_ceil(CHUNK_LEN).max(1);
            assert_eq!(stream.len(), len + chunks * TAG_LEN, "{len}");
            assert_eq!(opened(&stream).unwrap(), plain, "{len}");
        }
    }

    #[test]
    fn what_was_altered_dropped_moved_or_cut_does_not_open() {
        let plain = vec![7; 3 * CHUNK_LEN + 100];
        let stream = sealed(&plain);
        let whole = CHUNK_LEN + TAG_LEN;
        let chunks: Vec<&[u8]> = stream.chunks(whole).collect();
        assert_eq!(chunks.len(), 4);
        assert_eq!(opened(&chunks.concat()).unwrap(), plain);
        for at in [0, whole - 1, whole, 2 * whole + 5, stream.len() - 1] {
            let mut altered = stream.clone();
            altered[at] ^= 1;
            assert_refused(opened(&altered), "altered");
        }
        for dropped in 0..chunks.len() {
            let mut rest = chunks.clone();
            rest.remove(dropped);
            assert_refused(opened(&rest.concat()), "dropped");
        }
        assert_refused(opened(&[chunks[1], chunks[0], chunks[2], chunks[3]].concat()), "moved");
        assert_refused(
            opened(&[chunks[0], chunks[0], chunks[1], chunks[2], chunks[3]].concat()),
            "repeated",
        );
        assert_refused(opened(&[&stream[..], chunks[3]].concat()), "longer");
        for len in [0, 1, TAG_LEN, whole, whole + 1, stream.len() - 1] {
            assert_refused(opened(&stream[..len]), "cut");
        }
    }

    #[test]
    fn it_opens_under_its_key_and_header_alone() {
        let stream = sealed(b"value");
        assert_refused(opened_with(key(9), AAD, &stream), "another key");
        assert_refused(opened_with(key(1), b"another header", &stream), "another header");
    }

    #[test]
    fn a_stream_that_was_not_finished_does_not_open() {
        let mut sealer = Sealer::new(Vec::new(), key(1), [2; PREFIX_LEN], AAD.to_vec());
        sealer.write_all(&vec![1; 2 * CHUNK_LEN]).unwrap();
        let unfinished = sealer.out.clone();
        assert_refused(opened(&unfinished), "unfinished");
    }
}
