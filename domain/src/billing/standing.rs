//! What a subscription entitles to: a pure function of what Stripe says and the time.

use std::cmp::Reverse;
use std::time::Duration;

use super::gateway::Subscription;
use crate::kernel::Timestamp;

/// How long a plan goes on while an invoice is not paid.
pub const GRACE: Duration = Duration::from_hours(14 * 24);

/// The status of a subscription, as Stripe names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Trialing,
    Active,
    /// An invoice is not paid.
    PastDue,
    /// Stripe has given up collecting.
    Unpaid,
    /// A trial ended without a means of payment.
    Paused,
    /// The first payment is under way, 23 hours at most.
    Incomplete,
    IncompleteExpired,
    Canceled,
    /// Of a newer version of Stripe.
    Unknown(String),
}

impl Status {
    pub fn parse(text: &str) -> Self {
        match text {
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "canceled" => Self::Canceled,
            other => Self::Unknown(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Canceled => "canceled",
            Self::Unknown(text) => text,
        }
    }

    /// Whether nothing will come of it any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// Whether a second subscription beside it would be one too many. A first payment that is under way is none yet.
    pub const fn blocks_another(&self) -> bool {
        !self.is_over() && !matches!(self, Self::Incomplete)
    }

    /// Of several subscriptions the one with the lowest counts.
    const fn rank(&self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Trialing => 1,
            Self::PastDue => 2,
            Self::Unpaid => 3,
            Self::Paused => 4,
            Self::Unknown(_) => 5,
            Self::Incomplete => 6,
            Self::Canceled | Self::IncompleteExpired => 7,
        }
    }
}

/// What a status entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// The plan that is paid for.
    Paid,
    /// The free plan.
    Free,
    /// Whatever it was: nothing is decided yet, or we do not know what is said.
    Keep,
}

/// Status → access.
pub fn entitlement(status: &Status, grace_until: Option<Timestamp>, now: Timestamp) -> Entitlement {
    match status {
        Status::Trialing | Status::Active => Entitlement::Paid,
        Status::PastDue if grace_until.is_none_or(|until| now < until) => Entitlement::Paid,
        Status::PastDue | Status::Unpaid | Status::Paused | Status::Canceled | Status::IncompleteExpired => {
            Entitlement::Free
        }
        Status::Incomplete | Status::Unknown(_) => Entitlement::Keep,
    }
}

/// The subscription that counts, of all that a customer has or had: the best by status, then the newest.
pub fn choose(all: &[Subscription]) -> Option<&Subscription> {
    all.iter().min_by(|one, other| order(one).cmp(&order(other)))
}

fn order(subscription: &Subscription) -> (u8, Reverse<Timestamp>, &str) {
    (
        subscription.status.rank(),
        Reverse(subscription.created),
        subscription.id.as_str(),
    )
}

/// How many are paid for, or will be: more than one is a mistake that somebody should hear of.
pub fn live(all: &[Subscription]) -> usize {
    all.iter()
        .filter(|subscription| subscription.status.blocks_another())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] = [
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "incomplete",
        "incomplete_expired",
        "canceled",
    ];

    fn subscription(id: &str, status: &str, created: i64) -> Subscription {
        Subscription {
            id: id.to_owned(),
            customer: "cus_1".to_owned(),
            status: Status::parse(status),
            created: Timestamp(created),
            items: Vec::new(),
            cancel_at_period_end: false,
            cancel_at: None,
            trial_end: None,
            org_id: None,
            deployment: None,
        }
    }

    fn chosen(all: &[(&str, &str, i64)]) -> Option<String> {
        let all: Vec<_> = all
            .iter()
            .map(|(id, status, created)| subscription(id, status, *created))
            .collect();
        choose(&all).map(|chosen| chosen.id.clone())
    }

    #[test]
    fn every_status_reads_back_and_an_unknown_one_is_kept() {
        for text in ALL {
            let status = Status::parse(text);
            assert_eq!(status.as_str(), text);
            assert!(!matches!(status, Status::Unknown(_)));
        }
        assert_eq!(Status::parse("hibernating"), Status::Unknown("hibernating".to_owned()));
    }

    #[test]
    fn a_status_gives_what_the_table_says() {
        let now = Timestamp(1_900_000_000_000_000);
        let given = |text: &str, grace| entitlement(&Status::parse(text), grace, now);
        for text in ["trialing", "active"] {
            assert_eq!(given(text, None), Entitlement::Paid, "{text}");
        }
        for text in ["unpaid", "paused", "canceled", "incomplete_expired"] {
            assert_eq!(given(text, None), Entitlement::Free, "{text}");
        }
        for text in ["incomplete", "hibernating"] {
            assert_eq!(given(text, None), Entitlement::Keep, "{text}");
        }
    }

    #[test]
    fn who_is_behind_keeps_the_plan_until_the_grace_is_over() {
        let since = Timestamp(1_900_000_000_000_000);
        let until = since + GRACE;
        let at = |now| entitlement(&Status::PastDue, Some(until), now);
        assert_eq!(at(since), Entitlement::Paid);
        assert_eq!(at(until - Duration::from_micros(1)), Entitlement::Paid);
        assert_eq!(at(until), Entitlement::Free);
        assert_eq!(entitlement(&Status::PastDue, None, since), Entitlement::Paid);
    }

    #[test]
    fn of_several_the_best_counts_and_then_the_newest() {
        assert_eq!(chosen(&[]), None);
        let old_and_new = [
            ("sub_1", "canceled", 1),
            ("sub_2", "active", 2),
            ("sub_3", "canceled", 3),
        ];
        assert_eq!(chosen(&old_and_new).as_deref(), Some("sub_2"));
        let two = [("sub_1", "active", 1), ("sub_2", "active", 2), ("sub_3", "past_due", 3)];
        assert_eq!(chosen(&two).as_deref(), Some("sub_2"));
        let behind = [
            ("sub_1", "past_due", 1),
            ("sub_2", "incomplete", 2),
            ("sub_3", "unpaid", 3),
        ];
        assert_eq!(chosen(&behind).as_deref(), Some("sub_1"));
        let over = [("sub_1", "canceled", 1), ("sub_2", "incomplete_expired", 2)];
        assert_eq!(chosen(&over).as_deref(), Some("sub_2"));
    }

    #[test]
    fn a_first_payment_under_way_stands_in_nobodys_way() {
        for text in ["trialing", "active", "past_due", "unpaid", "paused", "hibernating"] {
            assert!(Status::parse(text).blocks_another(), "{text}");
        }
        for text in ["incomplete", "incomplete_expired", "canceled"] {
            assert!(!Status::parse(text).blocks_another(), "{text}");
        }
        let all = [subscription("a", "active", 1), subscription("b", "incomplete", 2)];
        assert_eq!(live(&all), 1);
    }
}
