use std::net::IpAddr;

use ipnet::IpNet;

use crate::Reason;
use crate::reader::{Value, shown};

/// The address of one host.
pub(super) fn address(value: &Value<'_>) -> Option<IpAddr> {
    let text = value.text()?;
    let Ok(address) = text.parse::<IpAddr>() else {
        value.problem(
            Reason::InvalidAddress,
            format!("\"{}\" is not an IP address", shown(text)),
        );
        return None;
    };
    host_address(value, address)
}

/// A prefix without host bits.
pub(super) fn prefix(value: &Value<'_>) -> Option<IpNet> {
    let prefix = network(value)?;
    let canonical = prefix.trunc();
    if prefix != canonical {
        let detail = format!("{prefix} has bits set after its prefix; did you mean \"{canonical}\"?");
        value.problem(Reason::InvalidPrefix, detail);
        return None;
    }
    Some(prefix)
}

/// An address of a link with the length of its prefix.
pub(super) fn link_address(value: &Value<'_>) -> Option<IpNet> {
    let network = network(value)?;
    host_address(value, network.addr()).map(|_| network)
}

fn network(value: &Value<'_>) -> Option<IpNet> {
    let text = value.text()?;
    let found = text.parse::<IpNet>();
    if found.is_err() {
        let hint = text.parse::<IpAddr>().map(IpNet::from);
        let hint = hint.map_or_else(|_| String::new(), |net| format!("; did you mean \"{net}\"?"));
        let detail = format!("\"{}\" is not a prefix such as 10.1.0.0/24{hint}", shown(text));
        value.problem(Reason::InvalidPrefix, detail);
    }
    found.ok()
}

/// An address that one host can have.
pub(super) fn host_address(value: &Value<'_>, address: IpAddr) -> Option<IpAddr> {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast || address != address.to_canonical() {
        value.problem(
            Reason::InvalidAddress,
            format!("{address} is not the address of one host"),
        );
        return None;
    }
    Some(address)
}
