//! How a person proved who they are, as a session remembers it. The names follow RFC 8176 where it has one.

use serde::{Deserialize, Serialize};

use crate::kernel::{Error, Result};

/// One way to prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Method {
    /// The password.
    #[serde(rename = "pwd")]
    Password,
    /// A code that was mailed.
    #[serde(rename = "code")]
    Code,
    /// A code of the account's one-time-password generator.
    #[serde(rename = "otp")]
    Otp,
    /// A recovery code.
    #[serde(rename = "recovery")]
    Recovery,
    /// The word of an identity provider.
    #[serde(rename = "sso")]
    Sso,
}

impl Method {
    /// The method as stored and published: `pwd`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Code => "code",
            Self::Otp => "otp",
            Self::Recovery => "recovery",
            Self::Sso => "sso",
        }
    }

    /// Whether it is proof of a second factor.
    pub const fn is_second_factor(self) -> bool {
        match self {
            Self::Otp | Self::Recovery => true,
            Self::Password | Self::Code | Self::Sso => false,
        }
    }
}

/// The methods of one session, each once, in the order in which they were used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amr(Vec<Method>);

impl Amr {
    pub fn of(method: Method) -> Self {
        Self(vec![method])
    }

    /// With one more method.
    #[must_use]
    pub fn with(mut self, method: Method) -> Self {
        if !self.0.contains(&method) {
            self.0.push(method);
        }
        self
    }

    /// What is left when the account has no second factor any more.
    #[must_use]
    pub fn without_second_factor(mut self) -> Self {
        self.0.retain(|method| !method.is_second_factor());
        self
    }

    /// Whether a second factor was shown.
    pub fn has_second_factor(&self) -> bool {
        self.0.iter().any(|method| method.is_second_factor())
    }

    /// The methods as published.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|method| method.as_str().to_owned()).collect()
    }

    /// The column's text.
    ///
    /// # Errors
    /// Never, as methods are plain words.
    pub fn to_column(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal(format!("methods: {e}")))
    }

    /// Reads the column; a session of before there were methods has none.
    ///
    /// # Errors
    /// [`Error::Internal`] for text that is no list of methods.
    pub fn from_column(text: Option<&str>) -> Result<Self> {
        text.map_or(Ok(Self::default()), |text| {
            serde_json::from_str(text).map_err(|_| Error::internal("a session's methods are stored wrongly"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_kept_once_and_in_order() {
        let amr = Amr::of(Method::Password).with(Method::Otp).with(Method::Password);
        assert_eq!(amr.to_column().unwrap(), r#"["pwd","otp"]"#);
        assert_eq!(Amr::from_column(Some(r#"["pwd","otp"]"#)).unwrap(), amr);
        assert_eq!(Amr::from_column(None).unwrap(), Amr::default());
        assert!(Amr::from_column(Some(r#"["sms"]"#)).is_err());
    }

    #[test]
    fn only_what_a_generator_or_a_recovery_code_proved_is_a_second_factor() {
        for (method, second) in [
            (Method::Password, false),
            (Method::Code, false),
            (Method::Otp, true),
            (Method::Recovery, true),
            (Method::Sso, false),
        ] {
            assert_eq!(Amr::of(method).has_second_factor(), second, "{method:?}");
            assert!(!Amr::of(method).without_second_factor().has_second_factor());
            assert_eq!(
                serde_json::to_value(method).unwrap(),
                method.as_str(),
                "stored and published alike"
            );
        }
    }
}
