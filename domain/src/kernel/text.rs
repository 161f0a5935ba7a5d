//! Canonical forms, made once at the edge: whatever is compared or unique is compared in these forms only.

use unicode_normalization::UnicodeNormalization;

use super::{Problem, Result, Rng};

/// Longest slug, characters. Source: design of the API, ids.
pub const MAX_SLUG_LEN: usize = 63;
/// Longest display name, characters.
pub const MAX_NAME_LEN: usize = 200;
/// Longest description, characters.
pub const MAX_DESCRIPTION_LEN: usize = 2000;
/// Longest e-mail address, bytes. Source: RFC 5321 §4.5.3.1.3.
pub const MAX_EMAIL_LEN: usize = 254;

/// A slug: `[a-z0-9][a-z0-9-]{0,62}`. Ids have an underscore, so a slug never looks like one.
pub fn is_slug(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= MAX_SLUG_LEN && !text.starts_with('-') && !text.is_empty() && text.bytes().all(inner)
}

/// # Errors
/// `invalid_field` naming `field`.
pub fn slug(field: &'static str, text: &str) -> Result<String> {
    if is_slug(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::field(
        field,
        "format",
        "must be 1 to 63 of a-z, 0-9 and -, not starting with -",
    )
    .into())
}

/// A slug made from a display name: `Acme, Inc.` becomes `acme-inc`. `None` when nothing of it is left.
pub fn slug_from(name: &str) -> Option<String> {
    let mut slug = String::with_capacity(name.len());
    for letter in name.chars().map(|c| c.to_ascii_lowercase()) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX_SLUG_LEN - 8);
    let slug = slug.trim_end_matches('-').to_owned();
    (!slug.is_empty()).then_some(slug)
}

/// A slug that nobody is likely to have, made from one that is taken: `acme-inc` becomes `acme-inc-3f09ab`.
///
/// # Errors
/// [`super::Error::Internal`] when there are no random numbers.
pub fn with_suffix(slug: &str, rng: &Rng) -> Result<String> {
    Ok(format!("{slug}-{}", hex::encode(rng.bytes::<3>()?)))
}

/// A display name: trimmed, 1 to 200 characters, no control characters.
///
/// # Errors
/// `invalid_field` naming `field`.
pub fn name(field: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::field(field, "required", "must not be empty").into());
    }
    short(field, text, MAX_NAME_LEN)
}

/// One line of text that may be empty: at most `max` characters, no control characters.
///
/// # Errors
/// `invalid_field` naming `field`.
pub fn short(field: &'static str, text: &str, max: usize) -> Result<String> {
    if text.chars().count() > max {
        return Err(Problem::field(field, "too_long", format!("must have at most {max} characters")).into());
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::field(field, "format", "must not contain control characters").into());
    }
    Ok(text.to_owned())
}

/// Text of several lines: at most `max` characters, no U+0000.
///
/// # Errors
/// `invalid_field` naming `field`.
pub fn long(field: &'static str, text: &str, max: usize) -> Result<String> {
    if text.chars().count() > max {
        return Err(Problem::field(field, "too_long", format!("must have at most {max} characters")).into());
    }
    if text.contains('\0') {
        return Err(Problem::field(field, "format", "must not contain U+0000").into());
    }
    Ok(text.to_owned())
}

/// An e-mail address: as typed for display, and in the form that is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    pub display: String,
    /// Lower case throughout. Local parts are case-sensitive on paper and on no mail server that people use; two
    /// accounts that differ in case only would be an impersonation.
    pub canonical: String,
}

/// # Errors
/// `invalid_field` naming `field`.
pub fn email(field: &'static str, text: &str) -> Result<Email> {
    let display = text.trim();
    let wrong = || Problem::field(field, "format", "must be an e-mail address such as dana@example.com");
    let (local, domain) = display.rsplit_once('@').ok_or_else(wrong)?;
    let ascii = |part: &str| part.bytes().all(|b| b.is_ascii_graphic());
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && ascii(local)
        && !local.contains(['@', '"', '(', ')', '<', '>', ',', ';', ':', '\\', '[', ']']);
    let dots_fit = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let domain_fits = domain.contains('.') && domain.split('.').all(label_fits);
    if !(local_fits && dots_fit && domain_fits && display.len() <= MAX_EMAIL_LEN) {
        return Err(wrong().into());
    }
    Ok(Email {
        canonical: display.to_ascii_lowercase(),
        display: display.to_owned(),
    })
}

/// The form in which the name that somebody signs in with is looked up: compatibility variants, case and blanks around
/// it do not make another name.
pub fn login_name(text: &str) -> String {
    let composed: String = text.trim().nfkc().collect();
    composed.to_lowercase().trim().to_owned()
}

/// A pattern of `LIKE … ESCAPE '!'` for text in lower case that contains this, taken to the letter.
pub fn containing(search: &str) -> String {
    let literal = |c: char| match c {
        '%' | '_' | '!' => vec!['!', c],
        _ => vec![c],
    };
    let search = search.to_lowercase();
    format!("%{}%", search.chars().flat_map(literal).collect::<String>())
}

/// How long a text is inside the quotes of JSON, bytes.
pub fn json_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_taken_to_the_letter() {
        assert_eq!(containing("Dana"), "%dana%");
        assert_eq!(containing("50%_!"), "%50!%!_!!%");
    }

    #[test]
    fn a_login_name_is_one_however_it_is_written() {
        for text in [
            "dana@example.com",
            " Dana@EXAMPLE.com\n",
            "\u{ff24}ana@example.com",
            "dana@\u{ff45}xample.com",
            "\u{3000}dana@example.com",
        ] {
            assert_eq!(login_name(text), "dana@example.com", "{text}");
        }
        assert_ne!(
            login_name("d\u{430}na@example.com"),
            "dana@example.com",
            "a look-alike is another name"
        );
    }

    #[test]
    fn slugs_are_made_from_names() {
        assert_eq!(slug_from("Acme, Inc.").as_deref(), Some("acme-inc"));
        assert_eq!(slug_from("  ÄÖ  "), None);
        assert!(slug("slug", "web-2").is_ok());
        for bad in ["", "-a", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(slug("slug", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_length_of_a_text_in_json_is_known_beforehand() {
        let ascii: String = (0..128_u8).map(char::from).collect();
        for text in ["", "value", "\"\\/\u{7f}", "grüße 😀", &ascii] {
            assert_eq!(
                json_len(text) + 2,
                serde_json::to_string(text).unwrap().len(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn case_variants_of_an_address_are_one() {
        assert_eq!(
            email("email", " Dana@Example.com ").unwrap().canonical,
            "dana@example.com"
        );
        for bad in [
            "",
            "dana",
            "dana@",
            "@example.com",
            "dana@example",
            "da na@example.com",
            "dana@exa_mple.com",
            "d..a@example.com",
            "a@b@example.com",
            "dana\0@example.com",
            "dána@example.com",
        ] {
            assert!(email("email", bad).is_err(), "{bad}");
        }
    }
}
