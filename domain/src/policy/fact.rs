//! Roles and rules that were weighed for a decision, as people see them.

use super::put_rule::SUPPOSED;
use super::subject::NamedSubject;
use crate::access::decide::explain::{Considered, Outcome, Source};
use crate::access::facts::{AclRule, Effect, Membership, Subject};
use crate::access::{Inquiry, Permission};
use crate::kernel::id::{AclRuleId, RoleId};
use crate::kernel::{Reads, Result, Timestamp};
use crate::projects::lookup::{self, Names};

/// What a fact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A role that is held.
    Role {
        id: RoleId,
        name: String,
        /// Slug of the project that it is held in; `None` = in the whole organisation.
        project: Option<String>,
    },
    /// A rule that applies.
    Rule {
        /// `None` for one that is only supposed and would be new.
        id: Option<AclRuleId>,
        /// The very subject, or a role that it holds.
        subject: NamedSubject,
        /// In the names that the caller may know.
        pattern: String,
        effect: Effect,
    },
}

/// A fact that was weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub ground: Ground,
    /// What it says of the permission that was asked for, in whatever class.
    pub permissions: Vec<String>,
    /// From this instant on it counts as absent.
    pub expires_at: Option<Timestamp>,
    pub outcome: Outcome,
    /// It is the rule that the question supposes.
    pub is_supposed: bool,
}

/// What it takes to show the facts of one question.
pub(super) struct View<'a> {
    inquiry: &'a Inquiry,
    permission: Permission,
    /// The rule that the question supposes.
    supposed: Option<AclRuleId>,
    names: Names,
}

impl<'a> View<'a> {
    /// For facts among which there are no rules but these.
    pub(super) async fn new(
        from: &impl Reads,
        inquiry: &'a Inquiry,
        permission: Permission,
        supposed: Option<AclRuleId>,
        rules: &[AclRule],
    ) -> Result<Self> {
        let patterns: Vec<_> = rules.iter().map(|rule| &rule.pattern).collect();
        Ok(Self {
            inquiry,
            permission,
            supposed,
            names: lookup::of_patterns(from, &patterns).await?,
        })
    }

    /// A fact about somebody who holds these roles.
    pub(super) fn fact(&self, weighed: Considered<'_>, about: &NamedSubject, held: &[Membership]) -> Fact {
        let Considered { source, outcome } = weighed;
        let (ground, expires_at, is_supposed) = match source {
            Source::Role(membership) => (self.role(membership), membership.expires_at, false),
            Source::Rule(rule) => (
                self.rule(rule, about, held),
                rule.expires_at,
                self.supposed == Some(rule.id),
            ),
        };
        Fact {
            ground,
            permissions: source.says_of(self.permission).to_list(),
            expires_at,
            outcome,
            is_supposed,
        }
    }

    fn role(&self, held: &Membership) -> Ground {
        // A role that counts is held in the project of the question, or above it.
        let project = held.project.and(self.inquiry.project.as_ref());
        Ground::Role {
            id: held.role,
            name: held.role_name.clone(),
            project: project.map(|project| project.slug.clone()),
        }
    }

    fn rule(&self, rule: &AclRule, about: &NamedSubject, held: &[Membership]) -> Ground {
        let subject = match rule.subject {
            Subject::User(_) | Subject::ServiceAccount(_) => about.clone(),
            Subject::Role(id) => {
                let held = held.iter().find(|held| held.role == id);
                NamedSubject {
                    subject: rule.subject,
                    label: held.map(|held| held.role_name.clone()).unwrap_or_default(),
                }
            }
        };
        Ground::Rule {
            id: (rule.id != SUPPOSED).then_some(rule.id),
            subject,
            pattern: self.names.text_for(&rule.pattern, self.inquiry),
            effect: rule.effect,
        }
    }
}
