//! What the first run sets. It is kept in a file of its own in the data folder, below whatever else sets the same: an
//! operator's environment and file stay the operator's.

use std::path::PathBuf;

use url::Url;

use super::values::FromSetting;
use super::{Config, ConfigErrors, DatabaseChoice, Setting, Source};
use crate::kernel::{Error, Result, Secret};

/// Name of the file in the data folder.
pub(super) const SETUP_FILE: &str = "setup.toml";

/// Settings to be applied at the next start; absent ones stay.
#[derive(Clone, Default)]
pub struct Applied {
    pub base_url: Option<String>,
    pub database_url: Option<Secret<String>>,
    pub root_key: Option<Secret<String>>,
}

impl Applied {
    fn texts(&self) -> [(Setting, Option<&str>); 3] {
        [
            (Setting::BaseUrl, self.base_url.as_deref()),
            (
                Setting::DatabaseUrl,
                self.database_url.as_ref().map(|text| text.expose().as_str()),
            ),
            (
                Setting::RootKey,
                self.root_key.as_ref().map(|text| text.expose().as_str()),
            ),
        ]
    }

    /// The text of the file, with these set in what it says so far.
    ///
    /// # Errors
    /// [`Error::Internal`] when what it says so far is no TOML.
    pub fn written_into(&self, existing: &str) -> Result<Secret<String>> {
        let mut table: toml::Table = existing
            .parse()
            .map_err(|_| Error::internal("the settings of the first run are stored wrongly"))?;
        for (setting, text) in self.texts() {
            if let Some(text) = text {
                table.insert(setting.toml_key(), toml::Value::String(text.to_owned()));
            }
        }
        Ok(Secret::new(table.to_string()))
    }
}

impl Config {
    /// Where the first run keeps what it sets.
    pub fn setup_file(&self) -> PathBuf {
        self.data_dir.join(SETUP_FILE)
    }

    /// Where the value of a setting comes from.
    pub fn source_of(&self, setting: Setting) -> Source {
        let found = self.sources.iter().find(|(known, _)| *known == setting);
        found.map_or(Source::Default, |(_, source)| source.clone())
    }

    /// The configuration with these set.
    ///
    /// # Errors
    /// Every mistake at once: bad values, settings that something else sets, settings that do not go together.
    pub fn with_applied(&self, applied: &Applied) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let own = Source::Toml(self.setup_file());
        for (setting, text) in applied.texts() {
            let source = self.source_of(setting);
            if text.is_some() && source != Source::Default && source != own {
                errors.push(
                    setting.variable(),
                    format!("is set elsewhere ({source}); change it there"),
                );
            }
        }
        let mut next = self.clone();
        if let Some(text) = &applied.base_url {
            match Url::from_setting(text) {
                Ok(url) => next.base_url = url,
                Err(message) => errors.push(Setting::BaseUrl.variable(), message),
            }
        }
        if let Some(text) = &applied.database_url {
            match DatabaseChoice::from_setting(text.expose()) {
                Ok(database) => next.database = database,
                Err(message) => errors.push(Setting::DatabaseUrl.variable(), message),
            }
        }
        if let Some(key) = &applied.root_key {
            next.root_key = Some(key.clone());
        }
        if errors.0.is_empty() {
            next.check(&mut errors);
        }
        if errors.0.is_empty() { Ok(next) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    fn config(env: &[(&str, &str)], setup: &'static str) -> Config {
        let env = env
            .iter()
            .map(|(name, text)| (format!("STRONGROOM_{name}"), (*text).to_owned()));
        let read = |path: &Path| match path.to_str() {
            Some("/srv/data/setup.toml") => Ok(setup.to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let dir = [("STRONGROOM_DATA_DIR".to_owned(), "/srv/data".to_owned())];
        Config::load(dir.into_iter().chain(env), read)
            .map_err(|errors| errors.to_string())
            .ok()
            .unwrap()
    }

    fn base_url(url: &str) -> Applied {
        Applied {
            base_url: Some(url.to_owned()),
            ..Applied::default()
        }
    }

    #[test]
    fn what_the_first_run_set_is_read_below_everything_else() {
        let set = config(&[], "base_url = \"https://set.example.com\"\n");
        assert_eq!(set.base_url.as_str(), "https://set.example.com/");
        assert_eq!(
            set.source_of(Setting::BaseUrl),
            Source::Toml("/srv/data/setup.toml".into())
        );
        let env = [("BASE_URL", "https://env.example.com")];
        let over = config(&env, "base_url = \"https://set.example.com\"\n");
        assert_eq!(over.base_url.as_str(), "https://env.example.com/");
        assert_eq!(config(&[], "").source_of(Setting::BaseUrl), Source::Default);
    }

    #[test]
    fn it_sets_what_nothing_else_sets() {
        let free = config(&[], "base_url = \"https://set.example.com\"\n");
        let next = free.with_applied(&base_url("https://new.example.com")).ok().unwrap();
        assert_eq!(next.base_url.as_str(), "https://new.example.com/");
        let taken = config(&[("BASE_URL", "https://env.example.com")], "");
        let refused = taken.with_applied(&base_url("https://new.example.com")).err().unwrap();
        assert_eq!(refused.0[0].variable, "STRONGROOM_BASE_URL");
        let both = Applied {
            database_url: Some(Secret::new("mysql://x".to_owned())),
            ..base_url("nowhere")
        };
        assert_eq!(free.with_applied(&both).err().unwrap().0.len(), 2);
    }

    #[test]
    fn what_was_set_before_stays_in_the_file() {
        let text = base_url("https://new.example.com")
            .written_into("root_key = \"a\"\n")
            .unwrap();
        let table: toml::Table = text.expose().parse().unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table["base_url"].as_str(), Some("https://new.example.com"));
        assert!(base_url("x").written_into("root_key = ").is_err());
    }
}
