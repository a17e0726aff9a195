use std::fmt;
use std::net::IpAddr;

use crate::Reason;
use crate::reader::{Value, shown};

/// Who one side says it is (RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN, as written.
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

impl Identity {
    /// An address, `user@host` or a host name.
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let found = match (text.parse::<IpAddr>(), text.split_once('@')) {
            (Ok(address), _) => Some(Self::Address(address)),
            (Err(_), Some((user, host))) => is_email(user, host).then(|| Self::Email(text.to_owned())),
            (Err(_), None) => is_host_name(text).then(|| Self::Fqdn(text.to_owned())),
        };
        if found.is_none() {
            let detail = format!(
                "\"{}\" is neither an address nor a host name nor user@host",
                shown(text)
            );
            value.problem(Reason::InvalidIdentity, detail);
        }
        found
    }
}

fn is_email(user: &str, host: &str) -> bool {
    let user_fits = (1..=64).contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_graphic());
    user_fits && is_host_name(host)
}

/// RFC 1123 §2.1, with underscores; a name that ends in a number is a mistyped address.
pub(super) fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number)
}
