//! An authenticator app that is none of ours: OATH Toolkit's `oathtool`.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::process::Command;
use std::time::Duration;

use domain::kernel::{Clock, Timestamp};
use serde_json::json;

use crate::client::Client;

/// One account in an app.
#[derive(Clone)]
pub struct Authenticator {
    /// The seed in base32, as a person types it.
    pub secret: String,
    clock: Clock,
}

impl Authenticator {
    pub fn new(secret: &str, clock: &Clock) -> Self {
        Self {
            secret: secret.to_owned(),
            clock: clock.clone(),
        }
    }

    /// Prepares a second factor for whoever the client is.
    pub async fn prepare(client: &Client, clock: &Clock) -> Self {
        let prepared = client.post("/v1/auth/2fa/setup", json!({})).await.expect(200);
        Self::new(&prepared.at("/secret"), clock)
    }

    /// Switches a second factor on; returns the recovery codes too. The code of this moment is used then.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn enable(client: &Client, clock: &Clock) -> (Self, Vec<String>) {
        let app = Self::prepare(client, clock).await;
        let code = json!({ "code": app.code() });
        let enabled = client.post("/v1/auth/2fa/enable", code).await.expect(200).json();
        let codes = enabled["recovery_codes"].as_array().expect("recovery codes");
        let text = |code: &serde_json::Value| code.as_str().expect("a code").to_owned();
        (app, codes.iter().map(text).collect())
    }

    /// What the app shows now.
    pub fn code(&self) -> String {
        self.code_at(self.clock.now())
    }

    /// What it shows in half a minute: the server takes it already, so nobody waits after a code was used.
    pub fn next_code(&self) -> String {
        self.code_at(self.clock.now() + Duration::from_secs(30))
    }

    /// What it shows at an instant.
    ///
    /// # Panics
    /// When there is no `oathtool`.
    pub fn code_at(&self, at: Timestamp) -> String {
        let output = Command::new("oathtool")
            .args(["--base32", "--totp", "--now", &format!("@{}", at.secs()), "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                use std::io::Write;
                if let Some(stdin) = child.stdin.take().as_mut() {
                    stdin.write_all(self.secret.as_bytes())?;
                }
                child.wait_with_output()
            })
            .expect("oathtool runs; tests/run.sh installs it");
        assert!(output.status.success(), "oathtool: {}", output.status);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The seed's bytes in upper-case hex.
    ///
    /// # Panics
    /// When the secret is no base32.
    pub fn seed_in_hex(&self) -> String {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let digit = |letter: char| ALPHABET.find(letter).expect("base32");
        let five = |number: usize| (0..5).rev().map(move |bit| u8::from(number >> bit & 1 == 1));
        let bits: Vec<u8> = self.secret.chars().flat_map(|letter| five(digit(letter))).collect();
        let nibbles = bits
            .chunks_exact(4)
            .map(|bits| bits.iter().fold(0_u32, |all, bit| all << 1 | u32::from(*bit)));
        nibbles
            .filter_map(|nibble| char::from_digit(nibble, 16))
            .collect::<String>()
            .to_uppercase()
    }

    /// A code that is none of now and the steps beside it.
    pub fn wrong_code(&self) -> String {
        let near: Vec<_> = [-60_i64, -30, 0, 30, 60]
            .into_iter()
            .map(|seconds| self.code_at(Timestamp(self.clock.now().0 + seconds * 1_000_000)))
            .collect();
        let mut wrong = (0..10).map(|digit| digit.to_string().repeat(6));
        wrong.find(|code| !near.contains(code)).expect("a wrong code")
    }
}
