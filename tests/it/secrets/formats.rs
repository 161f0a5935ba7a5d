//! What is written is read back by the programs that people read it with: `dotenv` of npm, `python-dotenv`, `PyYAML`,
//! shells; and by the rules of `docker run --env-file` and Docker Compose, which no package registry has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::secrets::format::{Format, read, write};
use harness::packages;

const NPM: [&str; 2] = ["dotenv@18.0.10", "dotenv16@npm:dotenv@16.4.7"];
const PYPI: [&str; 2] = ["python-dotenv==1.2.4", "PyYAML==6.0.3"];

/// Characters that some reader gives a meaning: every string of up to three of them, and up to four of the first ones.
const ALPHABET: [&str; 18] = [
    "'", "\"", "\\", "$", "{", "}", "#", " ", "\n", "\r", "n", "`", "=", "\t", ":-", "\u{2028}", "\u{feff}", "é",
];

const NASTY: [&str; 14] = [
    "postgres://u:p%40ss@db.example.com:5432/app?sslmode=require&x=#1",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC==\n-----END PRIVATE KEY-----\n",
    "{\"type\":\"service_account\",\"key\":\"-----BEGIN\\nabc\\n-----END\",\"it's\":1}",
    "  leading and trailing  ",
    "🦀 ünïcode \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{202e}abc",
    "\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}\u{1c}\u{1f}\u{7f}\u{80}\u{85}\u{9f}\u{a0}\u{fffd}\u{ffff}\u{10ffff}",
    "C:\\Users\\new\\temp\\",
    "$HOME $(id) `id` ${HOME ${HOME:x} $$ $1 !! ~ *",
    "line\r\nline\rline\n",
    "export A=b\nC=d",
    "pa\"ss'word$&#;|<>()[]{}*?~!",
    "#not a comment",
    "null",
    "1e3",
];

#[test]
fn dotenv_of_npm_and_python_get_every_value_back() {
    let held = Held::of(Format::Dotenv);
    assert!(held.count() * 3 > values().len(), "only {} are held", held.count());
    for package in ["dotenv", "dotenv16"] {
        let script = format!(
            "const parse = require('{package}').parse, text = require('fs').readFileSync(process.argv[1]);
             process.stdout.write(JSON.stringify(parse(text)))"
        );
        held.must_equal(package, &run("node", &["-e", &script, &held.path()]));
    }
    let fast = "process.stdout.write(JSON.stringify(require('dotenv').parse(
        require('fs').readFileSync(process.argv[1], 'utf8'), { fast: true })))";
    held.must_equal("dotenv, fast", &run("node", &["-e", fast, &held.path()]));
    let script = "import json, sys, dotenv; print(json.dumps(dotenv.dotenv_values(sys.argv[1], encoding='utf-8')))";
    held.must_equal("python-dotenv", &run(&python(), &["-c", script, &held.path()]));
}

#[test]
fn compose_gets_every_value_of_dotenv_back() {
    let held = Held::of(Format::Dotenv);
    held.must_equal_pairs("compose", compose_reads(&held.text));
}

#[test]
fn shells_get_every_value_back() {
    let held = Held::of(Format::Shell);
    assert_eq!(held.count(), values().len());
    let names: Vec<_> = held.wanted.keys().map(|key| format!("\"${key}\"")).collect();
    for shell in ["sh", "dash", "bash"] {
        let script = held.file.with_extension("run");
        fs::write(
            &script,
            format!(". {}\nprintf '%s\\0' {}\n", held.path(), names.join(" ")),
        )
        .unwrap();
        let printed = run(shell, &[&script.to_string_lossy()]);
        let values = printed.split_terminator('\0').map(str::to_owned);
        held.must_equal_pairs(shell, held.wanted.keys().cloned().zip(values));
    }
}

#[test]
fn docker_gets_every_value_back() {
    let held = Held::of(Format::DockerEnv);
    assert_eq!(
        held.count(),
        values().iter().filter(|value| !value.contains('\n')).count()
    );
    held.must_equal_pairs("docker", docker_reads(&held.text));
}

#[test]
fn pyyaml_gets_every_value_back() {
    let yaml =
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8', newline=''))))";
    let secret = "import base64, json, sys, yaml
manifest = yaml.safe_load(open(sys.argv[1], encoding='utf-8', newline=''))
assert (manifest['apiVersion'], manifest['kind'], manifest['type']) == ('v1', 'Secret', 'Opaque'), 'head'
assert manifest['metadata'] == {'name': 'acme-prod'}, 'name'
print(json.dumps({key: base64.b64decode(value, validate=True).decode() for key, value in manifest['data'].items()}))";
    for (format, script) in [(Format::Yaml, yaml), (Format::K8sSecret, secret), (Format::Json, yaml)] {
        let held = Held::of(format);
        assert_eq!(held.count(), values().len());
        held.must_equal(format.as_str(), &run(&python(), &["-c", script, &held.path()]));
    }
    let held = Held::of(Format::Json);
    let script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(process.argv[1]))))";
    held.must_equal("JSON.parse", &run("node", &["-e", script, &held.path()]));
}

#[test]
fn no_plain_scalar_that_pyyaml_types_is_taken_for_a_string() {
    let mut scalars = strings(
        &["0", "1", "7", ".", "e", "+", "-", ":", "_", "x", "b", "y", "n", "o"],
        4,
    );
    scalars.extend(
        [
            "true",
            "TRUE",
            "Yes",
            "off",
            "null",
            "~",
            "2026-01-02",
            "2026-1-2 3:4:5Z",
            ".INF",
            "=",
        ]
        .map(str::to_owned),
    );
    let file = tools().join("scalars.json");
    fs::write(&file, serde_json::to_string(&scalars).unwrap()).unwrap();
    let script = "import json, sys, yaml
loader = yaml.SafeLoader('')
plain = lambda text: loader.resolve(yaml.ScalarNode, text, (True, False))
print(json.dumps([text for text in json.load(open(sys.argv[1])) if not plain(text).endswith(':str')]))";
    let typed: Vec<String> = serde_json::from_str(&run(&python(), &["-c", script, &file.to_string_lossy()])).unwrap();
    assert!(typed.len() > 500, "{}", typed.len());
    for text in typed {
        assert!(read(Format::Yaml, &format!("K: {text}")).is_err(), "{text}");
    }
}

/// The values that a format can hold, written to a file.
struct Held {
    text: String,
    file: PathBuf,
    wanted: BTreeMap<String, String>,
}

impl Held {
    fn of(format: Format) -> Self {
        // Two tests may hold the same format at once.
        static HELD: AtomicUsize = AtomicUsize::new(0);
        let keyed = values()
            .into_iter()
            .enumerate()
            .map(|(n, value)| (format!("K{n}"), value));
        let can_hold =
            |(key, value): &(String, String)| write(format, [(&**key, &**value)].into_iter(), "acme-prod").is_ok();
        let wanted: BTreeMap<_, _> = keyed.filter(can_hold).collect();
        let entries = wanted.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let text = write(format, entries, "acme-prod").unwrap();
        let (process, n) = (std::process::id(), HELD.fetch_add(1, Ordering::Relaxed));
        let file = tools().join(format!("{process}-{n}-{}", format.file_name()));
        fs::write(&file, &text).unwrap();
        Self { text, file, wanted }
    }

    fn count(&self) -> usize {
        self.wanted.len()
    }

    fn path(&self) -> String {
        self.file.to_string_lossy().into_owned()
    }

    fn must_equal(&self, reader: &str, json: &str) {
        let read: BTreeMap<String, String> = serde_json::from_str(json).unwrap();
        self.must_equal_pairs(reader, read);
    }

    fn must_equal_pairs(&self, reader: &str, read: impl IntoIterator<Item = (String, String)>) {
        let read: BTreeMap<_, _> = read.into_iter().collect();
        assert_eq!(read.len(), self.count(), "{reader}");
        for (key, wanted) in &self.wanted {
            assert_eq!(&read[key], wanted, "{reader} {key}");
        }
        eprintln!("{reader}: {} values read back exactly", self.count());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.file));
    }
}

fn values() -> Vec<String> {
    let mut values = strings(&ALPHABET, 3);
    values.extend(strings(&ALPHABET[..11], 4));
    values.extend(NASTY.map(str::to_owned));
    values.push("a long line ".repeat(5000));
    values
}

/// Every string of up to `len` of the pieces.
fn strings(pieces: &[&str], len: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut longest = all.clone();
    for _ in 0..len {
        longest = longest
            .iter()
            .flat_map(|start| pieces.iter().map(move |piece| format!("{start}{piece}")))
            .collect();
        all.extend_from_slice(&longest);
    }
    all
}

/// The rules of docker/cli `pkg/kvfile` and Go `bufio.ScanLines`.
fn docker_reads(text: &str) -> Vec<(String, String)> {
    let lines = text.split_terminator('\n').map(|line| {
        assert!(line.len() < 64 * 1024, "token too long");
        line.strip_suffix('\r').unwrap_or(line).trim_start()
    });
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The rules of compose-go `dotenv` for files of `KEY=value`, where nothing is expanded: what it would expand fails.
fn compose_reads(text: &str) -> Vec<(String, String)> {
    let (mut read, mut rest) = (Vec::new(), text);
    while let Some((key, after)) = rest.trim_start().split_once('=') {
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let value;
        (value, rest) = quote.map_or_else(|| compose_unquoted(after), |quote| compose_quoted(&after[1..], quote));
        read.push((key.to_owned(), value));
    }
    read
}

fn compose_unquoted(text: &str) -> (String, &str) {
    let (line, rest) = text.split_once('\n').unwrap();
    assert!(!line.contains('$'), "expanded");
    let value = line.split(" #").next().unwrap();
    (value.trim_end().to_owned(), rest)
}

fn compose_quoted(text: &str, quote: char) -> (String, &str) {
    let mut value = String::new();
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match (c, std::mem::take(&mut is_escaped)) {
            ('\\', false) => is_escaped = true,
            (c, false) if c == quote => {
                assert!(quote == '\'' || !value.contains('$'), "expanded");
                let value = if quote == '"' {
                    value.replace("\\r", "\r")
                } else {
                    value
                };
                assert!(quote == '\'' || !value.contains('\\'), "another escape");
                return (value, &text[at + 1..]);
            }
            (c, escaped) => {
                value.extend((escaped && c != quote).then_some('\\'));
                value.push(c);
            }
        }
    }
    panic!("unterminated");
}

/// The directory that the readers are in, installed once for each target directory.
fn tools() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers");
    packages::install(&dir, &NPM, &PYPI);
    dir
}

fn python() -> String {
    tools().join("venv/bin/python").to_string_lossy().into_owned()
}

fn run(program: &str, arguments: &[&str]) -> String {
    run_in(&tools(), program, arguments)
}

fn run_in(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !error.contains("could not parse"),
        "{program}: {error}"
    );
    String::from_utf8(output.stdout).unwrap()
}
