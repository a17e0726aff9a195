use thiserror::Error;

/// Why a pre-shared key is refused; says nothing of the key but where the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PreSharedKeyFault {
    /// It is empty.
    #[error("the pre-shared key is empty")]
    Empty,
    /// It is longer than 128 characters.
    #[error("the pre-shared key has {length} characters; at most {PRE_SHARED_KEY_MAX} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// It has a character that is not allowed.
    #[error(
        "character {position} of the pre-shared key is not allowed: \
         printable ASCII is, except space, hyphen and tilde"
    )]
    Character {
        /// Which one, counted from 1.
        position: usize,
    },
}

/// The most characters that a pre-shared key may have.
const PRE_SHARED_KEY_MAX: usize = 128;

/// Checks a pre-shared key by the rules of Azure VPN Gateway: 1 to 128 characters of printable ASCII, except space,
/// hyphen and tilde. A line end after the key is the caller's to cut off first.
///
/// # Errors
/// The first fault.
pub fn check_pre_shared_key(key: &[u8]) -> Result<(), PreSharedKeyFault> {
    if key.is_empty() {
        return Err(PreSharedKeyFault::Empty);
    }
    if key.len() > PRE_SHARED_KEY_MAX {
        return Err(PreSharedKeyFault::TooLong { length: key.len() });
    }
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"-~".contains(byte);
    match key.iter().position(|byte| !allowed(byte)) {
        Some(index) => Err(PreSharedKeyFault::Character { position: index + 1 }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_ascii_without_space_hyphen_and_tilde_is_allowed() {
        for byte in 0..=u8::MAX {
            let expected = (0x21..=0x7d).contains(&byte) && byte != b'-';
            assert_eq!(check_pre_shared_key(&[b'k', byte]).is_ok(), expected, "{byte:#x}");
        }
    }

    #[test]
    fn length_is_bounded_and_the_place_of_a_fault_is_told() {
        assert_eq!(check_pre_shared_key(b""), Err(PreSharedKeyFault::Empty));
        assert_eq!(check_pre_shared_key(&[b'k'; 128]), Ok(()));
        assert_eq!(
            check_pre_shared_key(&[b'k'; 129]),
            Err(PreSharedKeyFault::TooLong { length: 129 })
        );
        assert_eq!(
            check_pre_shared_key(b"secret\n"),
            Err(PreSharedKeyFault::Character { position: 7 })
        );
    }
}
