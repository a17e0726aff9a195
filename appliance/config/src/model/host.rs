use std::fmt;
use std::net::IpAddr;

use super::address::host_address;
use super::identity::is_host_name;
use crate::Reason;
use crate::reader::Value;

/// A server somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// At this address.
    Address(IpAddr),
    /// Where this name leads, in lower case.
    Name(String),
}

impl Host {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        if let Ok(address) = text.parse() {
            return host_address(value, address).map(Self::Address);
        }
        if is_host_name(text) {
            return Some(Self::Name(text.to_ascii_lowercase()));
        }
        value.wrong(Reason::InvalidAddress, text, "expected an address or a host name")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host name as RFC 1123 §2.1 has it: unlike [`is_host_name`] without underscores, and no hyphen at either end of a
/// label.
pub(super) fn is_rfc_1123(text: &str) -> bool {
    let sound = |label: &str| !label.starts_with('-') && !label.ends_with('-') && !label.contains('_');
    is_host_name(text) && text.split('.').all(sound)
}
