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

/// How many flows the kernel follows at least, so that tens of thousands of translated ones have room.
const FLOWS: u32 = 262_144;

/// Settings of connection tracking, of the whole network namespace: room for many flows; a TCP segment outside of the
/// window that it knows is translated all the same and left to the two ends; and no module looks into what passes, which
/// would open ways that no rule names. There is nothing to write to before something is tracked.
pub fn prepare_tracking() {
    let folder = Path::new("/proc/sys/net/netfilter");
    let most = folder.join("nf_conntrack_max");
    let found = fs::read_to_string(&most).ok();
    let found: Option<u32> = found.and_then(|text| text.trim().parse().ok());
    if found.is_some_and(|found| found < FLOWS) {
        note(&most, fs::write(&most, FLOWS.to_string()));
    }
    for (name, value) in [("nf_conntrack_tcp_be_liberal", "1"), ("nf_conntrack_helper", "0")] {
        let path = folder.join(name);
        if path.exists() {
            note(&path, fs::write(&path, value));
        }
    }
}

/// Lets each link have its own reverse path filter: what `all` asks for is asked of every link instead, for the kernel takes
/// the greater of the two (ip-sysctl, rp_filter), and so no link could do without.
pub fn free_path_filters() {
    let folder = Path::new("/proc/sys/net/ipv4/conf");
    let read = |link: &Path| {
        let text = fs::read_to_string(link.join("rp_filter")).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let all = folder.join("all");
    let Some(asked) = read(&all).filter(|asked| *asked > 0) else {
        return;
    };
    let others = fs::read_dir(folder).into_iter().flatten().flatten();
    for link in others.map(|link| link.path()).filter(|link| *link != all) {
        if read(&link).is_some_and(|own| own < asked) {
            let path = link.join("rp_filter");
            note(&path, fs::write(&path, asked.to_string()));
        }
    }
    let path = all.join("rp_filter");
    note(&path, fs::write(&path, "0"));
}

/// Only the first network namespace may say how many flows there are, and links may go at any time.
fn note(path: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "setting of the network stack");
    }
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
    /// Take packets whose source is an address of this machine (`accept_local`): 1, or drop them: 0.
    AcceptLocal,
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
            LinkSetting::AcceptLocal => ("ipv4", "accept_local"),
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
