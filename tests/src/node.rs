//! Programs of Node that stand for the servers of others.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::servers::{bound_to_us, spawn_for_life};

/// A running program; it ends when dropped, and with us.
pub struct Node {
    /// Where it listens, as it said itself: `http://127.0.0.1:41234`.
    pub url: String,
    child: Child,
}

impl Node {
    /// Starts a script of `tests/fixtures`, which prints where it listens. `modules` is the folder of packages that it
    /// needs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(script: &str, modules: Option<&Path>, arguments: &[&str]) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut command = bound_to_us(Path::new("node"), "KILL");
        command.arg(fixtures.join(script)).args(arguments);
        if let Some(modules) = modules {
            command.env("NODE_PATH", modules.join("node_modules"));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn_for_life(command).expect("start Node");
        let said = child.stdout.take().expect("its output");
        let (mut url, mut said) = (String::new(), BufReader::new(said));
        said.read_line(&mut url).expect("where it listens");
        // Whoever prints to a pipe that is closed dies of it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        assert!(url.starts_with("http://127.0.0.1:"), "{script} did not start: {url}");
        Self {
            url: url.trim().to_owned(),
            child,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
