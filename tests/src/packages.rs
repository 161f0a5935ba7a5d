//! Programs of others, from npm and PyPI, that read what we write.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Installs packages into a folder, once for as long as the folder lasts: those of npm into `node_modules`, those of
/// PyPI into `venv`. Without Node or Python it fails.
///
/// # Panics
/// When they cannot be installed.
pub fn install(dir: &Path, npm: &[&str], pypi: &[&str]) {
    fs::create_dir_all(dir).expect("make the folder of the packages");
    let lock = File::create(dir.join("lock")).expect("open the lock");
    lock.lock().expect("wait for another run of the same packages");
    let (stamp, wanted) = (dir.join("installed"), [npm, pypi].concat().join(" "));
    if fs::read_to_string(&stamp).unwrap_or_default() == wanted {
        return;
    }
    let path = dir.to_string_lossy();
    let install = [
        "install",
        "--silent",
        "--ignore-scripts",
        "--no-save",
        "--prefix",
        &path,
    ];
    if !npm.is_empty() {
        run(Path::new("."), "npm", &[&install[..], npm].concat());
    }
    if !pypi.is_empty() {
        run(dir, "python3", &["-m", "venv", "venv"]);
        run(dir, "venv/bin/pip", &[&["install", "--quiet"][..], pypi].concat());
    }
    fs::write(&stamp, wanted).expect("note what is installed");
}

fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(dir).output();
    let output = output.expect("start the program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}
