//! Settings under `/proc/sys/net` of the calling thread's network namespace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::link::LinkName;
use crate::refusal::Refusal;

/// How long the kernel waits for a state that a packet asked for before it asks again, for every other packet of the same
/// flow; in seconds, of the whole network namespace. Until then it remembers the flow.
///
/// # Errors
///
/// When the kernel has no XFRM, or the privilege is missing.
pub fn write_acquire_lifetime(seconds: u32) -> Result<(), Refusal> {
    let path = Path::new("/proc/sys/net/core/xfrm_acq_expires");
    fs::write(path, seconds.to_string()).map_err(|error| Refusal::from_io(path.display(), &error))
}

/// A setting of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkSetting {
    /// Forward IPv4 packets that come in by this link.
    ForwardIpv4,
    /// Forward IPv6 packets that come in by this link.
    ForwardIpv6,
    /// How IPv6 addresses are made up for it: 0 from the hardware address, 1 not at all.
    Ipv6AddressGeneration,
    /// Reverse path filter of IPv4: 0 none, 1 strict, 2 loose; the stricter of this and that of `all` counts.
    ReversePathFilter,
    /// Another address of the same network stays when the first one goes: 1, or it goes along: 0.
    PromoteSecondaries,
    /// Take addresses and routes that routers advertise (RFC 4861): 0 never, 1 unless the host forwards, 2 always.
    AcceptRouterAdvertisements,
    /// Make up addresses of the prefixes that routers advertise (RFC 4862): 0 no, 1 yes.
    Autoconfiguration,
}

impl LinkSetting {
    fn path(self, link: &LinkName) -> PathBuf {
        let (family, name) = match self {
            LinkSetting::ForwardIpv4 => ("ipv4", "forwarding"),
            LinkSetting::ForwardIpv6 => ("ipv6", "forwarding"),
            LinkSetting::Ipv6AddressGeneration => ("ipv6", "addr_gen_mode"),
            LinkSetting::ReversePathFilter => ("ipv4", "rp_filter"),
            LinkSetting::PromoteSecondaries => ("ipv4", "promote_secondaries"),
            LinkSetting::AcceptRouterAdvertisements => ("ipv6", "accept_ra"),
            LinkSetting::Autoconfiguration => ("ipv6", "autoconf"),
        };
        ["/proc/sys/net", family, "conf", link.as_str(), name]
            .iter()
            .collect()
    }

    /// Writes the setting.
    ///
    /// # Errors
    ///
    /// When the link or the setting is not there, or the privilege is missing.
    pub fn write(self, link: &LinkName, value: u32) -> Result<(), Refusal> {
        let path = self.path(link);
        fs::write(&path, value.to_string()).map_err(|error| Refusal::from_io(path.display(), &error))
    }

    /// Reads the setting.
    ///
    /// # Errors
    ///
    /// When the link or the setting is not there.
    pub fn read(self, link: &LinkName) -> Result<u32, Refusal> {
        let path = self.path(link);
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        fs::read_to_string(&path)
            .and_then(|text| text.trim().parse().map_err(invalid))
            .map_err(|error| Refusal::from_io(path.display(), &error))
    }
}
