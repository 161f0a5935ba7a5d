//! Reads a `.env` file by the common rules: comments, `export`, single quotes that keep everything, double quotes with
//! escapes, and values of several lines.

use std::collections::BTreeMap;

/// The entries of a file.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let (key, value) = rest.split_once('=').expect("an entry has an equals sign");
        let key = key.trim().trim_start_matches("export ").to_owned();
        let (value, left) = match value.chars().next() {
            Some('\'') => single(&value[1..]),
            Some('"') => double(&value[1..]),
            _ => plain(value),
        };
        assert!(entries.insert(key.clone(), value).is_none(), "{key} is there twice");
        rest = after_line(left);
    }
    entries
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

fn plain(text: &str) -> (String, &str) {
    let line = text.split('\n').next().unwrap_or_default();
    let value = line.split(" #").next().unwrap_or_default().trim();
    (value.to_owned(), &text[line.len()..])
}

fn single(text: &str) -> (String, &str) {
    let (value, rest) = text.split_once('\'').expect("a closing quote");
    (value.to_owned(), rest)
}

fn double(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match letters.next().expect("something is escaped").1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            other => value.push(other),
        }
    }
    panic!("no closing quote");
}

#[test]
fn the_example_holds_what_env_files_hold() {
    let entries = parse(super::ENV_FILE);
    assert!(entries.len() >= 40, "{}", entries.len());
    let value = |key: &str| entries[key].as_str();
    assert_eq!(value("EMPTY"), "");
    assert_eq!(value("APP_DEBUG"), "false");
    assert_eq!(value("DB_OPTIONS"), "-c statement_timeout=5000");
    assert_eq!(value("DB_SCHEMA"), "public#not-a-comment");
    assert_eq!(value("DB_PASSWORD"), "pa$$word#with=every\"thing");
    assert_eq!(value("BACKSLASHES"), r"C:\Program Files\Acme\bin\");
    assert_eq!(value("DOUBLE_QUOTED"), "a \"quoted\" word, a tab\tand a line\nbreak");
    assert_eq!(value("DOLLAR"), "price: $5 for ${ITEM}");
    assert_eq!(value("WINDOWS_LINES"), "one\r\ntwo\r\n");
    assert_eq!(value("MULTI_LINE").lines().count(), 4);
    assert_eq!(value("LAST"), "no newline at the end of this file");
    assert!(value("CERTIFICATE").ends_with("-----END CERTIFICATE-----\n"));
    assert!(value("EMOJI").contains('\u{1F511}') && value("BYTE_ORDER_MARK").starts_with('\u{FEFF}'));
}
