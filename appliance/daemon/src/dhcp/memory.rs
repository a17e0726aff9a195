use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use appliance_config::model::Name;
use appliance_dhcp::{Held, Lease};
use serde::{Deserialize, Serialize};

/// The file beside the store, or in the runtime directory where there is none.
const FILE: &str = "leases.json";
/// No more leases than interfaces; a file that is longer is not ours.
const LONGEST: u64 = 1 << 20;

/// The leases that are remembered over a restart.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    file: PathBuf,
    leases: BTreeMap<String, Remembered>,
}

/// One lease, with its times by the wall clock: no other one goes on while the machine is off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    mac: [u8; 6],
    address: Ipv4Addr,
    prefix_length: u8,
    router: Option<Ipv4Addr>,
    name_servers: Vec<Ipv4Addr>,
    /// Not in files of versions that did not ask for it.
    #[serde(default)]
    ntp_servers: Vec<Ipv4Addr>,
    mtu: Option<u16>,
    server: Ipv4Addr,
    since: u64,
    duration_s: Option<u64>,
    renewal_s: Option<(u64, u64)>,
}

impl Memory {
    /// Reads the file in this folder. What cannot be read is forgotten: servers are asked then.
    pub(crate) fn read(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let leases = match read(&file) {
            Ok(leases) => leases,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(path = %file.display(), %error, "leases of before are forgotten");
                BTreeMap::new()
            }
        };
        Self { file, leases }
    }

    /// What is left of the lease of an interface with this hardware address.
    pub(crate) fn recall(&self, interface: &Name, mac: [u8; 6]) -> Option<Held> {
        let found = self.leases.get(interface.as_str())?;
        let held = found.held(Instant::now(), SystemTime::now())?;
        Some(held).filter(|_| found.mac == mac)
    }

    /// What is left of every lease.
    pub(crate) fn all(&self) -> BTreeMap<Name, Lease> {
        let leases = self.leases.iter().filter_map(|(name, found)| {
            let held = found.held(Instant::now(), SystemTime::now())?;
            Some((name.parse().ok()?, held.lease))
        });
        leases.collect()
    }

    /// Remembers the lease of an interface, or that there is none.
    pub(super) fn remember(&mut self, interface: &Name, mac: [u8; 6], held: Option<&Held>) {
        let before = match held {
            Some(held) => {
                let remembered = Remembered::of(mac, held, Instant::now(), SystemTime::now());
                self.leases.insert(interface.to_string(), remembered)
            }
            None => self.leases.remove(interface.as_str()),
        };
        if before.as_ref() != self.leases.get(interface.as_str())
            && let Err(error) = self.write()
        {
            tracing::warn!(path = %self.file.display(), %error, "leases cannot be remembered");
        }
    }

    fn write(&self) -> io::Result<()> {
        let beside = self.file.with_extension("new");
        fs::write(&beside, serde_json::to_vec_pretty(&self.leases)?)?;
        fs::rename(beside, &self.file)
    }
}

impl Remembered {
    fn of(mac: [u8; 6], held: &Held, now: Instant, today: SystemTime) -> Self {
        let lease = &held.lease;
        let age = now.saturating_duration_since(held.since);
        let since = today.checked_sub(age).unwrap_or(UNIX_EPOCH);
        Self {
            mac,
            address: lease.address,
            prefix_length: lease.prefix_length,
            router: lease.router,
            name_servers: lease.name_servers.clone(),
            ntp_servers: lease.ntp_servers.clone(),
            mtu: lease.mtu,
            server: lease.server,
            since: since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            duration_s: lease.duration.map(|duration| duration.as_secs()),
            renewal_s: lease
                .renewal
                .map(|(first, second)| (first.as_secs(), second.as_secs())),
        }
    }

    /// The lease, unless it is over. A clock that shows a time before it was granted was set back, or not set yet: then it
    /// counts as new, and servers are asked anyway.
    fn held(&self, now: Instant, today: SystemTime) -> Option<Held> {
        let since = UNIX_EPOCH + Duration::from_secs(self.since);
        let age = today.duration_since(since).unwrap_or_default();
        let lease = Lease {
            address: self.address,
            prefix_length: self.prefix_length,
            router: self.router,
            name_servers: self.name_servers.clone(),
            ntp_servers: self.ntp_servers.clone(),
            mtu: self.mtu,
            server: self.server,
            duration: self.duration_s.map(Duration::from_secs),
            renewal: self
                .renewal_s
                .map(|(first, second)| (Duration::from_secs(first), Duration::from_secs(second))),
        };
        let held = Held {
            lease,
            // A machine that was started after the lease was granted has no instant for that; what is left counts.
            since: now.checked_sub(age).unwrap_or(now),
        };
        held.lease
            .duration
            .is_none_or(|duration| age < duration)
            .then_some(held)
    }
}

fn read(file: &Path) -> io::Result<BTreeMap<String, Remembered>> {
    if fs::metadata(file)?.len() > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(since: Instant) -> Held {
        Held {
            lease: Lease {
                address: [192, 0, 2, 10].into(),
                prefix_length: 24,
                router: Some([192, 0, 2, 1].into()),
                name_servers: vec![[192, 0, 2, 2].into()],
                ntp_servers: vec![[192, 0, 2, 3].into()],
                mtu: Some(1400),
                server: [192, 0, 2, 254].into(),
                duration: Some(Duration::from_secs(3600)),
                renewal: Some((Duration::from_secs(1800), Duration::from_secs(3150))),
            },
            since,
        }
    }

    /// A lease is found again by the same device, after a restart too, and none that is over or was never written whole.
    #[test]
    fn leases_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (wan, mac) = ("wan0".parse::<Name>().unwrap(), [2, 0, 0, 0, 0, 1]);
        let mut memory = Memory::read(folder.path());
        let held = held(Instant::now());
        memory.remember(&wan, mac, Some(&held));
        let memory = Memory::read(folder.path());
        assert_eq!(memory.recall(&wan, mac).unwrap().lease, held.lease);
        assert_eq!(memory.recall(&wan, [2, 0, 0, 0, 0, 2]), None);
        assert_eq!(memory.all().len(), 1);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Memory::read(folder.path()).all().len(), 0);
    }

    #[test]
    fn time_passes_while_the_machine_is_off() {
        let (now, today) = (Instant::now() + Duration::from_secs(10_000), SystemTime::now());
        let remembered = Remembered::of([2; 6], &held(now), now, today);
        let after = |seconds| remembered.held(now, today + Duration::from_secs(seconds));
        let left = after(1000).unwrap().end().unwrap() - now;
        assert!(
            left.abs_diff(Duration::from_secs(2600)) <= Duration::from_secs(1),
            "{left:?}"
        );
        assert_eq!(after(3700), None);
        let unset = remembered.held(now, UNIX_EPOCH).unwrap();
        assert_eq!(unset.since, now, "no clock");
    }
}
