use std::fmt;

/// Why a list of revoked certificates could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListFault {
    /// In one word.
    pub(crate) reason: ListReason,
    /// What was found.
    pub(crate) detail: String,
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListReason {
    /// No server, no file, or neither gives it.
    Unreachable,
    /// It is no list, or too long.
    Invalid,
    /// None of those who may issue it signed it.
    Forged,
    /// It is older than the one that is known.
    Outdated,
}

impl ListFault {
    pub(super) fn new(reason: ListReason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { reason, detail }
    }
}

impl fmt::Display for ListFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.detail)
    }
}

impl ListReason {
    /// The stable word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "list-unreachable",
            Self::Invalid => "list-invalid",
            Self::Forged => "list-forged",
            Self::Outdated => "list-outdated",
        }
    }

    /// What to do about it.
    pub(crate) fn next_step(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "see whether this machine reaches the server, or can read the file; it is tried again by itself"
            }
            Self::Invalid => "have the issuer publish the list in DER or PEM, of at most 4 MiB",
            Self::Forged => {
                "compare the issuer of the list with the certificates of the trust; somebody may change it on its way"
            }
            Self::Outdated => "find out who serves an old list; the newer one that is known stays",
        }
    }
}
