//! Fields of fixed length, read and written.

/// The next `N` octets.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// The next octet.
pub(crate) fn take_u8(rest: &mut &[u8]) -> Option<u8> {
    take(rest).map(u8::from_be_bytes)
}

/// The next two octets as a number.
pub(crate) fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_be_bytes)
}

/// The next four octets as a number.
pub(crate) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

/// The next `length` octets.
pub(crate) fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// A length for a field of one octet; callers keep within it.
pub(crate) fn length_u8(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// A length for a field of two octets; callers keep within it.
pub(crate) fn length_u16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Writes a length of two octets over those at `place`.
pub(crate) fn set_u16(out: &mut [u8], place: usize, length: usize) {
    if let Some(field) = out.get_mut(place..place.saturating_add(2)) {
        field.copy_from_slice(&length_u16(length).to_be_bytes());
    }
}
