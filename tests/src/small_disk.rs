//! A disk that is full when a test wants it: a file system of its own, in memory. Linux only, and for whoever may mount.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::app::is_ci;
use crate::servers::Owner;

/// Set in a namespace that was made for a test.
const NAMESPACE: &str = "STRONGROOM_TEST_NAMESPACE";
/// Blocks of the file that takes all room.
const BLOCK: usize = 4096;

/// A disk of a few mebibytes; it is gone when dropped.
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` for who may not.
    ///
    /// # Panics
    /// When there is no folder to mount it on.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("strongroom-disk-").tempdir();
        let dir = dir.expect("make a temporary folder");
        let options = format!("size={mebibytes}m,mode=0755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path());
        is_success(&mut mount).then(|| Self { dir })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A folder on it that PostgreSQL may write to.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn folder_for_postgres(&self) -> PathBuf {
        let folder = self.path().join("tablespace");
        fs::create_dir(&folder).expect("make a folder");
        if let Some(owner) = Owner::for_folder(&folder) {
            owner.give(&folder);
        }
        folder
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all room that is left.
    ///
    /// # Panics
    /// When there is no end of it.
    pub fn fill(&self) {
        let filler = File::options().create(true).append(true).open(self.filler());
        let mut filler = filler.expect("a file to fill the disk with");
        let block = [0; BLOCK];
        while filler.write_all(&block).is_ok() {
            let length = filler.metadata().expect("the size of a file").size();
            assert!(length < 1 << 30, "this is no small disk");
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("remove what fills the disk");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still uses it does not hold it back.
        let _ = is_success(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn is_success(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a test with a small disk. Who may not mount here may do so in a namespace of one's own: there the test runs
/// once more, by its name. Where that is not allowed either it says so and passes, but not in CI.
///
/// # Panics
/// When the test does, and in CI when there can be no small disk.
pub fn with(mebibytes: u32, test: &str, run: impl FnOnce(SmallDisk)) {
    if let Some(disk) = SmallDisk::mount(mebibytes) {
        return run(disk);
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "--"]);
        command
    };
    let is_inside = crate::app::number_from_environment(NAMESPACE).is_some();
    if is_inside || !is_success(unshare().arg("true")) {
        return without(test);
    }
    let this = std::env::current_exe().expect("the path of this test");
    let mut again = unshare();
    again
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(NAMESPACE, "1");
    let status = again.status().expect("run the test in a namespace");
    assert!(status.success(), "{test} fails in a namespace of its own");
}

/// The same for a test whose PostgreSQL runs as a user of its own, which a namespace does not know.
///
/// # Panics
/// See [`with`].
pub fn with_as_root(mebibytes: u32, test: &str, run: impl FnOnce(SmallDisk)) {
    match SmallDisk::mount(mebibytes) {
        Some(disk) => run(disk),
        None => without(test),
    }
}

fn without(test: &str) {
    let why = "nobody may mount a file system here: run it as root";
    assert!(!is_ci(), "{test} cannot run: {why}");
    // Not to be swallowed with what passing tests print.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
