//! Classes of environments: what a grant can be narrowed to without naming each environment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be dev, staging or prod")]
pub struct ParseClassError;

/// How much harm a leak from an environment would do, least first. Every environment has a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvClass {
    Dev,
    Staging,
    Prod,
}

impl EnvClass {
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Prod];

    /// The class as stored and published: `dev`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// Text that names no class.
    pub fn parse(text: &str) -> Result<Self, ParseClassError> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or(ParseClassError)
    }

    /// The class of a new environment that was given none. A slug that says nothing counts as prod: fail closed.
    pub fn infer(slug: &str) -> Self {
        match slug {
            "dev" | "develop" | "development" | "local" | "test" | "ci" | "preview" => Self::Dev,
            "stg" | "stage" | "staging" | "uat" | "qa" | "preprod" | "pre-prod" => Self::Staging,
            _ => Self::Prod,
        }
    }
}

impl fmt::Display for EnvClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EnvClass {
    type Err = ParseClassError;

    fn from_str(text: &str) -> Result<Self, ParseClassError> {
        Self::parse(text)
    }
}

impl Serialize for EnvClass {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EnvClass {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// A set of classes. Stored as text, `dev,prod`; in JSON a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClassSet(u8);

impl ClassSet {
    pub const EMPTY: Self = Self(0);
    pub const ALL: Self = Self(0b111);

    const fn bit(class: EnvClass) -> u8 {
        match class {
            EnvClass::Dev => 0b001,
            EnvClass::Staging => 0b010,
            EnvClass::Prod => 0b100,
        }
    }

    /// This set and `class`.
    #[must_use]
    pub const fn with(self, class: EnvClass) -> Self {
        Self(self.0 | Self::bit(class))
    }

    pub const fn contains(self, class: EnvClass) -> bool {
        self.0 & Self::bit(class) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its classes, least harmful first.
    pub fn iter(self) -> impl Iterator<Item = EnvClass> {
        EnvClass::ALL.into_iter().filter(move |class| self.contains(*class))
    }

    /// Reads the stored form; empty text is the empty set.
    ///
    /// # Errors
    /// Text with a part that names no class.
    pub fn parse(text: &str) -> Result<Self, ParseClassError> {
        if text.is_empty() {
            return Ok(Self::EMPTY);
        }
        text.split(',').map(EnvClass::parse).collect()
    }
}

impl FromIterator<EnvClass> for ClassSet {
    fn from_iter<I: IntoIterator<Item = EnvClass>>(classes: I) -> Self {
        classes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The stored form: `dev,prod`.
impl fmt::Display for ClassSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, class) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{class}")?;
        }
        Ok(())
    }
}

impl FromStr for ClassSet {
    type Err = ParseClassError;

    fn from_str(text: &str) -> Result<Self, ParseClassError> {
        Self::parse(text)
    }
}

impl Serialize for ClassSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ClassSet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<EnvClass>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_counts_as_production() {
        for slug in ["dev", "develop", "development", "local", "test", "ci", "preview"] {
            assert_eq!(EnvClass::infer(slug), EnvClass::Dev, "{slug}");
        }
        for slug in ["stg", "stage", "staging", "uat", "qa", "preprod", "pre-prod"] {
            assert_eq!(EnvClass::infer(slug), EnvClass::Staging, "{slug}");
        }
        for slug in ["prod", "production", "live", "blue", "dev-live", "", "DEV"] {
            assert_eq!(EnvClass::infer(slug), EnvClass::Prod, "{slug}");
        }
    }

    #[test]
    fn sets_keep_their_classes_through_storage() {
        for bits in 0..8 {
            let set = ClassSet(bits);
            assert_eq!(ClassSet::parse(&set.to_string()), Ok(set));
            assert_eq!(
                serde_json::from_value::<ClassSet>(serde_json::to_value(set).unwrap()).unwrap(),
                set
            );
        }
        let set: ClassSet = [EnvClass::Prod, EnvClass::Dev].into_iter().collect();
        assert_eq!(set.to_string(), "dev,prod");
        assert!(set.contains(EnvClass::Prod) && !set.contains(EnvClass::Staging));
        for bad in ["Dev", "dev,", "dev prod", "production"] {
            assert!(ClassSet::parse(bad).is_err(), "{bad}");
        }
    }
}
