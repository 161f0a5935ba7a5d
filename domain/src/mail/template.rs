//! The mails that there are. Names are stored, so a text that needs other data gets a new version.

macro_rules! templates {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        /// The mails that there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Template {
            $(#[doc = $doc] $name,)*
        }

        impl Template {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name with its version, as stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

templates! {
    VerifyEmail = "verify_email_v1", "Asks to confirm an address of an account, by link or code.";
    SignInCode = "sign_in_code_v1", "Brings the code of a sign-in without a password.";
    RegistrationCode = "registration_code_v1", "Brings the code of a registration, or tells that there is an account already.";
    ResetPassword = "reset_password_v1", "Brings the link that resets a password.";
    Invite = "invite_v1", "Brings the link of an invitation. Data: `number`, from which the link follows under our key.";
    NewSignIn = "new_sign_in_v1", "Tells of a sign-in from a place not seen before. Data: `ip`, `user_agent`, `at`.";
    SessionReused = "session_reused_v1", "Tells that a session was ended because its refresh token came twice. Data: `ip`, `user_agent`, `at`.";
    PasswordChanged = "password_changed_v1", "Tells that the password was changed or reset.";
    SecondFactorChanged = "second_factor_changed_v1", "Tells of a change to two-factor sign-in. Data: `what`, a sentence.";
    RecoveryCodeUsed = "recovery_code_used_v1", "Tells that a recovery code was used. Data: `left`, a number.";
    AddressAdded = "address_added_v1", "Tells that an address was added to the account. Data: `address`.";
    AddressRemoved = "address_removed_v1", "Tells that an address was removed from the account. Data: `address`.";
    WebhookDisabled = "webhook_disabled_v1", "Tells owners that a webhook was switched off by itself. Data: `org`, `webhook`, `host`, `reason`.";
    PaymentFailed = "payment_failed_v1", "Tells owners that an invoice is not paid. Data: `org`, `plan`, `until`.";
    TrialEnding = "trial_ending_v1", "Tells owners that a trial ends soon. Data: `org`, `end`.";
    LimitNotice = "limit_notice_v1", "Tells owners that a limit of the plan is near or reached. Data: `org`, `what`, `used`, `max`.";
    DefaultAddressChanged = "default_address_changed_v1", "Tells that another address became the default. Data: `address`.";
}

impl Template {
    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|template| template.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rows with these names are in databases, and in queues while a new version is rolled out: a text that needs other
    // data gets a name of its own, and the old one stays readable for one release.
    #[test]
    fn stored_names_carry_a_version_and_stay_readable() {
        for template in Template::ALL {
            let (name, version) = template.as_str().rsplit_once("_v").unwrap();
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert!(version.parse::<u32>().is_ok_and(|number| number > 0), "{version}");
            assert_eq!(Template::parse(template.as_str()), Some(*template));
        }
        for stored in [
            "verify_email_v1",
            "sign_in_code_v1",
            "registration_code_v1",
            "reset_password_v1",
            "invite_v1",
            "new_sign_in_v1",
            "session_reused_v1",
            "password_changed_v1",
            "second_factor_changed_v1",
            "recovery_code_used_v1",
            "address_added_v1",
            "address_removed_v1",
            "webhook_disabled_v1",
            "default_address_changed_v1",
        ] {
            assert!(Template::parse(stored).is_some(), "{stored}");
        }
        assert_eq!(Template::parse("from_the_future_v9"), None);
    }
}
