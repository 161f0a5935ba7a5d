//! How long requests took, in fixed buckets that grow by the eighth root of two: an eighth of a millisecond to a minute.
//! The bounds are the same everywhere, so histograms of many hours and processes add up without loss.

use std::sync::LazyLock;

/// Bounds between buckets.
const BOUNDS: usize = 152;
/// The first bound, microseconds.
const FIRST: f64 = 125.0;
/// Bounds of one doubling.
const STEPS: f64 = 8.0;

/// Microseconds, ascending; the last is just above a minute.
static BOUND: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut bound = FIRST;
    let step = (1.0 / STEPS).exp2();
    let bounds = std::iter::repeat_with(|| {
        let this = bound;
        bound *= step;
        rounded(this)
    });
    bounds.take(BOUNDS).collect()
});

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are positive and end at a minute"
)]
fn rounded(micros: f64) -> u32 {
    micros.round() as u32
}

/// Numbers of requests by how long they took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first is for what is below all bounds, the last for what is above.
    counts: Vec<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            counts: vec![0; BOUNDS + 1],
        }
    }
}

impl Times {
    /// Adds one.
    pub fn add(&mut self, micros: u64) {
        let bucket = BOUND.partition_point(|bound| u64::from(*bound) <= micros);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The time that so many of a thousand did not exceed, microseconds: 990 for the 99th percentile. It is the middle of
    /// a bucket, at most 5 % off, for times between an eighth of a millisecond and a minute. `longest` is the longest time
    /// of all.
    pub fn percentile(&self, of_thousand: u64, longest: u64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (total * of_thousand).div_ceil(1000).max(1);
        let mut seen = 0_u64;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(0, |bucket| middle(bucket, longest).min(longest))
    }

    /// The buckets that are not empty: how many are skipped, then the number, both as variable-length integers.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut skipped = 0;
        for count in &self.counts {
            if *count == 0 {
                skipped += 1;
                continue;
            }
            put(&mut bytes, skipped);
            put(&mut bytes, *count);
            skipped = 0;
        }
        bytes
    }

    /// `None` for what [`Self::encode`] never wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut times = Self::default();
        let mut left = bytes;
        let mut buckets = times.counts.iter_mut();
        while !left.is_empty() {
            let skipped = usize::try_from(take(&mut left)?).ok()?;
            *buckets.nth(skipped)? = take(&mut left)?;
        }
        Some(times)
    }
}

/// The geometric middle of a bucket, microseconds.
fn middle(bucket: usize, longest: u64) -> u64 {
    let bound = |index: usize| BOUND.get(index).copied();
    let below = bucket.checked_sub(1).and_then(bound);
    match (below, bound(bucket)) {
        (Some(low), Some(high)) => rounded((f64::from(low) * f64::from(high)).sqrt()).into(),
        (None, Some(high)) => u64::from(high / 2),
        (_, None) => longest,
    }
}

/// Seven bits a byte, the lowest first; all but the last byte have the top bit set.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// The number at the beginning of the bytes, which then begin behind it.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Rng;

    const SAMPLES: usize = 100_000;

    /// Evenly spread over 0..1.
    fn chance(rng: &Rng) -> f64 {
        f64::from(u32::from_le_bytes(rng.bytes().unwrap())) / f64::from(u32::MAX)
    }

    /// Times as servers have them: most are short, a few very long.
    fn samples() -> Vec<u64> {
        let rng = Rng::seeded(8);
        let sample = || {
            let body = 600.0 * (-(chance(&rng).max(1e-9)).ln()) + 130.0;
            let tail = if chance(&rng) < 0.02 {
                200.0 * chance(&rng) + 1.0
            } else {
                1.0
            };
            u64::from(rounded(body * tail))
        };
        std::iter::repeat_with(sample).take(SAMPLES).collect()
    }

    #[test]
    fn merged_percentiles_are_within_nine_percent_of_the_exact_ones() {
        let spread_evenly = {
            let rng = Rng::seeded(9);
            let sample = || u64::from(rounded(125.0 * 470_000.0_f64.powf(chance(&rng))));
            std::iter::repeat_with(sample).take(SAMPLES).collect()
        };
        for mut samples in [samples(), spread_evenly] {
            let mut of_each = vec![Times::default(); 7];
            for (n, sample) in samples.iter().enumerate() {
                of_each[n % 7].add(*sample);
            }
            let mut merged = Times::default();
            for times in &of_each {
                merged.merge(&Times::decode(&times.encode()).unwrap());
            }
            samples.sort_unstable();
            let longest = *samples.last().unwrap();
            for of_thousand in [1, 10, 100, 250, 500, 750, 900, 950, 990, 999, 1000] {
                let exact = samples[SAMPLES * of_thousand / 1000 - 1];
                let found = merged.percentile(u64::try_from(of_thousand).unwrap(), longest);
                let off = found.abs_diff(exact) * 1000 / exact;
                assert!(off <= 90, "{of_thousand}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn the_sum_over_processes_is_one_process() {
        let (mut one, mut sum) = (Times::default(), Times::default());
        let mut of_each = vec![Times::default(); 5];
        for (n, sample) in samples().into_iter().enumerate() {
            one.add(sample);
            of_each[n * n % 5].add(sample);
        }
        for times in &of_each {
            sum.merge(times);
        }
        assert_eq!(sum, one);
    }

    #[test]
    fn buckets_reach_from_an_eighth_of_a_millisecond_to_a_minute() {
        assert_eq!(
            (BOUND.first(), BOUND.get(8), BOUND.get(16)),
            (Some(&125), Some(&250), Some(&500))
        );
        assert!((60_000_000..65_000_000).contains(BOUND.last().unwrap()));
        assert!(BOUND.windows(2).all(|pair| pair[0] < pair[1]));
        for extreme in [0, 124, 60_000_000, 3_600_000_000, u64::MAX] {
            let mut times = Times::default();
            times.add(extreme);
            assert_eq!(times.counts.iter().sum::<u64>(), 1);
            assert!(times.percentile(990, extreme) <= extreme);
        }
        assert_eq!(Times::default().percentile(990, 0), 0);
    }

    #[test]
    fn what_is_stored_is_small_and_reads_back_and_nothing_else_does() {
        let mut times = Times::default();
        for sample in samples() {
            times.add(sample);
        }
        times.add(u64::MAX);
        let bytes = times.encode();
        assert!(bytes.len() <= 512, "{}", bytes.len());
        assert_eq!(Times::decode(&bytes), Some(times));
        assert_eq!(Times::decode(&[]), Some(Times::default()));
        for broken in [&[0][..], &[0x80], &[0xff; 12], &[0xff, 0x7f, 1]] {
            assert_eq!(Times::decode(broken), None, "{broken:?}");
        }
    }
}
