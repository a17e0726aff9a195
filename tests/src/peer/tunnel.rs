//! A tunnel as one gateway sees it, before it is put in the words of either implementation.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Result, bail};

use super::credentials::Credentials;
use super::suite::{Suite, USUAL};
use crate::lab::sites::Site;

/// Who carries ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// The kernel's XFRM.
    Kernel,
    /// The gateway itself, over a TUN interface.
    User,
}

/// What may pass a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Any to any; only the first networks are routed.
    RouteBased,
    /// Both networks of ours with both of the peer's: four Child SAs.
    PolicyBased,
    /// The first networks with the tunnel, the second ones on demand.
    Custom,
}

/// A post-quantum preshared key (RFC 8784).
#[derive(Clone, Copy, Debug)]
pub struct Ppk {
    /// What both sides call it.
    pub id: &'static str,
    /// The key.
    pub secret: &'static str,
    /// No tunnel without it.
    pub required: bool,
}

/// A BGP session through a tunnel, as one gateway sees it.
#[derive(Clone, Copy, Debug)]
pub struct Bgp {
    /// Our end.
    pub local: IpAddr,
    /// The far end.
    pub remote: IpAddr,
    /// Our autonomous system.
    pub local_asn: u32,
    /// That of the far end.
    pub remote_asn: u32,
    /// We wait for the far end to open it.
    pub passive: bool,
}

/// A tunnel as one gateway sees it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// The version of IKE.
    pub version: u8,
    /// IKEv1: phase 1 by aggressive mode.
    pub aggressive: bool,
    /// IKEv1: seconds without a packet after which Causeway closes the tunnel, where that is not as usual.
    pub idle: Option<u32>,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address.
    pub remote: IpAddr,
    /// Who we say we are.
    pub local_id: String,
    /// Who the peer must prove to be.
    pub remote_id: String,
    /// What is behind us.
    pub local_prefix: String,
    /// What is behind the peer.
    pub remote_prefix: String,
    /// A second network behind us.
    pub local_second: String,
    /// A second network behind the peer.
    pub remote_second: String,
    /// What may pass.
    pub lines: Lines,
    /// The pre-shared key.
    pub secret: String,
    /// Certificates instead of it, on one side or both.
    pub credentials: Option<Box<Credentials>>,
    /// Algorithms.
    pub suite: Suite,
    /// A policy that Causeway has built in, which it is to use instead of just these algorithms.
    pub built_in: Option<&'static str>,
    /// Seconds of silence after which Causeway gives the peer up.
    pub dpd_timeout: u32,
    /// Whether strongSwan starts the tunnel by itself, and again whenever it is gone.
    pub keeps_up: bool,
    /// UDP encapsulation without a NAT between.
    pub encapsulate: bool,
    /// Traffic selectors, local and remote, that strongSwan is to ask for instead of the usual ones.
    pub selectors: Option<(String, String)>,
    /// IKE and ESP proposals, in its own words, that strongSwan offers and takes instead of the suite.
    pub offers: Option<(&'static str, &'static str)>,
    /// The longest packet with a part of an IKE message (RFC 7383), where that is not as usual.
    pub fragment_size: Option<u16>,
    /// A second secret, mixed into the keys (RFC 8784).
    pub ppk: Option<Ppk>,
    /// Whether IKE_AUTH makes a Child SA (RFC 6023): `allow`, `force` or `never` go without one.
    pub childless: &'static str,
    /// Further outer addresses of ours that Causeway may move to (RFC 4555), and that strongSwan answers and starts from;
    /// without a list Causeway moves nowhere.
    pub mobike: Option<Vec<IpAddr>>,
    /// Who may start it, in the words of Causeway's document: `Default`, `InitiatorOnly` or `ResponderOnly`.
    pub mode: &'static str,
    /// Who speaks BGP through it. What is behind the peer is then learnt, and nothing said of it: in the document of
    /// Causeway its address space is empty, and strongSwan leaves routes to whoever speaks for it.
    pub bgp: Option<Bgp>,
}

impl Tunnel {
    /// Networks behind us that the tunnel is for.
    pub fn local_prefixes(&self) -> Vec<&str> {
        self.prefixes(&self.local_prefix, &self.local_second)
    }

    /// Networks behind the peer that the tunnel is for.
    pub fn remote_prefixes(&self) -> Vec<&str> {
        if self.bgp.is_some() {
            return Vec::new();
        }
        self.prefixes(&self.remote_prefix, &self.remote_second)
    }

    fn prefixes<'t>(&self, first: &'t str, second: &'t str) -> Vec<&'t str> {
        match self.lines {
            Lines::RouteBased => vec![first],
            Lines::PolicyBased | Lines::Custom => vec![first, second],
        }
    }

    /// The tunnel of `near`'s gateway to `far`'s.
    pub fn between(near: &Site, far: &Site) -> Self {
        Self {
            local_second: near.second_prefix.to_owned(),
            remote_second: far.second_prefix.to_owned(),
            ..Self::joining([near.outer, far.outer], [near.prefix, far.prefix])
        }
    }

    /// The tunnel between two gateways, ours first, and what is behind each.
    pub fn joining([local, remote]: [IpAddr; 2], [local_prefix, remote_prefix]: [&str; 2]) -> Self {
        Self {
            version: 2,
            aggressive: false,
            idle: None,
            local,
            remote,
            local_id: local.to_string(),
            remote_id: remote.to_string(),
            local_prefix: local_prefix.to_owned(),
            remote_prefix: remote_prefix.to_owned(),
            local_second: String::new(),
            remote_second: String::new(),
            lines: Lines::RouteBased,
            secret: "rig.only.not.a.secret".to_owned(),
            credentials: None,
            suite: USUAL,
            built_in: None,
            dpd_timeout: 45,
            keeps_up: false,
            encapsulate: false,
            selectors: None,
            offers: None,
            fragment_size: None,
            ppk: None,
            childless: "allow",
            mobike: None,
            mode: "Default",
            bgp: None,
        }
    }

    /// The same with a BGP session through it.
    #[must_use]
    pub fn speaking(mut self, bgp: Bgp) -> Self {
        self.bgp = Some(bgp);
        self
    }

    /// The same with other algorithms.
    #[must_use]
    pub fn with(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// The same by IKEv1, which has numbers for these algorithms.
    #[must_use]
    pub fn version_1(mut self, suite: Suite) -> Self {
        self.version = 1;
        self.with(suite)
    }

    /// The same with IPv6 inside.
    #[must_use]
    pub fn six(mut self, near: &Site, far: &Site) -> Self {
        near.six_prefix.clone_into(&mut self.local_prefix);
        far.six_prefix.clone_into(&mut self.remote_prefix);
        self
    }

    /// The same, started from this side only.
    #[must_use]
    pub fn starting(mut self) -> Self {
        self.mode = "InitiatorOnly";
        self
    }

    /// The same, started from the other side only.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.mode = "ResponderOnly";
        self
    }
}

impl Bgp {
    /// A session between autonomous systems, ours first, that we open.
    pub fn between([local, remote]: [IpAddr; 2], [local_asn, remote_asn]: [u32; 2]) -> Self {
        Self {
            local,
            remote,
            local_asn,
            remote_asn,
            passive: false,
        }
    }

    /// The same as the far end sees it, which waits if we open it.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
            local_asn: self.remote_asn,
            remote_asn: self.local_asn,
            passive: !self.passive,
        }
    }
}

impl Datapath {
    /// The one this test run is about: `CAUSEWAY_DATAPATH`, `user` or `kernel`.
    ///
    /// # Errors
    /// When the variable is missing or has another value: tests are started by `cargo xtask test`.
    pub fn of_this_run() -> Result<Self> {
        match std::env::var("CAUSEWAY_DATAPATH").as_deref() {
            Ok("user") => Ok(Self::User),
            Ok("kernel") => Ok(Self::Kernel),
            other => bail!("CAUSEWAY_DATAPATH must be user or kernel, not {other:?}; run cargo xtask test"),
        }
    }
}

impl fmt::Display for Datapath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::User => "user",
        })
    }
}
