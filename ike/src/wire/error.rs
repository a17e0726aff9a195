use bytes::TryGetError;

/// The bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the structure does.
    #[error("{what} is truncated")]
    Truncated {
        /// The structure.
        what: &'static str,
    },
    /// A length field contradicts the bytes around it.
    #[error("{what} has a wrong length")]
    Length {
        /// The structure.
        what: &'static str,
    },
    /// A field holds a value that no message may have.
    #[error("{what} holds an impossible value")]
    Value {
        /// The field.
        what: &'static str,
    },
    /// More payloads, proposals, transforms or selectors than a message may carry here.
    #[error("too many {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
    },
    /// The header is sound, but what follows it is of a major version that we do not read; answered with
    /// INVALID_MAJOR_VERSION (RFC 7296 §2.5).
    #[error("major version {major} is not supported")]
    MajorVersion {
        /// The version that the header names.
        major: u8,
    },
}

impl DecodeError {
    /// For `map_err` behind the `try_get_…` of [`bytes::Buf`].
    pub(super) fn truncated(what: &'static str) -> impl Fn(TryGetError) -> Self {
        move |_| Self::Truncated { what }
    }
}
