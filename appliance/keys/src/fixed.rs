//! Signatures of ECDSA: r and s of fixed length, and `Ecdsa-Sig-Value` in DER (RFC 3279 §2.2.3).

use x509_cert::der::Decode;
use x509_cert::der::Encode;
use x509_cert::der::asn1::UintRef;

/// r and s, each with this many octets.
pub(crate) fn from_der(der: &[u8], half: usize) -> Option<Vec<u8>> {
    let numbers = Vec::<UintRef<'_>>::from_der(der).ok()?;
    let [r, s] = numbers.as_slice() else {
        return None;
    };
    let mut fixed = Vec::new();
    for number in [r, s] {
        let octets = number.as_bytes();
        fixed.resize(fixed.len() + half.checked_sub(octets.len())?, 0);
        fixed.extend_from_slice(octets);
    }
    Some(fixed)
}

/// In DER, of r and s with this many octets each.
pub(crate) fn to_der(fixed: &[u8], half: usize) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(half)?;
    if s.len() != half {
        return None;
    }
    let numbers = vec![UintRef::new(r).ok()?, UintRef::new(s).ok()?];
    numbers.to_der().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Leading zeros come and go: a signature is the same after both ways.
        #[test]
        fn both_ways(r in prop::collection::vec(any::<u8>(), 66), zeros in 0_usize..66) {
            let mut fixed = r.clone();
            fixed.extend(r.iter().enumerate().map(|(place, octet)| if place < zeros { 0 } else { *octet }));
            prop_assert_eq!(from_der(&to_der(&fixed, 66).unwrap(), 66), Some(fixed));
        }

        #[test]
        fn anything_is_judged(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = from_der(&octets, 32);
            let _ = to_der(&octets, 32);
        }
    }
}
