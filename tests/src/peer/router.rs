//! A BGP speaker as a scenario wants it, before it is put in the words of an implementation.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::strongswan::LINK;
use super::tunnel::Tunnel;

/// A BGP speaker that is not Causeway's.
#[derive(Clone, Debug)]
pub struct Router {
    /// Its autonomous system.
    pub asn: u32,
    /// Its BGP identifier.
    pub id: Ipv4Addr,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// What it announces as its own.
    pub networks: Vec<String>,
    /// Whether its kernel is given what it learns.
    pub kernel: bool,
    /// For how long it wants its routes kept while it starts again (RFC 4724), in seconds.
    pub restart_time: u16,
    /// What else BIRD is configured with, in its own words.
    pub words: String,
}

/// One of its sessions.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its own end.
    pub local: IpAddr,
    /// The far end.
    pub remote: IpAddr,
    /// The autonomous system of the far end.
    pub asn: u32,
    /// It waits for the other side to open the connection.
    pub passive: bool,
    /// After so many seconds of silence the other side is taken for gone.
    pub hold_time: u16,
    /// It looks three times a second whether the far end is there (RFC 5883); only BIRD does.
    pub bfd: bool,
    /// The link that the far end is reached by, where no network of the link's own holds it.
    pub link: Option<String>,
    /// What else is said of it, in the words of the implementation.
    pub words: String,
    /// What else is said of its IPv4 routes; only BIRD does.
    pub channel: String,
}

impl Router {
    /// A router that puts what it learns into its kernel.
    pub fn new(asn: u32, id: Ipv4Addr, sessions: Vec<Session>) -> Self {
        Self {
            asn,
            id,
            sessions,
            networks: Vec::new(),
            kernel: true,
            restart_time: 120,
            words: String::new(),
        }
    }

    /// The one that speaks for strongSwan at this end of a tunnel, and announces what is behind it; without a session
    /// there, it has none.
    pub fn of(tunnel: &Tunnel, id: Ipv4Addr) -> Self {
        let session = tunnel.bgp.iter().map(|bgp| Session {
            passive: bgp.passive,
            link: Some(LINK.to_owned()),
            ..Session::new([bgp.local, bgp.remote], bgp.remote_asn)
        });
        let asn = tunnel.bgp.map_or(0, |bgp| bgp.local_asn);
        Self::new(asn, id, session.collect()).with(&tunnel.local_prefixes())
    }

    /// The same with prefixes of its own.
    #[must_use]
    pub fn with(mut self, networks: &[&str]) -> Self {
        self.networks = networks.iter().map(|network| (*network).to_owned()).collect();
        self
    }
}

impl Session {
    /// A session, ours first, that this side opens.
    pub fn new([local, remote]: [IpAddr; 2], asn: u32) -> Self {
        Self {
            local,
            remote,
            asn,
            passive: false,
            hold_time: 180,
            bfd: false,
            link: None,
            words: String::new(),
            channel: String::new(),
        }
    }

    /// The same, but the other side opens it.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.passive = true;
        self
    }
}

/// How a session stands, in the words of either implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `Established`, or another state of RFC 4271 §8.2.2.
    pub state: String,
    /// Prefixes that the other side announced and that were let in.
    pub received: usize,
    /// All that is told of it.
    pub words: String,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} prefixes\n{}", self.state, self.received, self.words)
    }
}

/// Gives a folder to the user that a program runs as.
pub(super) fn give(folder: &Path, user: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let status = Command::new("chown")
        .args(["-R", &format!("{user}:{user}")])
        .arg(folder)
        .status()
        .context("starting chown")?;
    ensure!(
        status.success(),
        "chown {user} {} ended with {status}",
        folder.display()
    );
    Ok(())
}
