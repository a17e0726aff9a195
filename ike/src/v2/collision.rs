//! What becomes of two sides that change the same SA at once (RFC 7296 §2.8.1, §2.8.2, §2.25), as pure functions.

use crate::wire::registry::notify;

/// What a CREATE_CHILD_SA request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A Child SA besides those there are.
    Additional,
    /// Another Child SA in the place of this one.
    Child(Target),
    /// Another IKE SA in the place of this one.
    Ike,
}

/// The Child SA that is to be replaced, as we see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// It carries traffic; we receive on this SPI.
    Current(u32),
    /// It was replaced already and is about to go.
    Leaving,
    /// We do not have it.
    Unknown,
}

/// What we are doing with the IKE SA ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupation {
    /// Nothing that could collide.
    Idle,
    /// We asked for a child, one more or in the place of another.
    RekeyingChild,
    /// We asked to delete a child, or are about to.
    DeletingChild,
    /// We asked to replace the IKE SA.
    RekeyingIke,
    /// Another IKE SA has taken its place, or it is closing.
    Leaving,
}

/// Whether the wish may be granted, or the error notify to answer with.
///
/// Where both replace the same SA, both are granted and [`is_redundant`] decides later.
pub(crate) fn judge(wish: Wish, occupation: Occupation) -> Result<(), u16> {
    match (wish, occupation) {
        (_, Occupation::Leaving) => Err(notify::TEMPORARY_FAILURE),
        (Wish::Additional | Wish::Child(_), Occupation::RekeyingIke) => Err(notify::TEMPORARY_FAILURE),
        (Wish::Additional, Occupation::Idle | Occupation::RekeyingChild | Occupation::DeletingChild) => {
            Ok(())
        }
        (Wish::Child(Target::Unknown), _) => Err(notify::CHILD_SA_NOT_FOUND),
        (Wish::Child(Target::Leaving), _) => Err(notify::TEMPORARY_FAILURE),
        (Wish::Child(Target::Current(_)), _) => Ok(()),
        (Wish::Ike, Occupation::RekeyingChild | Occupation::DeletingChild) => Err(notify::TEMPORARY_FAILURE),
        (Wish::Ike, Occupation::Idle | Occupation::RekeyingIke) => Ok(()),
    }
}

/// The lower of an exchange's nonces, octet by octet.
pub(crate) fn lowest<'a>(initiator: &'a [u8], responder: &'a [u8]) -> &'a [u8] {
    initiator.min(responder)
}

/// Whether the SA that our exchange made is the one too many: the lowest of the four nonces was used for it. Its
/// initiator, that is we, deletes it; the other side deletes the SA that both replaced.
pub(crate) fn is_redundant(ours: &[u8], theirs: &[u8]) -> bool {
    ours < theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_with_the_lowest_nonce_made_one_too_many() {
        let ours = lowest(&[5, 0], &[3, 9, 9]);
        assert_eq!(ours, [3, 9, 9]);
        assert!(is_redundant(ours, lowest(&[4], &[9])));
        assert!(!is_redundant(ours, lowest(&[9], &[3, 9])), "a beginning is lower");
        assert_ne!(is_redundant(&[1], &[2]), is_redundant(&[2], &[1]));
    }

    /// RFC 7296 §2.25.1 and §2.25.2, case by case.
    #[test]
    fn a_wish_meets_what_we_are_doing() {
        use Occupation::{DeletingChild, Idle, Leaving, RekeyingChild, RekeyingIke};
        let later = Err(notify::TEMPORARY_FAILURE);
        let cases = [
            (Wish::Child(Target::Current(1)), Idle, Ok(())),
            (Wish::Child(Target::Current(1)), RekeyingChild, Ok(())),
            (Wish::Child(Target::Current(1)), RekeyingIke, later),
            (Wish::Child(Target::Leaving), DeletingChild, later),
            (
                Wish::Child(Target::Unknown),
                Idle,
                Err(notify::CHILD_SA_NOT_FOUND),
            ),
            (Wish::Child(Target::Unknown), Leaving, later),
            (Wish::Ike, Idle, Ok(())),
            (Wish::Ike, RekeyingIke, Ok(())),
            (Wish::Ike, RekeyingChild, later),
            (Wish::Ike, DeletingChild, later),
            (Wish::Ike, Leaving, later),
            (Wish::Additional, Idle, Ok(())),
            (Wish::Additional, RekeyingChild, Ok(())),
            (Wish::Additional, DeletingChild, Ok(())),
            (Wish::Additional, Leaving, later),
            (Wish::Additional, RekeyingIke, later),
        ];
        for (wish, occupation, expected) in cases {
            assert_eq!(judge(wish, occupation), expected, "{wish:?} while {occupation:?}");
        }
    }
}
