//! What the kernel answers when it will not.

use std::fmt;

/// The kernel said no: to which object, because of what, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The object that was to be made, changed or removed, in words.
    pub object: String,
    /// The attribute at fault, where the extended acknowledgement says so.
    pub attribute: Option<String>,
    /// The error number; 0 where there is none, as with `nft`.
    pub errno: i32,
    /// The kernel's own text, or that of the error number.
    pub detail: String,
}

/// What may help against a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// To try again later: something is busy, short or not there yet.
    Retry,
    /// To resolve a conflict: an object of somebody else is in the way, or the request makes no sense to the kernel.
    Conflict,
    /// Another kernel: this one lacks the feature.
    Unsupported,
    /// The privilege that is missing: `CAP_NET_ADMIN` in the network namespace.
    Privilege,
}

impl Refusal {
    /// What may help.
    pub fn kind(&self) -> RefusalKind {
        match self.errno {
            libc::EPERM | libc::EACCES => RefusalKind::Privilege,
            libc::EOPNOTSUPP
            | libc::EPROTONOSUPPORT
            | libc::EAFNOSUPPORT
            | libc::ENOSYS
            | libc::ENOPKG
            | libc::EPROTOTYPE
            | libc::ESOCKTNOSUPPORT => RefusalKind::Unsupported,
            libc::EEXIST | libc::EINVAL | libc::EADDRINUSE | libc::ERANGE | libc::E2BIG => {
                RefusalKind::Conflict
            }
            _ => RefusalKind::Retry,
        }
    }

    /// A refusal with the text that belongs to an error of the system.
    pub(crate) fn from_io(object: impl fmt::Display, error: &std::io::Error) -> Self {
        Refusal {
            object: object.to_string(),
            attribute: None,
            errno: error.raw_os_error().unwrap_or_default(),
            detail: error.to_string(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused by the kernel: {}", self.object, self.detail)?;
        if let Some(attribute) = &self.attribute {
            write!(f, " (attribute {attribute})")?;
        }
        if self.kind() == RefusalKind::Privilege {
            f.write_str("; CAP_NET_ADMIN is missing")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
