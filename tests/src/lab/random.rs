//! Numbers that look random and repeat with their seed.

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..count`; 0 of none.
    pub fn below(&mut self, count: u64) -> u64 {
        self.number().checked_rem(count).unwrap_or_default()
    }

    /// One of `1..=2^bits`, each size of number as often as any other: half of them are small.
    pub fn of_any_size(&mut self, bits: u64) -> u64 {
        let size = 1 << self.below(bits);
        size + self.below(size + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_with_their_seed_and_stay_in_bounds() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [(); 100].map(|()| random.of_any_size(8))
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(numbers(3).iter().all(|number| (1..=256).contains(number)));
        assert!(numbers(3).iter().any(|number| *number < 4));
        assert!(numbers(3).iter().any(|number| *number > 128));
    }
}
