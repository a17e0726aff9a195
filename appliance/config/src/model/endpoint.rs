use std::fmt;
use std::net::IpAddr;

use super::address::host_address;
use super::identity::is_host_name;
use crate::Reason;
use crate::reader::{Value, shown};

/// Where a peer's gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// At this address.
    Address(IpAddr),
    /// Where this host name leads, in lower case.
    Name(String),
    /// Anywhere: it comes to us, and is known by what it proves.
    Any,
}

impl Endpoint {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        if text == "any" {
            return Some(Self::Any);
        }
        if let Ok(address) = text.parse() {
            return host_address(value, address).map(Self::Address);
        }
        if is_host_name(text) {
            return Some(Self::Name(text.to_ascii_lowercase()));
        }
        let detail = format!(
            "\"{}\" is neither an address nor a host name nor \"any\"",
            shown(text)
        );
        value.problem(Reason::InvalidAddress, detail);
        None
    }

    /// Its address, if that is what it is known by.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) | Self::Any => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(host) => f.write_str(host),
            Self::Any => f.write_str("any"),
        }
    }
}
