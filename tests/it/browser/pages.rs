//! The pages that links in mails lead to.

use harness::{Backend, TestApp};

use super::window::Window;

#[test]
fn the_pages_of_links_look_right_and_break_no_rule_of_their_own() {
    harness::app::run(async {
        let t = TestApp::spawn(Backend::Sqlite).await;
        let window = Window::open(&t);
        for (path, said) in [
            ("/reset-password#token=of-nobody", "New password"),
            ("/invite#token=of_nobody", "There is no such invitation"),
            (
                "/verify-email#token=of-nobody",
                "This link was used already or is too old",
            ),
            ("/billing", "You can close this page"),
        ] {
            window.goes(&format!("{}{path}", t.url)).await;
            window.sees(said).await;
            let (name, _) = path.split_once('#').unwrap_or((path, ""));
            window.looks_right(name.trim_start_matches('/')).await;
        }
        window.closes().await;
    });
}
