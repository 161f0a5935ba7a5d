//! Histories by chance: few keys and few values, so that they meet again and again, and now and then what must be
//! refused.

use std::collections::BTreeMap;

use domain::secrets::format::{Format, write};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::environment::Environment;
use super::many::World;
use super::operation::{Demand, Entry, OfEnvironment, OfProject, OfSecret, Operation, Route};

const KEYS: [&str; 8] = ["A", "B", "C", "DB_URL", "E", "F.x", "G-y", "_h"];
/// What is no key. Sorts before all keys.
const NO_KEY: &str = "9A";
/// The key that two secrets trade their keys by.
const BETWEEN: &str = "BETWEEN";
const VALUES: [&str; 7] = ["", "one", "two", "3", "a 'b' \"c\"", "two\nlines", "naïve 🦀 $HOME"];
const COMMENTS: [&str; 4] = ["", "why", "ours", "an other one"];
const PINS: [&str; 3] = ["release-1", "blue", "7"];
const FORMATS: [Format; 6] = [
    Format::Dotenv,
    Format::Json,
    Format::Yaml,
    Format::Shell,
    Format::DockerEnv,
    Format::K8sSecret,
];

pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Whether something happens that happens so many times in a hundred.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100_u32) < percent
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    fn one_of(&mut self, texts: &[&str]) -> String {
        let text = texts.choose(&mut self.0).expect("a choice");
        (*text).to_owned()
    }

    fn sometimes<T>(&mut self, percent: u32, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.percent(percent).then(|| make(self))
    }

    fn new_entry(&mut self) -> Entry {
        let comment = self.sometimes(50, |chance| chance.one_of(&COMMENTS));
        (self.one_of(&VALUES), comment)
    }

    /// Mostly a key that is there.
    fn key_of(&mut self, env: &Environment) -> String {
        let held = env.held();
        match held.choose(&mut self.0) {
            Some(held) if self.percent(80) => held.key.clone(),
            Some(_) | None => self.one_of(&KEYS),
        }
    }

    /// Mostly a version that the key has or had.
    fn version_of(&mut self, env: &Environment, key: &str) -> usize {
        let versions = env.of_key(key).map_or(0, |index| env.secrets[index].version());
        if self.percent(90) {
            self.0.random_range(0..=versions)
        } else {
            versions + 1
        }
    }

    fn demand(&mut self, env: &Environment, key: &str) -> Demand {
        match (self.below(10), env.live_version(key)) {
            (0..=1, Some(version)) => Demand::Version(version),
            (2, _) => Demand::Version(self.version_of(env, key)),
            (_, _) => Demand::Nothing,
        }
    }

    fn secrets<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> BTreeMap<String, T> {
        let mut secrets = BTreeMap::new();
        for _ in 0..self.0.random_range(1..=KEYS.len()) {
            secrets.insert(self.one_of(&KEYS), make(self));
        }
        secrets
    }

    /// What is asked next; several requests only where one makes no sense without the others.
    pub fn operations(&mut self, world: &World) -> Vec<Operation> {
        let env = self.below(2);
        let here = &world.environments[env];
        match self.below(100) {
            0..=61 => self.of_secret(env, here),
            62..=84 => vec![Operation::Environment {
                env,
                what: self.of_environment(here),
            }],
            _ => vec![Operation::Project(self.of_project(world))],
        }
    }

    fn of_secret(&mut self, env: usize, here: &Environment) -> Vec<Operation> {
        let key = self.key_of(here);
        let what = match self.below(62) {
            0..=15 => {
                let demand = if self.percent(5) {
                    Demand::Absence
                } else {
                    self.demand(here, &key)
                };
                OfSecret::Put {
                    new: self.new_entry(),
                    demand,
                }
            }
            16..=19 => {
                let key = if self.percent(5) {
                    NO_KEY.to_owned()
                } else {
                    self.one_of(&KEYS)
                };
                let what = OfSecret::Create { new: self.new_entry() };
                return vec![Operation::Secret { env, key, what }];
            }
            20..=32 => OfSecret::Patch {
                key: self.sometimes(50, |chance| {
                    if chance.percent(4) {
                        NO_KEY.to_owned()
                    } else {
                        chance.one_of(&KEYS)
                    }
                }),
                value: self.sometimes(40, |chance| chance.one_of(&VALUES)),
                comment: self.sometimes(40, |chance| chance.one_of(&COMMENTS)),
                demand: self.demand(here, &key),
            },
            33..=35 => return self.swap(env, here),
            36..=43 => OfSecret::Delete {
                demand: self.demand(here, &key),
            },
            44..=48 => {
                let key = self.one_of(&KEYS);
                return vec![Operation::Secret {
                    env,
                    key,
                    what: OfSecret::Restore,
                }];
            }
            49..=53 => OfSecret::RollBack {
                version: self.version_of(here, &key),
                demand: self.demand(here, &key),
            },
            54..=57 => {
                // Also of a secret that is deleted.
                let key = self.one_of(&KEYS);
                let what = OfSecret::Destroy {
                    version: self.version_of(here, &key),
                };
                return vec![Operation::Secret { env, key, what }];
            }
            _ => {
                let version = self.version_of(here, &key);
                OfSecret::Read {
                    version: self.sometimes(70, |_| version),
                }
            }
        };
        vec![Operation::Secret { env, key, what }]
    }

    /// Two secrets trade their keys.
    fn swap(&mut self, env: usize, here: &Environment) -> Vec<Operation> {
        let (one, other) = (self.key_of(here), self.key_of(here));
        let renames = [
            (one.as_str(), BETWEEN),
            (other.as_str(), one.as_str()),
            (BETWEEN, other.as_str()),
        ];
        let rename = |(from, to): (&str, &str)| Operation::Secret {
            env,
            key: from.to_owned(),
            what: OfSecret::Patch {
                key: Some(to.to_owned()),
                value: None,
                comment: None,
                demand: Demand::Nothing,
            },
        };
        renames.map(rename).into()
    }

    fn of_environment(&mut self, here: &Environment) -> OfEnvironment {
        let (is_replace, is_dry_run) = (self.percent(25), self.percent(10));
        match self.below(23) {
            0..=6 => {
                let mut secrets = self.secrets(Self::new_entry);
                if self.percent(5) {
                    secrets.insert(NO_KEY.to_owned(), self.new_entry());
                }
                OfEnvironment::Set {
                    secrets,
                    is_replace,
                    is_dry_run,
                }
            }
            7..=10 => {
                let secrets = self.secrets(|chance| chance.one_of(&VALUES));
                let format = self.format_of(&secrets);
                OfEnvironment::Import {
                    format,
                    secrets,
                    is_replace,
                    is_dry_run,
                }
            }
            11..=13 => {
                let mut keys: Vec<_> = here.held().into_iter().map(|held| held.key).collect();
                keys.retain(|_| self.percent(40));
                if keys.is_empty() || self.percent(10) {
                    keys.push(self.one_of(&KEYS));
                }
                OfEnvironment::Delete { keys }
            }
            14..=18 => {
                let number = self.0.random_range(0..=here.revision() + 1);
                let to = if self.percent(30) {
                    self.one_of(&["release-1", "blue"])
                } else {
                    number.to_string()
                };
                OfEnvironment::RollBack { to, is_dry_run }
            }
            19..=21 => {
                let name = self.one_of(&PINS);
                let number = self.0.random_range(0..=here.revision() + 1);
                // One thing is wrong at most.
                let revision = self.sometimes(60, |_| number).filter(|_| name != "7");
                OfEnvironment::Pin { name, revision }
            }
            _ => OfEnvironment::Unpin {
                name: self.one_of(&["release-1", "blue"]),
            },
        }
    }

    /// A format that can hold the values.
    fn format_of(&mut self, secrets: &BTreeMap<String, String>) -> Format {
        let entries = || secrets.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let format = *FORMATS.choose(&mut self.0).expect("a choice");
        if write(format, entries(), "model").is_ok() {
            format
        } else {
            Format::Json
        }
    }

    fn of_project(&mut self, world: &World) -> OfProject {
        let from = self.below(2);
        let source = &world.environments[from];
        match (self.below(15), &world.plan) {
            (0..=4, Some((route, _))) => OfProject::CarryOut(route.clone()),
            (0..=8, _) => OfProject::Plan(self.route(from, source)),
            (9..=12, _) => OfProject::Promote(self.route(from, source)),
            (_, _) => OfProject::RotateKey,
        }
    }

    fn route(&mut self, from: usize, source: &Environment) -> Route {
        let keys = self.sometimes(50, |chance| {
            let mut keys: Vec<_> = source.held().into_iter().map(|held| held.key).collect();
            keys.retain(|_| chance.percent(50));
            let other = chance.one_of(&KEYS);
            if (keys.is_empty() || chance.percent(10)) && !keys.contains(&other) {
                keys.push(other);
            }
            keys
        });
        Route {
            from,
            keys: keys.filter(|keys| !keys.is_empty()),
            is_replace: self.percent(25),
        }
    }
}
