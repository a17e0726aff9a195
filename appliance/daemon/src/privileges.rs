//! What the process may do: checked at start with exact words, then cut down to what is needed.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use thiserror::Error;

/// A capability that is missing, or one that cannot be given up.
#[derive(Debug, Error)]
pub(crate) enum PrivilegeError {
    /// The process lacks capabilities that it cannot do without.
    #[error("missing {missing}: {purpose}; start as root or with AmbientCapabilities={missing}")]
    Missing {
        /// The capabilities, as `CAP_NET_ADMIN`, separated by spaces.
        missing: String,
        /// What each one is for.
        purpose: String,
    },
    /// The kernel could not be asked, or did not obey.
    #[error("capabilities")]
    Capabilities(#[from] caps::errors::CapsError),
    /// A protection of the process could not be switched on.
    #[error("{what}: {error}")]
    Protection {
        /// Which one.
        what: &'static str,
        /// The kernel's answer.
        error: nix::Error,
    },
}

const NEEDED: [(Capability, &str); 2] = [
    (
        Capability::CAP_NET_ADMIN,
        "CAP_NET_ADMIN programs links, routes, policies and nftables",
    ),
    (
        Capability::CAP_NET_BIND_SERVICE,
        "CAP_NET_BIND_SERVICE binds UDP port 500",
    ),
];

/// Only the user-space datapath and DHCP need it; kept where the process has it.
const RAW: (Capability, &str) = (
    Capability::CAP_NET_RAW,
    "CAP_NET_RAW carries ESP without UDP in user space",
);

/// Says which capabilities are missing.
pub(crate) fn check() -> Result<(), PrivilegeError> {
    require(&NEEDED)
}

/// Says whether the capability that the user-space datapath needs besides is missing.
pub(crate) fn check_raw_sockets() -> Result<(), PrivilegeError> {
    require(&[RAW])
}

fn require(needed: &[(Capability, &'static str)]) -> Result<(), PrivilegeError> {
    let missing = missing(needed, &caps::read(None, CapSet::Effective)?);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing
        .iter()
        .map(|(capability, _)| capability.to_string())
        .collect();
    let purposes: Vec<_> = missing.iter().map(|(_, purpose)| *purpose).collect();
    Err(PrivilegeError::Missing {
        missing: names.join(" "),
        purpose: purposes.join(", "),
    })
}

fn missing(needed: &[(Capability, &'static str)], held: &CapsHashSet) -> Vec<(Capability, &'static str)> {
    needed
        .iter()
        .copied()
        .filter(|(capability, _)| !held.contains(capability))
        .collect()
}

/// Keeps only what is needed, for this process and all it starts, and keeps secrets out of core dumps.
///
/// Must run before any thread is started: capabilities belong to threads.
pub(crate) fn reduce() -> Result<(), PrivilegeError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let wanted = NEEDED.iter().map(|(capability, _)| *capability).chain([RAW.0]);
    let kept: CapsHashSet = wanted
        .filter(|capability| permitted.contains(capability))
        .collect();
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    // nft, started as a child, takes its rights from the ambient set when we are not root.
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Inheritable, &kept)?;
    caps::set(None, CapSet::Ambient, &kept)?;
    let protection = |what| move |error| PrivilegeError::Protection { what, error };
    prctl::set_no_new_privs().map_err(protection("no_new_privs"))?;
    prctl::set_dumpable(false).map_err(protection("PR_SET_DUMPABLE"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(protection("RLIMIT_CORE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        let held = CapsHashSet::from([Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN]);
        let names: Vec<_> = missing(&NEEDED, &held)
            .into_iter()
            .map(|(capability, _)| capability.to_string())
            .collect();
        assert_eq!(names, ["CAP_NET_BIND_SERVICE"]);
    }
}
