//! Properties that hold for any set of secrets and for any text.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{pairs, write_one};
use super::*;

/// What each format is known to trip over.
const TOKENS: [&str; 36] = [
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "${",
    "}",
    "{",
    ":-",
    "#",
    " #",
    " ",
    "  ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "=",
    "a",
    "n",
    "r",
    "x41",
    "é",
    "🦀",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{85}",
    "\u{a0}",
    "\u{b}",
    "\u{1b}",
    "\u{7f}",
    "\u{fffe}",
    "\u{10ffff}",
    "null",
    "1e3",
];

fn values() -> impl Strategy<Value = String> {
    let nasty = vec(select(&TOKENS[..]), 0..8).prop_map(|tokens| tokens.concat());
    let any = any::<String>().prop_map(|text| text.replace('\0', ""));
    prop_oneof![4 => nasty, 1 => any]
}

#[test]
fn a_text_is_made_in_one_allocation() {
    let long = "it's\t\u{1}🦀".repeat(500);
    for format in Format::ALL.iter().copied() {
        let text = write_one(format, "KEY", &long).unwrap();
        assert_eq!(text.len(), text.capacity(), "{}", format.as_str());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_back(values in vec(values(), 0..6)) {
        let keys: Vec<_> = (0..values.len()).map(|n| format!("K_{n}")).collect();
        for format in Format::ALL.iter().copied() {
            let set = keys.iter().map(String::as_str).zip(values.iter().map(String::as_str));
            let held: Vec<_> = set.filter(|(key, value)| write_one(format, key, value).is_ok()).collect();
            match format {
                Format::Json | Format::Yaml | Format::Shell | Format::K8sSecret => prop_assert_eq!(held.len(), keys.len()),
                Format::DockerEnv => prop_assert!(values.iter().filter(|value| !value.contains('\n')).count() == held.len()),
                Format::Dotenv => prop_assert!(values.iter().filter(|value| !value.contains(['\'', '\\', '\r', '$'])).count() <= held.len()),
            }
            let text = write(format, held.iter().copied(), "x").unwrap();
            let read = pairs(format, &text);
            let read: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(read, held, "{} {:?}", format.as_str(), text);
        }
    }

    #[test]
    fn no_text_makes_reading_panic_or_repeat_it(
        parts in vec(prop_oneof![
            2 => select(&TOKENS[..]),
            1 => select(&["K", "A=", "export ", "B: ", "\"C\":", ",", "- ", "data:\n ", "kind: Secret\n", "? ", "&a", "*a", "!", "|", "\0", "[", "]"][..]),
            1 => Just("hünter2"),
        ], 0..24),
        other in any::<String>(),
    ) {
        for text in [parts.concat(), other] {
            for format in Format::ALL.iter().copied() {
                if let Err(error) = read(format, &text) {
                    let mut shown = String::new();
                    write!(shown, "{error} {error:?} {}", error.fault.as_str()).unwrap();
                    prop_assert!(!shown.contains("ünter"), "{}", shown);
                    prop_assert!(error.line >= 1 && error.line <= text.split(['\n', '\r']).count() + 1);
                }
            }
        }
    }
}
