/// The one's complement sum of 16-bit words in network order (RFC 1071), to be continued over several pieces of
/// which all but the last have an even length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets; an odd last one counts as if a zero followed.
    pub(crate) fn add(mut self, octets: &[u8]) -> Sum {
        // The sum does not depend on the order of octets in a word, so the machine's own order is summed, which
        // needs no swap, and in words of 64 bits, four chains of additions at once.
        let (blocks, rest) = octets.as_chunks::<32>();
        let mut chains = [0u128; 4];
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (chain, word) in chains.iter_mut().zip(words) {
                *chain += u128::from(u64::from_ne_bytes(*word));
            }
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        let pairs: u64 = pairs
            .iter()
            .map(|pair| u64::from(u16::from_ne_bytes(*pair)))
            .sum();
        let odd: u64 = odd
            .iter()
            .map(|octet| u64::from(u16::from_ne_bytes([*octet, 0])))
            .sum();
        self.0 = fold(self.0 + fold(chains.iter().sum::<u128>()) + pairs + odd);
        self
    }

    /// Adds a number of 16 bits.
    pub(crate) fn add_u16(self, word: u16) -> Sum {
        Sum(fold(self.0 + u64::from(word.to_be())))
    }

    /// The sum itself, as it lies in a packet: what a checksum field holds that hardware has to complete.
    pub(crate) fn partial(self) -> [u8; 2] {
        let [a, b, ..] = fold(fold(self.0)).to_le_bytes();
        if cfg!(target_endian = "little") {
            [a, b]
        } else {
            [b, a]
        }
    }

    /// Its complement, as it lies in a packet.
    pub(crate) fn complement(self) -> [u8; 2] {
        self.partial().map(|octet| !octet)
    }

    /// Whether octets that include their checksum are intact.
    pub(crate) fn is_intact(self) -> bool {
        self.partial() == [0xff, 0xff]
    }
}

/// Brings a sum below 2^17 without changing it modulo 2^16 - 1.
fn fold(sum: impl Into<u128>) -> u64 {
    let sum = sum.into();
    let sum = (sum >> 64) + (sum & u128::from(u64::MAX));
    let sum = (sum >> 32) + (sum & u128::from(u32::MAX));
    let sum = u64::try_from(sum).unwrap_or_default();
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    (sum >> 16) + (sum & 0xffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 1071 §3.
    #[test]
    fn published_example() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.partial(), [0xdd, 0xf2]);
        assert_eq!(sum.complement(), [0x22, 0x0d]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(octets in proptest::collection::vec(any::<u8>(), 0..3_000), cut in 0usize..1_500, word: u16) {
            let mut plain = u64::from(word);
            for pair in octets.chunks(2) {
                plain += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            }
            while plain > 0xffff {
                plain = (plain >> 16) + (plain & 0xffff);
            }
            let (first, second) = octets.split_at((cut * 2).min(octets.len()));
            let sum = Sum::default().add(first).add_u16(word).add(second);
            let got = u64::from(u16::from_be_bytes(sum.partial()));
            prop_assert_eq!(got, plain);
        }
    }
}
