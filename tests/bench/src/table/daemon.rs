//! The speakers that are compared, each with nothing but sessions.

use std::fmt;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::process::Process;
use system_tests::lab::run::Run;
use system_tests::peer::bird::Bird;
use system_tests::peer::frr::Frr;
use system_tests::peer::router::{Router, Session};

use super::host;

/// The autonomous system of whoever is measured.
pub(super) const ASN: u32 = 64_900;

/// A speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Ours: `bgp::Speaker` in a small host of this package, since the appliance speaks through tunnels only.
    Ours,
    /// BIRD 2, which gives its kernel nothing.
    Bird,
    /// FRR: `bgpd` without `zebra`.
    Frr,
}

/// A speaker that runs.
pub(super) enum Running {
    Ours(Process),
    Bird(Bird),
    Frr(Frr),
}

impl Daemon {
    /// Starts it with a session for each neighbour, by autonomous system and address, all of which open theirs.
    pub(super) fn start(
        self,
        run: &Run,
        namespace: &Namespace,
        local: Ipv4Addr,
        neighbours: &[(u32, Ipv4Addr)],
    ) -> Result<Running> {
        let session =
            |(asn, remote): &(u32, Ipv4Addr)| Session::new([local.into(), (*remote).into()], *asn).waiting();
        let mut router = Router::new(ASN, local, neighbours.iter().map(session).collect());
        router.kernel = false;
        Ok(match self {
            Self::Ours => Running::Ours(host_process(namespace, local, neighbours)?),
            Self::Bird => Running::Bird(Bird::start(run, namespace, &router)?),
            Self::Frr => Running::Frr(Frr::start(run, namespace, &router)?),
        })
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Bird => "bird",
            Self::Frr => "frr",
        })
    }
}

impl Running {
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Ours(process) => process.id(),
            Self::Bird(bird) => bird.id(),
            Self::Frr(frr) => frr.id(),
        }
    }

    pub(super) fn log(&self) -> String {
        match self {
            Self::Ours(process) => process.log(),
            Self::Bird(bird) => bird.log(),
            Self::Frr(frr) => frr.log(),
        }
    }
}

/// This program again, as a host.
fn host_process(namespace: &Namespace, local: Ipv4Addr, neighbours: &[(u32, Ipv4Addr)]) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe().context("where we are")?);
    command.arg(host::ARGUMENT).arg(local.to_string());
    command.args(neighbours.iter().map(|(asn, remote)| format!("{asn}@{remote}")));
    namespace.spawn("host", &mut command)
}
