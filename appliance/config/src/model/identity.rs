use std::fmt;
use std::net::IpAddr;

/// Who one side says it is (RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN, in lower case.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Fqdn(text) | Self::Email(text) => f.write_str(text),
        }
    }
}
