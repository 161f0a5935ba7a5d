//! Where somebody goes on after signing in: a path of this instance, and nowhere else.

use url::Url;

use crate::kernel::{Problem, Result};

/// Where it goes when nobody says.
pub const DEFAULT: &str = "/docs";
/// Longest path, bytes.
const MAX_LEN: usize = 1024;

/// A path of this instance.
///
/// # Errors
/// `invalid_field` naming `next`.
pub fn local(next: Option<String>) -> Result<String> {
    let Some(next) = next.filter(|next| !next.is_empty()) else {
        return Ok(DEFAULT.to_owned());
    };
    if is_local(&next) {
        return Ok(next);
    }
    Err(Problem::field("next", "format", "must be a path of this instance, such as /docs").into())
}

/// Browsers read `//host` and `/\host` as another host, and drop tabs and line feeds before they do.
fn is_local(next: &str) -> bool {
    let plain = next.len() <= MAX_LEN && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let here = Url::parse("https://here.invalid/");
    let stays = here.is_ok_and(|here| here.join(next).is_ok_and(|there| there.origin() == here.origin()));
    plain && next.starts_with('/') && !next.starts_with("//") && stays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_instance_are_gone_to() {
        for good in [
            "/",
            "/docs",
            "/device?user_code=BCDF-GHJK",
            "/a/b#c",
            "/?next=https://evil.example/",
        ] {
            assert_eq!(local(Some(good.to_owned())).unwrap(), good);
        }
        assert_eq!(local(None).unwrap(), DEFAULT);
        assert_eq!(local(Some(String::new())).unwrap(), DEFAULT);
        for bad in [
            "https://evil.example/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/%0d%0a\r\nSet-Cookie: a=b",
            " /docs",
            "docs",
            "javascript:alert(1)",
            "/ä",
            &format!("/{}", "a".repeat(1024)),
        ] {
            assert!(local(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
