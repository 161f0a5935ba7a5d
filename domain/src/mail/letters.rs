//! What each mail says. Every link is built from the configured base URL, never from a request.

use serde_json::{Map, Value};
use url::Url;

use super::letter::{Letter, Rendered, link};
use super::template::Template;
use crate::crypto::token::Token;
use crate::kernel::{Secret, Timestamp};

const NOT_YOU: &str = "If you did not ask for this, ignore this mail.";

/// Asks to confirm an address.
pub fn verify_email(base_url: &Url, first_name: &str, token: &Token, code: &Secret<String>) -> Rendered {
    Letter::to(first_name, "Confirm your e-mail address")
        .text("please confirm that this address is yours by opening this link within 24 hours.")
        .button("Confirm address", link(base_url, "/verify-email", token))
        .text("Or enter this code where you are signed in, within 10 minutes:")
        .code(code.expose())
        .text("For programs: POST the token to /v1/auth/email/verify.")
        .text(NOT_YOU)
        .render()
}

/// The code of a sign-in.
pub fn sign_in_code(first_name: &str, code: &Secret<String>) -> Rendered {
    Letter::to(first_name, "Your sign-in code")
        .text("enter this code where you asked for it, within 10 minutes:")
        .code(code.expose())
        .text("Nobody of ours will ever ask you for it. If you did not ask for it, ignore this mail: without it nobody signs in.")
        .render()
}

/// The code of a registration.
pub fn registration_code(code: &Secret<String>) -> Rendered {
    Letter::to("", "Your registration code")
        .text("enter this code where you asked for it, within 10 minutes, to go on with your registration:")
        .code(code.expose())
        .text(NOT_YOU)
        .render()
}

/// Instead of a registration code, for an address that has an account.
pub fn address_taken(base_url: &Url, first_name: &str) -> Rendered {
    Letter::to(first_name, "You have an account already")
        .text("somebody asked to register with this address, which belongs to your account already.")
        .text("Was it you? Then sign in, or reset your password.")
        .button("Go to the sign-in", base_url.as_str())
        .text(NOT_YOU)
        .render()
}

/// The link that resets a password.
pub fn reset_password(base_url: &Url, first_name: &str, token: &Token) -> Rendered {
    Letter::to(first_name, "Reset your password")
        .text("choose a new password by opening this link within one hour. It works once, and it ends all of your sessions.")
        .button("Choose a new password", link(base_url, "/reset-password", token))
        .text("For programs: POST the token with the new password to /v1/auth/password/reset.")
        .text("If you did not ask for this, ignore this mail: your password stays as it is.")
        .render()
}

/// The address of the page that shows an invitation and accepts it.
pub fn invite_link(base_url: &Url, token: &Token) -> String {
    link(base_url, "/invite", token)
}

/// What the mail of an invitation says.
pub struct Invitation {
    pub org: String,
    pub project: Option<String>,
    pub role: String,
    /// Name and address.
    pub invited_by: String,
    pub expires_at: Timestamp,
}

/// Invites somebody.
pub fn invite(base_url: &Url, invitation: Invitation, token: &Token) -> Rendered {
    let Invitation {
        org,
        project,
        role,
        invited_by,
        expires_at,
    } = invitation;
    let mut facts = vec![("Organisation", org)];
    facts.extend(project.map(|project| ("Project", project)));
    facts.extend([
        ("Role", role),
        ("Invited by", invited_by),
        ("Good until", expires_at.to_string()),
    ]);
    Letter::to("", "You have an invitation")
        .text("you are invited to work with others in Strongroom.")
        .facts(facts)
        .button("See the invitation", invite_link(base_url, token))
        .text("The link is for you alone: whoever opens it can join in your place. It works once.")
        .text("For programs: POST to /v1/invites/<token>/accept.")
        .text("If you do not know who invites you, ignore this mail: nobody joins without the link.")
        .render()
}

/// A mail that only tells of something, from its stored data. `None` for a template that brings a code or a link.
pub fn notice(template: Template, first_name: &str, data: &Map<String, Value>) -> Option<Rendered> {
    let fact = |name: &str| match data.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "unknown".to_owned(),
    };
    let letter = |subject: &str| Letter::to(first_name, subject);
    let letter = match template {
        Template::NewSignIn => letter("New sign-in to your account")
            .text("somebody signed in to your account from a place that we have not seen before.")
            .facts(vec![
                ("Time", fact("at")),
                ("Address", fact("ip")),
                ("Program", fact("user_agent")),
            ])
            .text("Was it not you? Change your password and end your other sessions."),
        Template::SessionReused => letter("One of your sessions was ended")
            .text("its refresh token was used twice, as if somebody had copied it. The session has ended for everybody who had it; sign in again where you need it.")
            .facts(vec![
                ("Time", fact("at")),
                ("Address", fact("ip")),
                ("Program", fact("user_agent")),
            ]),
        Template::PasswordChanged => letter("Your password was changed")
            .text("the password of your account was changed. Your other sessions have ended."),
        Template::SecondFactorChanged => letter("Two-factor sign-in was changed").text(fact("what")),
        Template::RecoveryCodeUsed => letter("A recovery code was used")
            .text("somebody signed in to your account with one of your recovery codes. It does not work again.")
            .facts(vec![("Codes left", fact("left"))]),
        Template::AddressAdded => letter("An address was added to your account")
            .text("an e-mail address was added to your account. It can be used once it is verified.")
            .facts(vec![("Address", fact("address"))]),
        Template::AddressRemoved => letter("An address was removed from your account")
            .text("an e-mail address was removed from your account.")
            .facts(vec![("Address", fact("address"))]),
        Template::DefaultAddressChanged => letter("Your default address was changed")
            .text("another e-mail address is now the default of your account. Mails go there from now on.")
            .facts(vec![("Address", fact("address"))]),
        Template::WebhookDisabled => return Some(webhook_disabled(letter("A webhook was switched off"), &fact)),
        Template::PaymentFailed => return Some(payment_failed(letter("A payment did not go through"), &fact)),
        Template::TrialEnding => return Some(trial_ending(letter("Your trial ends soon"), &fact)),
        Template::LimitNotice => return Some(limit_notice(letter("A limit of your plan"), &fact)),
        Template::VerifyEmail
        | Template::SignInCode
        | Template::RegistrationCode
        | Template::ResetPassword
        | Template::Invite => {
            return None;
        }
    };
    Some(
        letter
            .text("Was it not you? Reset your password and tell your administrator.")
            .render(),
    )
}

/// Goes to the owners of an organisation, about no account of theirs.
fn webhook_disabled(letter: Letter, fact: &impl Fn(&str) -> String) -> Rendered {
    letter
        .text("a webhook of your organisation was switched off by itself. From now on it is told of nothing.")
        .facts(vec![
            ("Organisation", fact("org")),
            ("Webhook", fact("webhook")),
            ("Host", fact("host")),
            ("Reason", fact("reason")),
        ])
        .text("Once its receiver works again, switch it on with PATCH `enabled: true`. What happened meanwhile is not lost: `recover_webhook` delivers it.")
        .render()
}

/// Goes to the owners of an organisation whose invoice is not paid.
fn payment_failed(letter: Letter, fact: &impl Fn(&str) -> String) -> Rendered {
    letter
        .text("an invoice of your organisation could not be collected.")
        .facts(vec![
            ("Organisation", fact("org")),
            ("Plan", fact("plan")),
            ("The plan goes on until", fact("until")),
        ])
        .text("Open the organisation's billing page (create_portal_session) and pay, or set another means of payment. After that day the limits of the free plan hold. Nothing is deleted, and secrets can be read whatever happens.")
        .render()
}

/// Goes to the owners of an organisation whose trial is about to end.
fn trial_ending(letter: Letter, fact: &impl Fn(&str) -> String) -> Rendered {
    letter
        .text("the trial of your organisation ends soon. From then on the plan is charged for.")
        .facts(vec![("Organisation", fact("org")), ("The trial ends", fact("end"))])
        .text("To stop it, open the organisation's billing page (create_portal_session) before that day.")
        .render()
}

/// Goes to the owners of an organisation, about no account of theirs.
fn limit_notice(letter: Letter, fact: &impl Fn(&str) -> String) -> Rendered {
    letter
        .text("your organisation has used most of what its plan allows, or all of it.")
        .facts(vec![
            ("Organisation", fact("org")),
            ("What", fact("what")),
            ("Used", fact("used")),
            ("Allowed", fact("max")),
        ])
        .text("Nothing stops working: what is there can be read, changed and deleted. When the limit is reached no more can be made.")
        .render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::token::TokenKind;
    use crate::kernel::Rng;

    #[test]
    fn names_are_escaped_and_the_link_is_ours() {
        let token = Token::generate(&Rng::seeded(1), TokenKind::Link).unwrap();
        let base = Url::parse("https://vault.example.com").unwrap();
        let mail = verify_email(&base, "<b>Dana</b>", &token, &Secret::new("012345".to_owned()));
        assert!(!mail.html.contains("<b>Dana"));
        let link = format!("https://vault.example.com/verify-email#token={}", token.expose());
        assert!(mail.text.contains(&link) && mail.html.contains(&link));
        assert!(mail.text.contains("    012345\n") && mail.html.contains(">012345<"));
    }

    #[test]
    fn an_invitation_says_who_invites_where_to() {
        let token = Token::generate(&Rng::seeded(1), TokenKind::Invite).unwrap();
        let base = Url::parse("https://vault.example.com").unwrap();
        let says = |project: Option<&str>| Invitation {
            org: "<i>Acme</i>".to_owned(),
            project: project.map(str::to_owned),
            role: "developer".to_owned(),
            invited_by: "Dana Scully (dana@example.com)".to_owned(),
            expires_at: Timestamp(1_900_000_000_000_000),
        };
        let mail = invite(&base, says(Some("Web")), &token);
        let link = format!("https://vault.example.com/invite#token={}", token.expose());
        assert!(mail.text.contains(&link) && mail.html.contains(&link));
        assert!(
            mail.text
                .contains("Project: Web\nRole: developer\nInvited by: Dana Scully (dana@example.com)\n")
        );
        assert!(mail.text.contains("Organisation: <i>Acme</i>\n") && !mail.html.contains("<i>"));
        assert!(!invite(&base, says(None), &token).text.contains("Project"));
    }

    #[test]
    fn every_template_is_a_notice_or_brings_a_secret() {
        let data = Map::from_iter([("address".to_owned(), Value::from("<i>@example.com"))]);
        let notices: Vec<_> = Template::ALL.iter().filter_map(|t| notice(*t, "Dana", &data)).collect();
        assert_eq!(notices.len(), Template::ALL.len() - 5);
        for mail in &notices {
            assert!(
                mail.text.starts_with("Hello Dana,\n\n") && !mail.html.contains("<i>"),
                "{}",
                mail.html
            );
        }
    }
}
