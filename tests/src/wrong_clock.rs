//! The clock of a machine that goes wrong: a process sees the time that a test wants. By `libfaketime`.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::processes::Installation;

/// Where distributions put the library, for any architecture between the two parts.
const PLACES: [(&str, &str); 3] = [
    ("/usr/lib", "faketime/libfaketimeMT.so.1"),
    ("/usr/lib64", "faketime/libfaketimeMT.so.1"),
    ("/usr/local/lib", "faketime/libfaketimeMT.so.1"),
];

/// A clock that a test turns.
pub struct WrongClock {
    library: PathBuf,
    dir: TempDir,
}

impl WrongClock {
    /// One that is right as yet.
    ///
    /// # Panics
    /// When the library is not installed.
    pub fn new() -> Self {
        let library = PLACES
            .iter()
            .find_map(|(folder, file)| library(Path::new(folder), file));
        let clock = Self {
            library: library.expect("libfaketime; tests/run.sh installs it"),
            dir: TempDir::new().expect("make a temporary folder"),
        };
        clock.turn("+0");
        clock
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    /// Turns it, `+1h` or `-1h` from the right time. Processes see it within a second.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn turn(&self, offset: &str) {
        // Never half written.
        let unfinished = self.dir.path().join("unfinished");
        fs::write(&unfinished, format!("{offset}\n")).expect("write the offset");
        fs::rename(&unfinished, self.file()).expect("move the offset");
    }

    /// The same installation; what it starts goes by this clock. Its steady clock, which measures how long things take,
    /// stays as it is, as on a machine whose time is set.
    #[must_use]
    pub fn on(&self, installation: &Installation) -> Installation {
        installation
            .clone()
            .with("LD_PRELOAD", &self.library.to_string_lossy())
            .with("FAKETIME_TIMESTAMP_FILE", &self.file().to_string_lossy())
            .with("FAKETIME_CACHE_DURATION", "1")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with("DONT_FAKE_MONOTONIC", "1")
    }
}

impl Default for WrongClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The library in a folder, or in one of the folders in it.
fn library(folder: &Path, file: &str) -> Option<PathBuf> {
    let below = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    std::iter::once(folder.to_owned())
        .chain(below)
        .map(|place| place.join(file))
        .find(|path| path.is_file())
}
