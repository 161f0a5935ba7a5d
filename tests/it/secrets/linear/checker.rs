//! Whether a history of calls can be put into one order that agrees with time: each call takes effect at one moment
//! between its beginning and its end. Writes are answered with their versions, so the order is given and the check
//! is exact, and sorting is all that it costs.

use std::collections::BTreeMap;

/// A value that a call stored.
#[derive(Clone, Debug)]
pub struct Written {
    pub key: String,
    pub version: u64,
    pub value: String,
    /// The version that the caller demanded.
    pub expected: Option<u64>,
}

/// A value that a call read; version 0 of a key that was not there.
#[derive(Clone, Debug)]
pub struct Seen {
    pub key: String,
    pub version: u64,
    pub value: String,
}

#[derive(Clone, Debug)]
pub enum What {
    /// All at once. Keys that are written together are never written apart.
    Wrote(Vec<Written>),
    /// All at once.
    Read(Vec<Seen>),
    /// The caller demanded another version than the one that it was told of.
    Refused { key: String, expected: u64, current: u64 },
    /// No answer came: it may have been done, or may still be, or not. Counts for each of the keys.
    Unanswered(Vec<(String, String)>),
}

/// A call, with the instants of one clock, in any unit.
#[derive(Clone, Debug)]
pub struct Call {
    pub invoked: u64,
    pub returned: u64,
    pub what: What,
}

/// What no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two writes were given one version.
    Repeated { key: String, version: u64 },
    /// A version that no write was given, acknowledged or unanswered.
    Gap { key: String, version: u64 },
    /// A write that began after a higher version was known, or after this one was.
    Order { key: String, version: u64, known: u64 },
    /// A read that began after a higher version was known.
    Stale { key: String, version: u64, known: u64 },
    /// A read that ended before the write began that made what it saw.
    Future { key: String, version: u64 },
    /// A version with another value than the one that was written.
    Value { key: String, version: u64 },
    /// One of the keys that were written together was seen, and not the other.
    Torn { seen: String, missed: String, version: u64 },
    /// A demand that was met although the version was another, or was refused although it was that one.
    Condition { key: String, version: u64, expected: u64 },
}

/// A version of one key as a call was told of it.
#[derive(Clone, Copy)]
struct Point {
    version: u64,
    invoked: u64,
    returned: u64,
    is_write: bool,
}

/// Everything that contradicts an order; nothing when there is one.
pub fn check(calls: &[Call]) -> Vec<Violation> {
    let writes = Writes::of(calls);
    let mut found = writes.faults(calls);
    for (key, points) in points(calls) {
        found.extend(out_of_order(key, points));
    }
    for call in calls {
        match &call.what {
            What::Wrote(written) => found.extend(written.iter().filter_map(unmet)),
            What::Refused { key, expected, current } if expected == current => found.push(Violation::Condition {
                key: key.clone(),
                version: *current,
                expected: *expected,
            }),
            What::Refused { key, current, .. } => found.extend(writes.future(call, key, *current)),
            What::Read(seen) => {
                for one in seen {
                    found.extend(writes.future(call, &one.key, one.version));
                    found.extend(writes.other_value(one));
                    found.extend(writes.torn(one, seen));
                }
            }
            What::Unanswered(_) => {}
        }
    }
    found
}

fn unmet(written: &Written) -> Option<Violation> {
    let expected = written.expected?;
    (written.version != expected + 1).then(|| Violation::Condition {
        key: written.key.clone(),
        version: written.version,
        expected,
    })
}

/// Versions of each key in the calls that told of them.
fn points(calls: &[Call]) -> BTreeMap<&str, Vec<Point>> {
    let mut points: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for call in calls {
        let mut add = |key, version, is_write| {
            points.entry(key).or_default().push(Point {
                version,
                invoked: call.invoked,
                returned: call.returned,
                is_write,
            });
        };
        match &call.what {
            What::Wrote(written) => {
                for one in written {
                    add(one.key.as_str(), one.version, true);
                }
            }
            What::Read(seen) => {
                for one in seen {
                    add(one.key.as_str(), one.version, false);
                }
            }
            What::Refused { key, current, .. } => add(key.as_str(), *current, false),
            What::Unanswered(_) => {}
        }
    }
    points
}

/// Goes through the calls as they began, and knows the highest version of those that had ended by then.
fn out_of_order(key: &str, mut begun: Vec<Point>) -> Vec<Violation> {
    let mut ended = begun.clone();
    begun.sort_by_key(|point| point.invoked);
    ended.sort_by_key(|point| point.returned);
    let mut ended = ended.into_iter().peekable();
    let (mut known, mut found) = (0, Vec::new());
    for Point {
        version,
        invoked,
        is_write,
        ..
    } in begun
    {
        while let Some(earlier) = ended.next_if(|earlier| earlier.returned < invoked) {
            known = known.max(earlier.version);
        }
        let key = key.to_owned();
        if is_write && version <= known {
            found.push(Violation::Order { key, version, known });
        } else if !is_write && version < known {
            found.push(Violation::Stale { key, version, known });
        }
    }
    found
}

/// Who wrote what.
struct Writes<'a> {
    /// The call that was given a version of a key, all that it wrote, and this of it.
    made: BTreeMap<(&'a str, u64), (&'a Call, &'a [Written], &'a Written)>,
    /// Values whose writes nobody answered.
    unanswered: BTreeMap<&'a str, Vec<&'a str>>,
    repeated: Vec<Violation>,
}

impl<'a> Writes<'a> {
    fn of(calls: &'a [Call]) -> Self {
        let mut writes = Self {
            made: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            repeated: Vec::new(),
        };
        for call in calls {
            match &call.what {
                What::Wrote(together) => {
                    for one in together {
                        writes.add(call, together, one);
                    }
                }
                What::Unanswered(values) => {
                    for (key, value) in values {
                        writes.unanswered.entry(key).or_default().push(value);
                    }
                }
                What::Read(_) | What::Refused { .. } => {}
            }
        }
        writes
    }

    fn add(&mut self, call: &'a Call, together: &'a [Written], one: &'a Written) {
        let place = (one.key.as_str(), one.version);
        if self.made.insert(place, (call, together, one)).is_some() {
            self.repeated.push(Violation::Repeated {
                key: one.key.clone(),
                version: one.version,
            });
        }
    }

    /// Versions given twice, and versions given to nobody though a higher one was given or seen.
    fn faults(&self, calls: &[Call]) -> Vec<Violation> {
        let mut found = self.repeated.clone();
        for (key, points) in points(calls) {
            let highest = points.iter().map(|point| point.version).max().unwrap_or_default();
            let missing: Vec<_> = (1..=highest)
                .filter(|version| !self.made.contains_key(&(key, *version)))
                .collect();
            let unanswered = self.unanswered.get(key).map_or(0, Vec::len);
            found.extend(missing.into_iter().skip(unanswered).map(|version| Violation::Gap {
                key: key.to_owned(),
                version,
            }));
        }
        found
    }

    fn future(&self, call: &Call, key: &str, version: u64) -> Option<Violation> {
        let (write, _, _) = self.made.get(&(key, version))?;
        (write.invoked > call.returned).then(|| Violation::Future {
            key: key.to_owned(),
            version,
        })
    }

    fn other_value(&self, seen: &Seen) -> Option<Violation> {
        let Seen { key, version, value } = seen;
        let is_as_written = match self.made.get(&(key.as_str(), *version)) {
            Some((_, _, written)) => written.value == *value,
            None if *version == 0 => value.is_empty(),
            None => {
                let unanswered = self.unanswered.get(key.as_str());
                unanswered.is_some_and(|values| values.contains(&value.as_str()))
            }
        };
        (!is_as_written).then(|| Violation::Value {
            key: key.clone(),
            version: *version,
        })
    }

    /// Whoever saw one of the keys that were written together saw the others at least as they were written then.
    fn torn(&self, one: &Seen, all: &[Seen]) -> Option<Violation> {
        let (_, together, _) = self.made.get(&(one.key.as_str(), one.version))?;
        let missed = |other: &&Written| {
            let seen = all.iter().find(|seen| seen.key == other.key);
            seen.is_some_and(|seen| seen.version < other.version)
        };
        together.iter().find(missed).map(|other| Violation::Torn {
            seen: one.key.clone(),
            missed: other.key.clone(),
            version: one.version,
        })
    }
}
