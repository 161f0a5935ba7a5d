//! What each format reads, writes and refuses.

use super::*;

pub(super) fn write_one(format: Format, key: &str, value: &str) -> Result<String, CannotHold> {
    write(format, [(key, value)].into_iter(), "acme-prod")
}

pub(super) fn pairs(format: Format, text: &str) -> Vec<(String, String)> {
    let entries = read(format, text).unwrap_or_else(|error| panic!("{} {text:?}: {error}", format.as_str()));
    entries
        .into_iter()
        .map(|entry| (entry.key, entry.value.expose().clone()))
        .collect()
}

fn value(format: Format, text: &str) -> String {
    let [(_, value)] = pairs(format, text).try_into().unwrap();
    value
}

fn fault(format: Format, text: &str) -> (Fault, usize, Option<String>) {
    let error = read(format, text).err().unwrap_or_else(|| panic!("{text:?} was read"));
    (error.fault, error.line, error.key)
}

#[test]
fn names_of_formats_lead_back_to_them() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.as_str()), Some(*format));
    }
    assert_eq!(Format::parse("toml"), None);
}

#[test]
fn all_formats_keep_order_and_take_an_empty_set() {
    for format in Format::ALL.iter().copied() {
        assert_eq!(pairs(format, &write(format, [].into_iter(), "x").unwrap()), []);
        let set = [("Z", "1"), ("NO", " a=b "), ("_a", ""), ("A", "=")];
        let text = write(format, set.into_iter(), "x").unwrap();
        for text in [text.clone(), format!("\u{feff}{text}"), text.replace('\n', "\r\n")] {
            let read = pairs(format, &text);
            let read: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(read, set, "{text:?}");
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    let twice = [
        (Format::Dotenv, "A=1\nA=2"),
        (Format::Json, "{\"A\":\"1\",\n\"A\":\"2\"}"),
        (Format::Yaml, "A: a\nA: b"),
        (Format::Shell, "A=1\nexport A=2"),
        (Format::DockerEnv, "A=1\nA=2"),
    ];
    for (format, text) in twice {
        assert_eq!(fault(format, text), (Fault::Duplicate, 2, Some("A".to_owned())));
    }
    let manifest = "apiVersion: v1\nkind: Secret\ndata: {A: YQ==}\nstringData: {A: a}";
    let twice = (Fault::Duplicate, 4, Some("A".to_owned()));
    assert_eq!(fault(Format::K8sSecret, manifest), twice);
}

#[test]
fn an_invalid_key_is_not_repeated() {
    let invalid = [
        (Format::Dotenv, "hünter=1"),
        (Format::Json, "{\"hünter\":\"1\"}"),
        (Format::Yaml, "hünter: a"),
        (Format::Shell, "export a.b=1"),
        (Format::DockerEnv, "hün ter=1"),
        (Format::K8sSecret, "data: {hünter: YQ==}"),
    ];
    for (format, text) in invalid {
        assert_eq!(fault(format, text), (Fault::Key, 1, None));
    }
}

#[test]
fn values_are_limited() {
    for format in Format::ALL.iter().copied() {
        let text = write_one(format, "K", &"v".repeat(60 * 1024)).unwrap();
        assert_eq!(value(format, &text).len(), 60 * 1024);
    }
    let long = format!("K={}", "v".repeat(MAX_VALUE_BYTES + 1));
    assert_eq!(fault(Format::Dotenv, &long).0, Fault::TooLong);
    assert_eq!(fault(Format::Json, r#"{"K":"a\u0000"}"#).0, Fault::Nul);
    assert_eq!(fault(Format::Yaml, r#"K: "a\0""#).0, Fault::Nul);
    assert!(write_one(Format::Json, "K", "\0").is_err());
    assert!(write_one(Format::Shell, "K=1;rm", "").is_err());
}

#[test]
fn dotenv_reads_the_usual_dialect() {
    let cases = [
        ("K=v", "v"),
        ("export K=v", "v"),
        ("  export\tK = v  # note", "v"),
        ("# note\n\n K=v\n", "v"),
        ("K=", ""),
        ("K= # note", ""),
        ("K=a b\r\n", "a b"),
        ("K='a # b'#note", "a # b"),
        (r"K='it\'s \n \\ $x'", r"it's \n \\ $x"),
        (r#"K="a\n\t\"\\\$x \d""#, "a\n\t\"\\$x \\d"),
        ("K=`a\\`", "a\\"),
        ("K=\"a\r\nb\rc\"", "a\nb\nc"),
        ("K=a'b\"c", "a'b\"c"),
        ("K=a=b==", "a=b=="),
        ("K=${X} $Y", "${X} $Y"),
    ];
    for (text, wanted) in cases {
        assert_eq!(value(Format::Dotenv, text), wanted, "{text:?}");
    }
    let k = || Some("K".to_owned());
    assert_eq!(fault(Format::Dotenv, "\nK=a#b"), (Fault::Ambiguous, 2, k()));
    assert_eq!(fault(Format::Dotenv, "K=#b").0, Fault::Ambiguous);
    assert_eq!(fault(Format::Dotenv, "A=1\nK='a"), (Fault::Unterminated, 2, k()));
    assert_eq!(fault(Format::Dotenv, "K='a' b"), (Fault::AfterValue, 1, k()));
    assert_eq!(fault(Format::Dotenv, "K"), (Fault::NoValue, 1, None));
    assert_eq!(
        fault(Format::Dotenv, "A=1\nB='x\ny'\nmy password"),
        (Fault::NoValue, 4, None)
    );
}

#[test]
fn dotenv_chooses_quotes_that_all_readers_take_alike() {
    let text = |value| write_one(Format::Dotenv, "K", value);
    assert_eq!(text("").unwrap(), "K=''\n");
    assert_eq!(text(r#"a $b # "c" \n"#).unwrap(), "K='a $b # \"c\" \\n'\n");
    assert_eq!(text("it's\n#1\r").unwrap(), "K=\"it's\n#1\\r\"\n");
    assert_eq!(text(r"C:\dir\").unwrap(), "K=C:\\dir\\\n");
    for lost in [
        "${A}",
        "${A:-b}",
        "${${A:-\n}",
        "'$",
        "'\"#",
        "'\"\n",
        " \\",
        "\"\\",
        "\r\\",
    ] {
        assert!(text(lost).is_err(), "{lost:?}");
    }
    assert!(text("${A").is_ok() && text("${A:b}").is_ok() && text("$A $(b)").is_ok());
    assert!(write_one(Format::Dotenv, "__proto__", "a").is_err());
}

#[test]
fn json_takes_strings_only() {
    for bad in ["1", "1e999", "true", "null", "[\"a\"]", "{\"B\":\"a\"}"] {
        let text = format!("{{\n\"A\":\"a\",\n\"K\": {bad}}}");
        assert_eq!(fault(Format::Json, &text), (Fault::NotAString, 3, Some("K".to_owned())));
    }
    for bad in ["", "[]", "\"a\"", "null"] {
        assert_eq!(fault(Format::Json, bad).0, Fault::NotAMapping, "{bad}");
    }
    for bad in [
        "{",
        "{\"A\":\"a\"} x",
        "{\"A\":\"\\ud800\"}",
        "{A:\"a\"}",
        "{\"A\":\"a\nb\"}",
    ] {
        assert_eq!(fault(Format::Json, bad).0, Fault::Syntax, "{bad}");
    }
    assert_eq!(value(Format::Json, r#"{"K":"\ud83e\udd80\/\u0041"}"#), "🦀/A");
}

#[test]
fn yaml_takes_strings_only() {
    let typed = "1 -1 +1 0x1F 0o17 017 0b11 1_000 1.5 .5 1. 1e3 -1.5E-3 .inf -.INF .NaN 1:30 190:20:30.15 true False \
                 yes NO on Off y N null NULL ~ = << 2026-01-31 2026-1-3T10:00:00Z";
    for plain in typed.split(' ') {
        let text = format!("A: a\nK: {plain}");
        assert_eq!(
            fault(Format::Yaml, &text),
            (Fault::NotAString, 2, Some("K".to_owned())),
            "{plain}"
        );
        assert_eq!(value(Format::Yaml, &format!("K: '{plain}'")), plain);
        assert_eq!(value(Format::Yaml, &format!("K: !!str {plain}")), plain);
    }
    for plain in "1.2.3 10.0.0.1 0xyz a1 1a e5 _1 nully 12:ab 2026-01 - _ 1-2-3 +"
        .split(' ')
        .filter(|plain| *plain != "-")
    {
        assert_eq!(value(Format::Yaml, &format!("K: {plain}")), plain);
    }
    assert_eq!(value(Format::Yaml, "K: |\n  a\n  b\n"), "a\nb\n");
    assert_eq!(value(Format::Yaml, "---\nK: >-\n  a\n  b\n...\n"), "a b");
    assert_eq!(value(Format::Yaml, "NO: a"), "a");
    for (bad, wanted) in [
        ("K:", Fault::NotAString),
        ("K: [a]", Fault::NotAString),
        ("K: {A: a}", Fault::NotAString),
        ("K: !!binary YQ==", Fault::Alias),
        ("K: !env a", Fault::Alias),
        ("A: &a b\nK: *a", Fault::Alias),
        ("- a", Fault::NotAMapping),
        ("a", Fault::NotAMapping),
        ("K: a\n---\nA: b", Fault::SeveralDocuments),
        ("K: 'a", Fault::Syntax),
        ("[a]: b", Fault::Key),
    ] {
        assert_eq!(fault(Format::Yaml, bad).0, wanted, "{bad:?}");
    }
    assert_eq!(pairs(Format::Yaml, "# nothing\n---\n"), []);
}

#[test]
fn shell_reads_literal_assignments_only() {
    for (text, wanted) in [
        ("#!/bin/sh\nexport K='a b'", "a b"),
        (r#"K='it'\''s'" \$x \d"\ y"#, r"it's $x \d y"),
        ("K=a\\\nb # note\r\n", "ab"),
        ("K='a\r\nb'", "a\r\nb"),
        ("K=", ""),
        ("K=a#b", "a#b"),
    ] {
        assert_eq!(value(Format::Shell, text), wanted, "{text:?}");
    }
    for bad in [
        "$x", "`x`", "$(x)", "\"$x\"", "\"`x`\"", "~", "a;b", "a&", "a|b", "*", "{a,b}", "(a)", "a>b", "$'a'",
    ] {
        assert_eq!(fault(Format::Shell, &format!("K={bad}")).0, Fault::Expansion, "{bad}");
    }
    assert_eq!(fault(Format::Shell, "K='a").0, Fault::Unterminated);
    assert_eq!(fault(Format::Shell, "K=\"a").0, Fault::Unterminated);
    assert_eq!(fault(Format::Shell, "K=a B=b").0, Fault::AfterValue);
    assert_eq!(fault(Format::Shell, "rm -rf /").0, Fault::NoValue);
    for key in ["a.b", "a-b", "RANDOM", "UID", "_"] {
        assert_eq!(write_one(Format::Shell, key, "x").unwrap_err().key, key);
    }
}

#[test]
fn docker_env_has_no_quotes() {
    let text = "\u{feff}# note\n\n  K= 'a' #b \nE=\r\nC=x\r\r\n";
    let wanted = [("K", " 'a' #b "), ("E", ""), ("C", "x\r")];
    assert_eq!(
        pairs(Format::DockerEnv, text),
        wanted.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert_eq!(fault(Format::DockerEnv, "A=1\nK").0, Fault::NoValue);
    assert_eq!(fault(Format::DockerEnv, "K =1").0, Fault::Key);
    assert!(write_one(Format::DockerEnv, "K", "a\nb").is_err());
    assert!(write_one(Format::DockerEnv, "K", &"v".repeat(65_533)).is_ok());
    assert!(write_one(Format::DockerEnv, "K", &"v".repeat(65_534)).is_err());
}

#[test]
fn k8s_secret_is_a_manifest() {
    let text = write(
        Format::K8sSecret,
        [("NO", "a\n"), ("b.c", "")].into_iter(),
        "Acme_Prod-",
    )
    .unwrap();
    let wanted = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"acme-prod\"\ntype: Opaque\ndata:\n  \"NO\": \"YQo=\"\n  b.c: \"\"\n";
    assert_eq!(text, wanted);
    let text = "kind: Secret\napiVersion: v1\nmetadata: {name: x, labels: {a: [b]}}\ndata:\n  A: |\n    Y\n    Q==\nstringData:\n  B: b\n";
    assert_eq!(
        pairs(Format::K8sSecret, text),
        [("A", "a"), ("B", "b")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    for (data, wanted) in [
        ("YQ=", Fault::NotBase64),
        ("gA==", Fault::NotUtf8),
        ("1234", Fault::NotAString),
        ("YQ", Fault::NotBase64),
    ] {
        let text = format!("apiVersion: v1\nkind: Secret\ndata: {{K: {data}}}");
        assert_eq!(fault(Format::K8sSecret, &text), (wanted, 3, Some("K".to_owned())));
    }
    for bad in [
        "",
        "kind: ConfigMap\napiVersion: v1",
        "kind: Secret",
        "kind: Secret\napiVersion: v2",
    ] {
        assert_eq!(fault(Format::K8sSecret, bad).0, Fault::NotASecret, "{bad}");
    }
    assert!(write_one(Format::K8sSecret, &"k".repeat(254), "").is_err());
    let large = "v".repeat(MAX_VALUE_BYTES);
    let keys: Vec<_> = (0..17).map(|n| format!("K{n}")).collect();
    let full = write(
        Format::K8sSecret,
        keys.iter().map(|key| (key.as_str(), large.as_str())),
        "x",
    );
    assert_eq!(full.unwrap_err().key, "K16");
}
