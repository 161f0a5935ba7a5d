//! The cookies of a way to a provider: the browser's half, and a sign-in that waits for its second factor.

use domain::crypto::Token;
use domain::sso::attempt::TTL;
use poem::{FromRequest, Request, RequestBody};

use crate::app::App;
use crate::oauth::visitor;

/// Names with and without TLS. Behind TLS the other one is not read: pages of a neighbouring host could have set it.
const NAMES: [&str; 2] = ["__Host-strongroom-sso", "strongroom-sso"];
/// Seconds that a sign-in waits for its second factor.
const WAITS: u64 = 300;

/// The browser's half, by either name.
pub struct Half([Option<String>; 2]);

impl<'a> FromRequest<'a> for Half {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(NAMES.map(|name| visitor::cookie(request, name))))
    }
}

impl Half {
    /// The half that counts here.
    pub fn of(&self, app: &App) -> Option<&str> {
        let [host, plain] = &self.0;
        if app.is_https() {
            host.as_deref()
        } else {
            plain.as_deref()
        }
    }
}

fn set(app: &App, [host, plain]: [&str; 2], value: &str, seconds: u64) -> String {
    let (name, secure) = if app.is_https() {
        (host, "; Secure")
    } else {
        (plain, "")
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// The cookie that keeps the browser's half.
pub fn keep(app: &App, half: &str) -> String {
    set(app, NAMES, half, TTL.as_secs())
}

/// The cookie that goes on to the second factor.
pub fn pending(app: &App, challenge: &Token) -> String {
    set(app, visitor::PENDING, challenge.expose(), WAITS)
}
