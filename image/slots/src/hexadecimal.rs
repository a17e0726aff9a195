/// Lower-case hexadecimal digits of octets.
pub(crate) fn encode(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Exactly 32 octets from their digits.
pub(crate) fn decode(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut octets = [0; 32];
    let pairs = digits.chunks_exact(2);
    if digits.len() != 64 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok()?;
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(octets)
}
