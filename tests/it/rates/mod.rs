//! How often somebody may call.

mod credentials;
mod flood;
mod headers;

use harness::app::Options;
use harness::{Answer, Backend, TestApp};

/// An application whose limits are those of the table times `scale`, and whose clock stands still.
async fn limited(backend: Backend, scale: &str) -> TestApp {
    let options = Options::new(backend).stopped_clock();
    TestApp::start(options.with("STRONGROOM_RATE_LIMIT_SCALE", scale)).await
}

/// Limit and remaining, as an answer tells them.
fn told(answer: &Answer) -> (u32, u32) {
    let number = |name: &str| answer.header(name).and_then(|value| value.parse().ok());
    let limit = number("x-ratelimit-limit").expect("a limit");
    (limit, number("x-ratelimit-remaining").expect("what remains"))
}
