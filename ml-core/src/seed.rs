//! Randomness that can be told again: every random choice of the family follows from a [`Seed`].

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The root of all random choices of one call.
///
/// ```
/// use ml_core::Seed;
///
/// let mut a = Seed::new(7).stream("shuffle");
/// let mut b = Seed::new(7).stream("shuffle");
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert_ne!(Seed::new(7).stream("bootstrap").next_u64(), Seed::new(7).stream("shuffle").next_u64());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(u64);

impl Seed {
    /// Keeps a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// A stream of random numbers for one purpose; streams of two purposes do not repeat each other.
    #[must_use]
    pub fn stream(self, purpose: &str) -> RandomStream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..].copy_from_slice(&crate::id::Digest::of(purpose).as_bytes()[..24]);
        RandomStream(ChaCha8Rng::from_seed(key))
    }
}

/// Random numbers in a sequence fixed by seed and purpose (ChaCha with 8 rounds), the same on every machine and release.
pub struct RandomStream(ChaCha8Rng);

impl fmt::Debug for RandomStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomStream")
    }
}

impl RandomStream {
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from the half-open interval from 0 to 1, uniform in steps of 2⁻⁵³.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A uniform index below `bound`, without bias (Lemire 2019, "Fast random integer generation in an interval").
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no index is below zero");
        let bound = bound as u64;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            let low = u64::try_from(wide & u128::from(u64::MAX)).expect("masked to 64 bits");
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return usize::try_from(wide >> 64).expect("below a usize");
            }
        }
    }

    /// Puts a slice in random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_uniform() {
        let mut stream = Seed::new(1).stream("test");
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6)] += 1;
        }
        // Five standard deviations of a binomial(60000, 1/6).
        assert!(counts.iter().all(|&n| (9_540..=10_460).contains(&n)), "{counts:?}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Seed::new(3).stream("test").shuffle(&mut items);
        assert!(items.windows(2).any(|pair| pair[0] > pair[1]));
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_sequence_is_part_of_the_contract() {
        let mut stream = Seed::new(42).stream("golden");
        let first: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        let again: Vec<u64> = {
            let mut s = Seed::new(42).stream("golden");
            (0..3).map(|_| s.next_u64()).collect()
        };
        assert_eq!(first, again);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&stream.next_f64())));
    }
}
