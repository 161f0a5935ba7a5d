use super::*;

/// Of `printf 'strongroom-root-key-of-32-bytes!'`.
const KEY: &str = "c3Ryb25ncm9vbS1yb290LWtleS1vZi0zMi1ieXRlcyE=";

fn parse(text: &str) -> Result<RootKeyring, KeyringError> {
    RootKeyring::parse(&Secret::new(text.to_owned()))
}

fn refusal(text: &str) -> KeyringError {
    parse(text).err().unwrap()
}

fn key(byte: u8) -> String {
    engine(&STANDARD).encode([byte; KEY_LEN])
}

#[test]
fn one_key_is_read_in_either_alphabet_with_or_without_padding() {
    // These bytes need the letters in which the alphabets differ.
    let bytes = [0xfb; KEY_LEN];
    let padded = engine(&STANDARD).encode(bytes);
    let url_safe = engine(&URL_SAFE).encode(bytes);
    assert!(padded.contains('+') && url_safe.contains('-'));
    let id = parse(&padded).unwrap().primary().id().to_owned();
    for text in [
        padded.trim_end_matches('='),
        &url_safe,
        url_safe.trim_end_matches('='),
        &format!(" {padded}\n"),
    ] {
        assert_eq!(parse(text).unwrap().primary().id(), id, "{text}");
    }
}

#[test]
fn the_id_of_a_single_key_comes_from_the_key() {
    let ring = parse(KEY).unwrap();
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["k9c512387"]);
    assert_ne!(parse(&key(1)).unwrap().primary().id(), ring.primary().id());
}

#[test]
fn the_first_of_a_list_is_primary() {
    let ring = parse(&format!("new-2: {} , old_1:{}", key(2), key(1))).unwrap();
    assert_eq!(ring.primary().id(), "new-2");
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["new-2", "old_1"]);
    assert!(ring.get("old_1").is_some());
    assert!(ring.get("old").is_none());
}

#[test]
fn refuses_what_is_no_key_and_says_how_to_make_one() {
    let of_len = |len| engine(&STANDARD).encode(vec![7; len]);
    for (text, len) in [
        (of_len(16), 16),
        (of_len(31), 31),
        (of_len(33), 33),
        (of_len(64), 64),
        // 32 bytes as hexadecimal text, and 32 letters: both are base64 of something else.
        ("ab".repeat(32), 48),
        ("a".repeat(32), 24),
    ] {
        let error = refusal(&text);
        assert_eq!(error, KeyringError::WrongLength { position: 1, len });
        assert!(error.to_string().contains("openssl rand -base64 32"));
    }
    assert_eq!(refusal("correct horse battery staple"), KeyringError::NotBase64(1));
    assert_eq!(refusal(&format!("{}!", key(1))), KeyringError::NotBase64(1));
    assert_eq!(refusal(" \n"), KeyringError::Missing);
}

#[test]
fn refuses_lists_that_are_not_clear() {
    let (one, two) = (key(1), key(2));
    for (text, error) in [
        (format!("{one},{two}"), KeyringError::NoId(1)),
        (format!("a:{one},{two}"), KeyringError::NoId(2)),
        (format!("a:{one},"), KeyringError::NoId(2)),
        (format!("a:{one},a:{two}"), KeyringError::DuplicateId(2)),
        (format!("a:{one},b:{one}"), KeyringError::DuplicateKey(2)),
        (format!(":{one}"), KeyringError::BadId(1)),
        (format!("A:{one}"), KeyringError::BadId(1)),
        (format!("a b:{one}"), KeyringError::BadId(1)),
        (format!("{}:{one}", "a".repeat(33)), KeyringError::BadId(1)),
        ("a:".to_owned(), KeyringError::WrongLength { position: 1, len: 0 }),
    ] {
        assert_eq!(refusal(&text), error);
    }
    assert!(parse(&format!("{}:{one}", "a".repeat(32))).is_ok());
}

#[test]
fn no_refusal_repeats_the_text() {
    let canary = "canary0canary0canary0";
    for text in [
        canary.to_owned(),
        format!("{canary}:{canary}"),
        format!("{canary}X:{canary}"),
        format!("a:{canary},b"),
    ] {
        let error = refusal(&text);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn generates_what_it_reads() {
    let rng = Rng::seeded(1);
    let (one, two) = (
        RootKeyring::generate(&rng).unwrap(),
        RootKeyring::generate(&rng).unwrap(),
    );
    assert_eq!(one.expose().len(), 44);
    assert_ne!(
        RootKeyring::parse(&one).unwrap().primary().id(),
        RootKeyring::parse(&two).unwrap().primary().id()
    );
}

#[test]
fn check_values_tell_keys_and_ids_apart() {
    let ring = parse(&format!("a:{},b:{}", key(1), key(2))).unwrap();
    assert_ne!(ring.check_value("a"), ring.check_value("b"));
    assert_ne!(
        ring.check_value("a"),
        parse(&format!("a:{}", key(2))).unwrap().check_value("a")
    );
    assert_ne!(
        ring.check_value("a"),
        parse(&format!("b:{}", key(1))).unwrap().check_value("b")
    );
    assert_eq!(ring.check_value("c"), None);
    // Stored in databases: this value must never change.
    assert_eq!(
        hex::encode(parse(KEY).unwrap().primary().check_value()),
        "9ece0855b927bbd5"
    );
}

#[test]
fn unwraps_with_the_key_that_wrapped_and_in_the_same_place_only() {
    let rng = Rng::seeded(2);
    let old = parse(&format!("a:{}", key(1))).unwrap();
    let (id, wrapped) = old.wrap(&rng, b"place", &[42; 32]).unwrap();
    assert_eq!(id, "a");
    let rotated = parse(&format!("b:{},a:{}", key(2), key(1))).unwrap();
    assert!(rotated.unwrap("a", b"place", &wrapped).unwrap().expose() == &[42; 32]);
    assert_eq!(rotated.wrap(&rng, b"place", &[42; 32]).unwrap().0, "b");

    assert!(rotated.unwrap("b", b"place", &wrapped).is_err());
    assert!(rotated.unwrap("c", b"place", &wrapped).is_err());
    assert!(rotated.unwrap("a", b"other", &wrapped).is_err());
    let renamed = parse(&format!("z:{}", key(1))).unwrap();
    assert!(
        renamed.unwrap("z", b"place", &wrapped).is_err(),
        "the id of the root key is bound"
    );
}

#[test]
fn damaged_wrappings_are_refused() {
    let rng = Rng::seeded(3);
    let keyring = parse(KEY).unwrap();
    let (id, wrapped) = keyring.wrap(&rng, b"place", &[42; 32]).unwrap();
    for bit in 0..wrapped.len() * 8 {
        let mut flipped = wrapped.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(keyring.unwrap(&id, b"place", &flipped).is_err(), "bit {bit}");
    }
    for len in 0..wrapped.len() {
        assert!(keyring.unwrap(&id, b"place", &wrapped[..len]).is_err(), "{len}");
    }
}
