//! What every record begins with (RFC 6396 §2, §3).

/// Writes a record around its body.
pub(super) fn write(
    at: u32,
    (kind, subtype): (u16, u16),
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) {
    out.extend(at.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(subtype.to_be_bytes());
    let place = out.len();
    out.extend([0; 4]);
    let begin = out.len();
    body(out);
    let length = u32::try_from(out.len().saturating_sub(begin)).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(place..begin) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}
