//! The cipher itself: opening as many values as an environment holds, on all cores.

use std::time::{Duration, Instant};

use domain::crypto::{DataKey, SecretField, SecretPlace};
use domain::kernel::Rng;
use domain::kernel::id::{EnvId, KeyId, OrgId, ProjectId, SecretId};
use uuid::Uuid;

use crate::drive::Round;
use crate::stack::{SECRETS, value};
use crate::{Outcome, cpu};

/// Opens environments for as long as told; one operation is 100 opens.
pub async fn run(duration: Duration) -> Outcome<Round> {
    let (before, begun) = (cpu::own(), Instant::now());
    let threads: Vec<_> = (0..cpu::cores())
        .map(|_| tokio::task::spawn_blocking(move || open(begun + duration)))
        .collect();
    let mut done = 0;
    for thread in threads {
        done += thread.await??;
    }
    Ok(Round::of(done, begun.elapsed(), cpu::own().saturating_sub(before)))
}

fn open(end: Instant) -> Outcome<u64> {
    let (key, rng) = (DataKey::new(KeyId(Uuid::from_u128(1)), [7; 32]), Rng::system());
    let id = Uuid::from_u128(9);
    let place = |i: usize| SecretPlace {
        org: OrgId(id),
        project: ProjectId(id),
        env: EnvId(id),
        secret: SecretId(Uuid::from_u128(i as u128)),
        version: 1,
        field: SecretField::Value,
    };
    let sealed: Vec<Vec<u8>> = (0..SECRETS)
        .map(|i| key.seal(&rng, &place(i).aad(), value(i).as_bytes()))
        .collect::<Result<_, _>>()?;
    let mut done = 0;
    while Instant::now() < end {
        for (i, blob) in sealed.iter().enumerate() {
            if key.open(&place(i).aad(), blob)?.expose().is_empty() {
                return Err("a value opened wrongly".into());
            }
        }
        done += 1;
    }
    Ok(done)
}
