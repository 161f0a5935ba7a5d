//! Collects the text of every setting: environment before TOML file before default. It finds all mistakes in one go.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::applied::SETUP_FILE;
use super::settings::{FILE_SUFFIX, PREFIX, Setting};
use super::{ConfigError, ConfigErrors};
use crate::kernel::Secret;

/// Variables of the tests' harness; the product does not read them.
const HARNESS_PREFIX: &str = "STRONGROOM_TEST_";
/// OpenTelemetry's own names for settings of ours. They are set for everything that runs somewhere, so whatever is set for
/// us comes first.
const STANDARD: [(&str, Setting); 2] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Setting::OtlpEndpoint),
    ("OTEL_EXPORTER_OTLP_HEADERS", Setting::OtlpHeaders),
];
/// Least likeness, 0 to 1, of a name that is worth proposing.
const LIKENESS: f64 = 0.75;

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing sets it.
    Default,
    /// Its environment variable.
    Environment,
    /// The TOML file at this path.
    Toml(PathBuf),
    /// The file that holds this secret.
    SecretFile(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::Toml(path) | Self::SecretFile(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// The text of one setting. All texts are held as secrets: here nobody has told them apart yet.
struct Found {
    text: Secret<String>,
    source: Source,
}

/// One layer: names, such as `STRONGROOM_ROOT_KEY_FILE`, and their texts.
type Layer = BTreeMap<String, Secret<String>>;

/// What the environment and the files say.
pub(super) struct Sources {
    found: BTreeMap<Setting, Found>,
    pub(super) errors: ConfigErrors,
}

impl Sources {
    /// Reads all layers. `read_file` reads the TOML file and the secret files.
    pub(super) fn collect(
        env: impl Iterator<Item = (String, String)>,
        read_file: &impl Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut sources = Self {
            found: BTreeMap::new(),
            errors: ConfigErrors::default(),
        };
        let env: Vec<_> = env.collect();
        sources.take(&standard_layer(&env), &Source::Environment, read_file);
        let env = sources.environment(env.into_iter());
        let path = env.get(Setting::Config.variable());
        let path = path.map(|path| PathBuf::from(path.expose()));
        let file = match &path {
            Some(path) => sources.toml_layer(path, read_file),
            None => Layer::new(),
        };
        let setup = data_dir(&[&env, &file]).join(SETUP_FILE);
        let first_run = sources.setup_layer(&setup, read_file);
        sources.take(&first_run, &Source::Toml(setup), read_file);
        if let Some(path) = path {
            sources.take(&file, &Source::Toml(path), read_file);
        }
        sources.take(&env, &Source::Environment, read_file);
        sources
    }

    /// What the first run has set, if it has set anything.
    fn setup_layer(&mut self, path: &Path, read_file: &impl Fn(&Path) -> io::Result<String>) -> Layer {
        match read_file(path) {
            Ok(text) => self.toml_text_layer(path, &Secret::new(text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Layer::new()
            }
            Err(error) => {
                let label = path.display().to_string();
                self.errors.push(&label, format!("cannot be read: {}", error.kind()));
                Layer::new()
            }
        }
    }

    pub(super) fn text(&self, setting: Setting) -> Option<&str> {
        self.found
            .get(&setting)
            .map(|found| found.text.expose().as_str())
            .or(setting.default_text())
    }

    pub(super) fn source(&self, setting: Setting) -> Source {
        self.found
            .get(&setting)
            .map_or(Source::Default, |found| found.source.clone())
    }

    /// Our variables. An empty one counts as unset, as `${NAME:-}` in a compose file leaves it.
    fn environment(&mut self, env: impl Iterator<Item = (String, String)>) -> Layer {
        let mut layer = Layer::new();
        for (name, text) in env {
            if !name.starts_with(PREFIX) || name.starts_with(HARNESS_PREFIX) || is_service_link(&name, &text) {
                continue;
            }
            let text = Secret::new(text);
            if !is_known(&name) {
                self.errors.push(&name, unknown(&name, str::to_owned));
            } else if !text.expose().is_empty() {
                layer.insert(name, text);
            }
        }
        layer
    }

    fn toml_layer(&mut self, path: &Path, read_file: &impl Fn(&Path) -> io::Result<String>) -> Layer {
        let config = Setting::Config.variable();
        let text = match read_file(path) {
            Ok(text) => Secret::new(text),
            Err(error) => {
                self.errors
                    .push(config, format!("cannot read {}: {}", path.display(), error.kind()));
                return Layer::new();
            }
        };
        self.toml_text_layer(path, &text)
    }

    fn toml_text_layer(&mut self, path: &Path, text: &Secret<String>) -> Layer {
        let config = Setting::Config.variable();
        let table: toml::Table = match text.expose().parse() {
            Ok(table) => table,
            Err(error) => {
                // The parser's own message quotes the line, which may hold a secret.
                let before = error
                    .span()
                    .and_then(|span| text.expose().get(..span.start))
                    .unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                self.errors
                    .push(config, format!("{} is not valid TOML at line {line}", path.display()));
                return Layer::new();
            }
        };
        let mut layer = Layer::new();
        for (key, value) in table {
            self.toml_entry(path, &key, value, &mut layer);
        }
        layer
    }

    fn toml_entry(&mut self, path: &Path, key: &str, value: toml::Value, layer: &mut Layer) {
        let label = format!("{key} in {}", path.display());
        let name = format!("{PREFIX}{}", key.to_ascii_uppercase());
        let is_lower = !key.bytes().any(|byte| byte.is_ascii_uppercase());
        if name == Setting::Config.variable() {
            self.errors.push(&label, "cannot be set in the file itself".to_owned());
        } else if !is_lower || !is_known(&name) {
            self.errors.push(
                &label,
                unknown(&name, |known| known.trim_start_matches(PREFIX).to_ascii_lowercase()),
            );
        } else if let Some(text) = toml_text(value) {
            if !text.is_empty() {
                layer.insert(name, Secret::new(text));
            }
        } else {
            self.errors
                .push(&label, "must be a string or a list of strings".to_owned());
        }
    }

    /// Lays a layer over those before it.
    fn take(&mut self, layer: &Layer, source: &Source, read_file: &impl Fn(&Path) -> io::Result<String>) {
        for setting in Setting::ALL.iter().copied() {
            let direct = layer.get(setting.variable());
            let file = setting.file_variable().and_then(|name| layer.get(&name));
            let found = match (direct, file) {
                (Some(_), Some(_)) => {
                    let message = format!("is set together with {}{FILE_SUFFIX}; keep one", setting.variable());
                    self.errors.push(setting.variable(), message);
                    None
                }
                (Some(text), None) => Some(Found {
                    text: text.clone(),
                    source: source.clone(),
                }),
                (None, Some(path)) => self.secret_file(setting, Path::new(path.expose()), read_file),
                (None, None) => None,
            };
            if let Some(found) = found {
                self.found.insert(setting, found);
            }
        }
    }

    fn secret_file(
        &mut self,
        setting: Setting,
        path: &Path,
        read_file: &impl Fn(&Path) -> io::Result<String>,
    ) -> Option<Found> {
        // The path is not printed: somebody may have put the secret itself here.
        let name = format!("{}{FILE_SUFFIX}", setting.variable());
        let text = match read_file(path) {
            Ok(text) => Secret::new(text),
            Err(error) => {
                self.errors
                    .push(&name, format!("cannot read the file: {}", error.kind()));
                return None;
            }
        };
        let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
        let line = line
            .strip_suffix('\r')
            .filter(|_| text.expose().ends_with('\n'))
            .unwrap_or(line);
        if line.is_empty() {
            // An empty mount must not pass for "unset": that would pick another database or make a new key.
            self.errors.push(&name, "the file is empty".to_owned());
            return None;
        }
        let source = Source::SecretFile(path.to_owned());
        Some(Found {
            text: Secret::new(line.to_owned()),
            source,
        })
    }
}

/// What the variables of OpenTelemetry's say, under our names.
fn standard_layer(env: &[(String, String)]) -> Layer {
    let named = |(name, text): &(String, String)| {
        let (_, setting) = STANDARD.iter().find(|(known, _)| *known == name.as_str())?;
        (!text.is_empty()).then(|| (setting.variable().to_owned(), Secret::new(text.clone())))
    };
    env.iter().filter_map(named).collect()
}

/// The data folder, as the first of some layers that says so has it.
fn data_dir(layers: &[&Layer]) -> PathBuf {
    let said = layers.iter().find_map(|layer| layer.get(Setting::DataDir.variable()));
    let default = Setting::DataDir.default_text().unwrap_or_default();
    PathBuf::from(said.map_or(default, |path| path.expose().as_str()))
}

/// Every name that can be set: variables and, for secrets, their `…_FILE`.
fn known_names() -> impl Iterator<Item = String> {
    Setting::ALL
        .iter()
        .flat_map(|setting| [Some(setting.variable().to_owned()), setting.file_variable()])
        .flatten()
}

fn is_known(name: &str) -> bool {
    known_names().any(|known| known == name)
}

/// Tells that `name` is unknown, and which known name comes closest, as `shown` spells it.
fn unknown(name: &str, shown: impl Fn(&str) -> String) -> String {
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_ascii_uppercase();
    let best = known_names()
        .map(|known| (strsim::jaro_winkler(&bare(name), &bare(&known)), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, known)) if likeness >= LIKENESS => {
            format!("is no setting; did you mean {}?", shown(&known))
        }
        Some(_) | None => "is no setting".to_owned(),
    }
}

/// Kubernetes describes each service by variables such as `STRONGROOM_SERVICE_HOST` and `STRONGROOM_PORT`: a service
/// named `strongroom` must not keep us from starting.
fn is_service_link(name: &str, text: &str) -> bool {
    let is_port_url = name.ends_with("_PORT") && text.contains("://");
    let is_part = name.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || is_port_url || is_part
}

/// The text of a TOML string, or of a list of strings as one comma-separated text.
fn toml_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}

/// The variables of this process that are ours or stand for ours, and an error for each whose text is not UTF-8.
pub(super) fn process_environment() -> (Vec<(String, String)>, Vec<ConfigError>) {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for (name, text) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(PREFIX) && STANDARD.iter().all(|(known, _)| *known != name) {
            continue;
        }
        match text.into_string() {
            Ok(text) => texts.push((name, text)),
            Err(_) => errors.push(ConfigError {
                variable: name,
                message: "is not UTF-8".to_owned(),
            }),
        }
    }
    (texts, errors)
}
