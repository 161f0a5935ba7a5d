//! What people do in a browser: headless Chromium signs in, agrees, lets devices in and comes from an identity provider.
//! Each page is looked at on its way: wide and as narrow as a phone, in the light and in the dark.

mod consent;
mod devices;
mod docs;
mod pages;
mod single_sign_on;
mod window;

use harness::Person;
use serde_json::json;

use self::window::Window;
use crate::oauth::{Partner, partner};

/// A third party's application on this machine, which has no secret and listens where the window comes back to.
async fn portal(owner: &Person, window: &Window) -> Partner {
    let body = json!({
        "name": "Pipeline Portal", "homepage": "https://portal.example.com/", "confidential": false,
        "redirect_uris": ["http://127.0.0.1/callback"],
    });
    Partner {
        redirect: window.callback(),
        ..partner(owner, body).await
    }
}
