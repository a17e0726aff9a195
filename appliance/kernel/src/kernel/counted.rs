//! What the kernel has counted and follows, read anew each time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use appliance_nat::Counted;

use super::{Kernel, Port};
use crate::link::LinkName;
use crate::refusal::Refusal;
use crate::tracking::Flow;
use crate::xfrm_state::{Counters, StateKey};

impl Kernel {
    /// What has passed through each state of ours.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn counters(&mut self) -> Result<BTreeMap<StateKey, Counters>, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.counters().await,
            Port::Fake(fake) => Ok(fake.counters()),
        }
    }

    /// What has passed through one state of ours.
    ///
    /// # Errors
    ///
    /// When it is not there, or the kernel cannot be read.
    pub async fn counters_of(&mut self, key: &StateKey) -> Result<Counters, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.counters_of(key).await,
            Port::Fake(fake) => Ok(fake.counters().get(key).copied().unwrap_or_default()),
        }
    }

    /// What has passed through each binding of the table that translates, and what it dropped, by name of its counter.
    /// Nothing where the table is not there.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn translated(&mut self) -> Result<BTreeMap<String, Counted>, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.translated().await,
            Port::Fake(fake) => Ok(fake.translated()),
        }
    }

    /// What the table that closes the machine has dropped, by reason ([`crate::DROPS`]). Nothing where the table is not there.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn dropped(&mut self) -> Result<BTreeMap<String, Counted>, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.dropped().await,
            Port::Fake(fake) => Ok(fake.dropped()),
        }
    }

    /// Goes through all flows that bear a mark, one at a time: there may be hundreds of thousands.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn flows(&mut self, each: impl FnMut(Flow)) -> Result<(), Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.flows(each).await,
            Port::Fake(fake) => {
                fake.flows().into_iter().for_each(each);
                Ok(())
            }
        }
    }

    /// How many flows connection tracking refused since the kernel started, since their addresses and ports were taken.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn flows_refused(&mut self) -> Result<u64, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.flows_refused().await,
            Port::Fake(fake) => Ok(fake.flows_refused()),
        }
    }

    /// The link that packets to an address leave by as things are; `None` if it is ours, or nothing leads there.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub async fn way_to(&mut self, destination: IpAddr) -> Result<Option<LinkName>, Refusal> {
        match &mut self.port {
            Port::Netlink(netlink) => netlink.way_to(destination).await,
            Port::Fake(fake) => Ok(fake.way_to(destination)),
        }
    }
}
