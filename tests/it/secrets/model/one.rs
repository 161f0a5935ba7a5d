//! What the API must answer to a request about one secret, and what is there afterwards.

use domain::secrets::key::is_key;
use serde_json::json;

use super::change::{Change, Now};
use super::environment::Environment;
use super::expected::{Expected, Prediction, invalid, refused};
use super::operation::{Demand, OfSecret};

/// The secret after a change of it alone.
fn written(change: Change) -> (Expected, Environment) {
    let (after, line) = change.close_one();
    let expected = Expected {
        status: if line.status == "created" { 201 } else { 200 },
        body: json!({
            "key": line.key,
            "version": line.version,
            "revision": after.revision(),
            "comment": line.comment,
        }),
    };
    (expected, after)
}

fn not_found() -> Expected {
    refused(404, "not_found")
}

fn check_key(key: &str) -> Result<(), Expected> {
    if is_key(key) { Ok(()) } else { Err(invalid("key")) }
}

impl Demand {
    /// `live` is the version that is there.
    fn check(self, live: Option<usize>) -> Result<(), Expected> {
        let holds = match self {
            Self::Nothing => true,
            Self::Version(version) => live == Some(version),
            Self::Absence => live.is_none(),
        };
        if holds {
            return Ok(());
        }
        let code = json!({ "code": "version_mismatch", "current_version": live.unwrap_or(0) });
        Err(Expected {
            status: 412,
            body: code,
        })
    }
}

impl OfSecret {
    pub fn predict(&self, env: &Environment, key: &str, now: Now) -> Prediction<Environment> {
        let mut change = Change::of(env, now);
        match self {
            Self::Put {
                new: (value, comment),
                demand,
            } => {
                check_key(key)?;
                demand.check(env.live_version(key))?;
                change.put(env.of_key(key), key, value, comment.as_deref());
                Ok(written(change))
            }
            Self::Create { new: (value, comment) } => {
                check_key(key)?;
                if env.live(key).is_some() {
                    return Err(refused(409, "key_taken"));
                }
                change.put(
                    env.of_key(key),
                    key,
                    value,
                    Some(comment.as_deref().unwrap_or_default()),
                );
                Ok(written(change))
            }
            Self::Patch { .. } => self.patch(env, key, change),
            Self::Delete { demand } => {
                let index = env.live(key).ok_or_else(not_found)?;
                demand.check(env.live_version(key))?;
                change.delete(index);
                let (after, line) = change.close_one();
                let body = json!({ "key": line.key, "version": line.version, "revision": after.revision() });
                Ok((Expected { status: 200, body }, after))
            }
            Self::Restore => {
                let index = env.of_key(key).ok_or_else(not_found)?;
                if env.live(key).is_some() {
                    return Err(refused(409, "key_taken"));
                }
                if env.secrets[index].newest().is_destroyed {
                    return Err(refused(409, "conflict"));
                }
                change.restore(index, key);
                Ok(written(change))
            }
            Self::RollBack { version, demand } => {
                let index = env.live(key).ok_or_else(not_found)?;
                demand.check(env.live_version(key))?;
                let old = env.secrets[index].kept(*version).ok_or_else(|| invalid("version"))?;
                change.put(Some(index), key, &old.value, Some(&old.comment));
                Ok(written(change))
            }
            Self::Destroy { version } => destroy(env, key, *version),
            Self::Read { version } => read(env, key, *version),
        }
    }

    fn patch(&self, env: &Environment, key: &str, mut change: Change) -> Prediction<Environment> {
        let Self::Patch {
            key: new_key,
            value,
            comment,
            demand,
        } = self
        else {
            unreachable!("only a patch is asked");
        };
        let new_key = new_key.as_deref().filter(|new_key| *new_key != key);
        new_key.map_or(Ok(()), check_key)?;
        let index = env.live(key).ok_or_else(not_found)?;
        demand.check(env.live_version(key))?;
        if new_key.is_some_and(|new_key| env.live(new_key).is_some()) {
            return Err(refused(409, "key_taken"));
        }
        match (new_key, value, comment) {
            (Some(new_key), None, None) => change.rename(index, new_key),
            (new_key, value, comment) => {
                let value = value.as_ref().unwrap_or(&env.secrets[index].newest().value);
                change.put(Some(index), new_key.unwrap_or(key), value, comment.as_deref());
            }
        }
        Ok(written(change))
    }
}

fn destroy(env: &Environment, key: &str, version: usize) -> Prediction<Environment> {
    let index = env.of_key(key).ok_or_else(not_found)?;
    if env.live_version(key) == Some(version) {
        return Err(refused(409, "conflict"));
    }
    env.secrets[index].kept(version).ok_or_else(not_found)?;
    let mut after = env.clone();
    after.secrets[index].versions[version - 1].is_destroyed = true;
    Ok((Expected::nothing(), after))
}

fn read(env: &Environment, key: &str, version: Option<usize>) -> Prediction<Environment> {
    let index = env.live(key).ok_or_else(not_found)?;
    let number = version.unwrap_or_else(|| env.secrets[index].version());
    let read = env.secrets[index].kept(number).ok_or_else(not_found)?;
    let body = json!({
        "key": key,
        "value": read.value,
        "version": number,
        "comment": read.comment,
        "updated_at": read.at.to_string(),
    });
    Ok((Expected { status: 200, body }, env.clone()))
}
