//! Keys take turns: by the clock, which every worker looks at, and at an operator's word.

use std::time::Duration;

use sea_orm::ConnectionTrait;

use super::Alg;
use super::keys::{self, KeyShown, State};
use crate::crypto::key_store::KeyStore;
use crate::kernel::{Db, Reads, Result, Timestamp, WriteTx};

/// How long a key signs.
const TURN: Duration = Duration::from_hours(30 * 24);
/// How long a key is published before it signs: whoever keeps a copy of the keys has it by then.
const AHEAD: Duration = Duration::from_hours(24);
/// How long a key is published after it signed last: longer than any token lives, and a day.
const KEPT: Duration = Duration::from_hours(2 * 24);

/// What is to be done about the keys of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Make(State),
    TakeOver,
    Forget(String),
}

/// What is due. Pure, so that years can be tested.
fn due(all: &[KeyShown], now: Timestamp) -> Vec<Step> {
    let of = |state| all.iter().find(|key| key.state == state);
    let over = all
        .iter()
        .filter(|key| key.retired_at.is_some_and(|at| now.since(at) >= KEPT));
    let mut steps: Vec<_> = over.map(|key| Step::Forget(key.kid.clone())).collect();
    let Some(active) = of(State::Active) else {
        steps.push(match of(State::Next) {
            None => Step::Make(State::Active),
            Some(_) => Step::TakeOver,
        });
        return steps;
    };
    let signed_for = now.since(active.activated_at.unwrap_or(active.created_at));
    match of(State::Next) {
        None if signed_for + AHEAD >= TURN => steps.push(Step::Make(State::Next)),
        Some(next) if signed_for >= TURN && now.since(next.created_at) >= AHEAD => steps.push(Step::TakeOver),
        None | Some(_) => {}
    }
    steps
}

/// Does what is due; returns how much that was. Housekeeping calls it; of two at once one finds nothing to do.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn tend(db: &Db, store: &KeyStore) -> Result<usize> {
    let mut done = 0;
    let all = keys::list(db).await?;
    for alg in Alg::ALL {
        let mine: Vec<_> = all.iter().filter(|key| key.alg == alg).cloned().collect();
        for step in due(&mine, db.now()) {
            take(db, store, alg, step).await?;
            done += 1;
        }
    }
    Ok(done)
}

async fn take(db: &Db, store: &KeyStore, alg: Alg, step: Step) -> Result<()> {
    match step {
        Step::Make(state) => {
            let fresh = keys::make(db, store, alg).await?;
            let tx = db.begin_write().await?;
            if keys::insert(&tx, fresh, state).await? {
                tracing::info!(alg = alg.as_str(), state = state.as_str(), "made a signing key");
            }
            tx.commit_bookkeeping().await?;
        }
        Step::TakeOver => {
            let tx = db.begin_write().await?;
            take_over(&tx, alg).await?;
            tx.commit_bookkeeping().await?;
            tracing::info!(alg = alg.as_str(), "the next signing key has taken over");
        }
        Step::Forget(kid) => {
            let tx = db.begin_write().await?;
            delete(&tx, &kid).await?;
            tx.commit_bookkeeping().await?;
            tracing::info!(kid, "forgot a signing key that nothing living was signed with");
        }
    }
    Ok(())
}

/// The key that waits signs from now on; the one before is kept until its tokens have died.
async fn take_over(tx: &WriteTx, alg: Alg) -> Result<()> {
    for sql in [
        "UPDATE signing_keys SET state = 'retired', retired_at = $2 WHERE alg = $1 AND state = 'active'
           AND EXISTS (SELECT 1 FROM signing_keys n WHERE n.alg = $1 AND n.state = 'next')",
        "UPDATE signing_keys SET state = 'active', activated_at = $2 WHERE alg = $1 AND state = 'next'",
    ] {
        let values = [alg.as_str().into(), tx.now().into()];
        tx.conn().execute_raw(tx.sql(sql, values)).await?;
    }
    Ok(())
}

async fn delete(tx: &WriteTx, kid: &str) -> Result<()> {
    let sql = "DELETE FROM signing_keys WHERE kid = $1";
    tx.conn().execute_raw(tx.sql(sql, [kid.into()])).await?;
    Ok(())
}

/// Lets a new key of every algorithm sign at once, at an operator's word. The keys before are kept until their tokens
/// have died. Whoever holds a copy of the keys fetches them anew when a token names one that they do not know.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn rotate(db: &Db, store: &KeyStore) -> Result<()> {
    let all = keys::list(db).await?;
    for alg in Alg::ALL {
        if !all.iter().any(|key| key.alg == alg && key.state == State::Next) {
            take(db, store, alg, Step::Make(State::Next)).await?;
        }
        take(db, store, alg, Step::TakeOver).await?;
    }
    Ok(())
}

/// Takes a key out of the world, because somebody else has it: what it signed is refused from now on, here at once and
/// elsewhere as soon as the keys are fetched anew. Tells whether there was such a key.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn forget(db: &Db, store: &KeyStore, kid: &str) -> Result<bool> {
    let Some(key) = keys::list(db).await?.into_iter().find(|key| key.kid == kid) else {
        return Ok(false);
    };
    if key.state == State::Active {
        take(db, store, key.alg, Step::Make(State::Next)).await?;
        take(db, store, key.alg, Step::TakeOver).await?;
    }
    take(db, store, key.alg, Step::Forget(key.kid)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn start() -> Timestamp {
        Timestamp(1_900_000_000_000_000)
    }

    /// Does to a list what [`take`] does to the table.
    fn apply(all: &mut Vec<KeyShown>, step: Step, now: Timestamp, made: &mut u32) {
        match step {
            Step::Make(state) => {
                *made += 1;
                all.push(KeyShown {
                    kid: format!("k{made}"),
                    alg: Alg::Es256,
                    state,
                    created_at: now,
                    activated_at: (state == State::Active).then_some(now),
                    retired_at: None,
                });
            }
            Step::TakeOver => {
                for key in all.iter_mut() {
                    match key.state {
                        State::Active => (key.state, key.retired_at) = (State::Retired, Some(now)),
                        State::Next => (key.state, key.activated_at) = (State::Active, Some(now)),
                        State::Retired => {}
                    }
                }
            }
            Step::Forget(kid) => all.retain(|key| key.kid != kid),
        }
    }

    #[test]
    fn for_a_year_one_key_signs_and_was_known_a_day_before() {
        let (mut all, mut made) = (Vec::new(), 0);
        for hour in 0..365 * 24 {
            let now = start() + Duration::from_hours(hour);
            for step in due(&all, now) {
                apply(&mut all, step, now, &mut made);
            }
            let active: Vec<_> = all.iter().filter(|key| key.state == State::Active).collect();
            assert_eq!(active.len(), 1, "hour {hour}");
            let since = active[0].activated_at.unwrap();
            assert!(
                active[0].kid == "k1" || since.since(active[0].created_at) >= DAY,
                "hour {hour}"
            );
            assert!(now.since(since) <= TURN + DAY, "hour {hour}");
            assert!(all.len() <= 3, "hour {hour}");
            let kept = all.iter().filter_map(|key| key.retired_at);
            assert!(kept.into_iter().all(|at| now.since(at) <= KEPT), "hour {hour}");
        }
        assert_eq!(made, 13);
    }

    #[test]
    fn nothing_is_due_twice_and_a_long_sleep_skips_no_step() {
        let (mut all, mut made) = (Vec::new(), 0);
        for step in due(&all, start()) {
            apply(&mut all, step, start(), &mut made);
        }
        assert_eq!(due(&all, start()), vec![]);
        let late = start() + TURN * 3;
        assert_eq!(
            due(&all, late),
            vec![Step::Make(State::Next)],
            "known a day before, however late"
        );
        apply(&mut all, Step::Make(State::Next), late, &mut made);
        assert_eq!(due(&all, late), vec![]);
        assert_eq!(due(&all, late + DAY), vec![Step::TakeOver]);
    }
}
