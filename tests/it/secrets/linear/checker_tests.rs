//! The checker finds what it is for, and nothing in a history that has an order.

use super::checker::{Call, Seen, Violation, What, Written, check};

fn call(invoked: u64, returned: u64, what: What) -> Call {
    Call {
        invoked,
        returned,
        what,
    }
}

fn written(key: &str, version: u64, expected: Option<u64>) -> Written {
    Written {
        key: key.to_owned(),
        version,
        value: format!("{key}{version}"),
        expected,
    }
}

fn write(invoked: u64, returned: u64, key: &str, version: u64) -> Call {
    call(invoked, returned, What::Wrote(vec![written(key, version, None)]))
}

fn seen(key: &str, version: u64) -> Seen {
    let value = if version == 0 {
        String::new()
    } else {
        format!("{key}{version}")
    };
    Seen {
        key: key.to_owned(),
        version,
        value,
    }
}

fn read(invoked: u64, returned: u64, key: &str, version: u64) -> Call {
    call(invoked, returned, What::Read(vec![seen(key, version)]))
}

fn unanswered(invoked: u64, key: &str, value: &str) -> Call {
    let values = vec![(key.to_owned(), value.to_owned())];
    call(invoked, u64::MAX, What::Unanswered(values))
}

fn key() -> String {
    "K".to_owned()
}

#[test]
fn a_history_that_has_an_order_is_free_of_violations() {
    let together = What::Wrote(vec![written("A", 1, None), written("B", 1, None)]);
    let history = [
        write(1, 4, "K", 1),
        // At the same time as the first write: both may come first.
        write(2, 3, "K", 2),
        read(2, 5, "K", 1),
        read(5, 6, "K", 2),
        call(7, 9, What::Wrote(vec![written("K", 3, Some(2))])),
        call(
            8,
            10,
            What::Refused {
                key: key(),
                expected: 2,
                current: 3,
            },
        ),
        call(11, 12, together),
        call(10, 12, What::Read(vec![seen("A", 0), seen("B", 0)])),
        call(11, 13, What::Read(vec![seen("A", 1), seen("B", 1)])),
        unanswered(14, "K", "K4"),
        write(15, 16, "K", 5),
        read(17, 18, "K", 5),
        // What was not answered may happen late.
        unanswered(14, "K", "K6"),
        read(19, 20, "K", 6),
    ];
    assert_eq!(check(&history), []);
}

#[test]
fn a_version_given_twice_is_found() {
    let history = [write(1, 3, "K", 1), write(2, 4, "K", 1)];
    let repeated = Violation::Repeated { key: key(), version: 1 };
    assert_eq!(check(&history), [repeated]);
}

#[test]
fn a_version_given_to_nobody_is_found() {
    let gap = Violation::Gap { key: key(), version: 2 };
    assert_eq!(check(&[write(1, 2, "K", 1), write(3, 4, "K", 3)]), [gap]);
    let excused = [write(1, 2, "K", 1), unanswered(2, "K", "K2"), write(3, 4, "K", 3)];
    assert_eq!(check(&excused), []);
    // One write that was not answered excuses one version.
    let gap = Violation::Gap { key: key(), version: 3 };
    assert_eq!(
        check(&[write(1, 2, "K", 1), unanswered(2, "K", "K2"), write(3, 4, "K", 4)]),
        [gap]
    );
}

#[test]
fn a_later_write_with_a_lower_version_is_found() {
    let order = Violation::Order {
        key: key(),
        version: 1,
        known: 2,
    };
    assert_eq!(check(&[write(1, 2, "K", 2), write(3, 4, "K", 1)]), [order]);
    // A read is enough to know a version.
    let history = [write(1, 9, "K", 2), read(2, 3, "K", 2), write(4, 5, "K", 1)];
    let order = Violation::Order {
        key: key(),
        version: 1,
        known: 2,
    };
    assert_eq!(check(&history), [order]);
}

#[test]
fn a_read_of_less_than_was_known_is_found() {
    let stale = || Violation::Stale {
        key: key(),
        version: 1,
        known: 2,
    };
    let writes = [write(1, 2, "K", 1), write(3, 8, "K", 2)];
    let after_the_write = [&writes[..], &[read(9, 10, "K", 1)]].concat();
    assert_eq!(check(&after_the_write), [stale()]);
    let after_another_read = [&writes[..], &[read(4, 5, "K", 2), read(6, 7, "K", 1)]].concat();
    assert_eq!(check(&after_another_read), [stale()]);
    let refused = What::Refused {
        key: key(),
        expected: 7,
        current: 1,
    };
    assert_eq!(check(&[&writes[..], &[call(9, 10, refused)]].concat()), [stale()]);
}

#[test]
fn a_read_of_what_was_not_yet_written_is_found() {
    let history = [read(1, 2, "K", 1), write(3, 4, "K", 1)];
    let order = Violation::Order {
        key: key(),
        version: 1,
        known: 1,
    };
    let future = Violation::Future { key: key(), version: 1 };
    assert_eq!(check(&history), [order, future]);
}

#[test]
fn another_value_than_was_written_is_found() {
    let value = |version| Violation::Value { key: key(), version };
    let mut other = seen("K", 1);
    other.value = "other".to_owned();
    assert_eq!(
        check(&[write(1, 2, "K", 1), call(3, 4, What::Read(vec![other]))]),
        [value(1)]
    );
    let history = [unanswered(1, "K", "neither"), read(2, 3, "K", 1)];
    assert_eq!(check(&history), [value(1)]);
}

#[test]
fn half_of_what_was_written_together_is_found() {
    let together = call(1, 4, What::Wrote(vec![written("A", 1, None), written("B", 1, None)]));
    let torn = Violation::Torn {
        seen: "A".to_owned(),
        missed: "B".to_owned(),
        version: 1,
    };
    let half = call(2, 3, What::Read(vec![seen("A", 1), seen("B", 0)]));
    assert_eq!(check(&[together, half]), [torn]);
}

#[test]
fn a_demand_that_was_decided_wrongly_is_found() {
    let condition = Violation::Condition {
        key: key(),
        version: 2,
        expected: 0,
    };
    let history = [
        write(1, 2, "K", 1),
        call(3, 4, What::Wrote(vec![written("K", 2, Some(0))])),
    ];
    assert_eq!(check(&history), [condition], "it won and should have lost");
    let condition = Violation::Condition {
        key: key(),
        version: 1,
        expected: 1,
    };
    let refused = What::Refused {
        key: key(),
        expected: 1,
        current: 1,
    };
    assert_eq!(
        check(&[write(1, 2, "K", 1), call(3, 4, refused)]),
        [condition],
        "it lost and should have won"
    );
}
