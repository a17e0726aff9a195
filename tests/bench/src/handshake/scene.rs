//! A responder in one namespace and all its sites in another.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use ike::crypto::Group;
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::process::{Memory, memory};
use system_tests::lab::run::Run;

use super::{Hub, Initiators, Plan, Responder};

/// So many sites begin at once, fewer than make either responder ask for cookies.
const AT_ONCE: usize = 8;
const HUB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A fresh responder and the load. Fields are dropped in this order: what runs goes before where it runs.
pub struct Scene {
    initiators: Initiators,
    hub: Hub,
    _run: Run,
}

impl Plan {
    /// What is to be done with so many sites.
    pub fn of(sites: u16, group: Group) -> Self {
        Self {
            sites: (1..=sites).map(address).collect(),
            responder: HUB,
            group,
            secret: "bench.only.not.a.secret".to_owned(),
            at_once: AT_ONCE,
        }
    }
}

/// 198.18.0.0/15 is for measurements (RFC 2544).
fn address(site: u16) -> Ipv4Addr {
    let [high, low] = site.to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

impl Scene {
    /// Starts the responder; no site has begun.
    ///
    /// # Errors
    /// When it does not start; the error carries its log.
    pub fn new(responder: Responder, plan: &Plan) -> Result<Self> {
        let run = Run::new()?;
        let (branch, hub) = (Namespace::new(&run, "branch")?, Namespace::new(&run, "hub")?);
        let near = End {
            namespace: &branch,
            link: "wan",
            address: "192.0.2.1/24",
        };
        let far = End {
            namespace: &hub,
            link: "wan",
            address: "192.0.2.2/24",
        };
        connect(&near, &far)?;
        let sites = plan.sites.iter();
        let addresses: Vec<_> = sites
            .map(|site| format!("address add {site}/32 dev wan"))
            .collect();
        branch.ip(&addresses.iter().map(String::as_str).collect::<Vec<_>>())?;
        hub.ip(&[
            "address add 10.1.0.1/24 dev lo",
            "route add 198.18.0.0/16 via 192.0.2.1",
        ])?;
        let initiators = Initiators::new(&branch, plan.clone())?;
        let hub = responder.start(&run, &hub, plan)?;
        Ok(Self {
            initiators,
            hub,
            _run: run,
        })
    }

    /// Has so many more sites connect, and tells what processor time the responder has spent in all.
    ///
    /// # Errors
    /// When one cannot connect; the error carries the responder's log.
    pub fn handshakes(&mut self, count: usize) -> Result<Duration> {
        self.initiators.run(count).with_context(|| self.hub.log())?;
        self.hub.spent()
    }

    /// What the whole process of the responder occupies.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory(&self) -> Result<Memory> {
        memory(self.hub.id())
    }
}
