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
}
