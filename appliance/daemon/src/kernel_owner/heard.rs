use appliance_esp::{Limit, Notice};
use appliance_kernel::{Event, Key, LinkName, PolicyKey, StateKey};
use ike::{ChildId, Input, Spent};
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::Instant;
use tracing::warn;

use super::carrier::Carrier;
use super::network;
use super::owner::KernelOwner;
use crate::chronicle::News;

/// What kernel and workers tell, asked and unasked.
impl KernelOwner {
    /// How many packets each of these children has received.
    pub(super) async fn tell_received(&mut self, children: &[ChildId], answer: OwnedPermit<Input>) {
        let received = match &self.carrier {
            Carrier::Kernel(carried) => carried.received(&mut self.kernel, children).await,
            Carrier::User(carried) => carried.received(children),
        };
        answer.send(Input::Received(received));
    }

    /// How many packets each of these children has carried, both directions together.
    pub(super) async fn tell_carried(&mut self, children: Vec<ChildId>, answer: OwnedPermit<Input>) {
        let mut carried = Vec::new();
        for child in children {
            let counters = self.carrier.counters_of(&mut self.kernel, child).await;
            carried.extend(counters.map(|of| (child, of.packets_in.saturating_add(of.packets_out))));
        }
        answer.send(Input::Carried(carried));
    }

    /// Passes on what our own workers tell.
    pub(super) fn heard(&mut self, notice: Notice) {
        match notice {
            Notice::Wanted { interface, line } => {
                let mut tunnels = self.network.tunnels.iter();
                if let Some((name, _)) = tunnels.find(|(_, tunnel)| tunnel.numbering.link == interface) {
                    self.telling.tell_if_room(Input::Wanted(name.clone(), line));
                }
            }
            Notice::Spent { id, limit } => {
                let spent = match limit {
                    Limit::Soft => Spent::Soft,
                    Limit::Hard => Spent::Hard,
                };
                self.telling.tell(Input::ChildSpent(ChildId(id), spent));
            }
        }
    }

    /// Tells the engine of children that lost a state: only a new negotiation brings them back.
    pub(super) async fn follow(&mut self, events: Vec<Event>) {
        let mut lost = 0_usize;
        for event in events {
            match event {
                Event::StateLost { key, interface_id } => {
                    warn!(state = %key, interface_id = format!("{interface_id:#x}"), "an ESP state vanished from the kernel");
                    self.give_up(key).await;
                }
                Event::StateSpent { key, hard } => self.spent(key, hard),
                Event::Wanted(policy) => self.wanted(&policy),
                Event::Missing(Key::Route(route)) if route.is_learnt() => lost += 1,
                Event::Missing(key) => {
                    self.teller
                        .tell(News::new("kernel-object-lost").object(key.to_string()));
                    warn!(object = %key, "was gone and has been made again");
                    let mut tunnels = self.network.tunnels.values();
                    if let Key::Link(link) = &key
                        && tunnels.any(|tunnel| tunnel.numbering.link == link.as_str())
                    {
                        self.renew_link(link);
                    }
                }
            }
        }
        if lost > 0 {
            let object = format!("{lost} routes learnt by BGP");
            warn!(object, "were gone and have been made again");
            self.teller.tell(News::new("kernel-object-lost").object(object));
        }
    }

    async fn give_up(&mut self, state: StateKey) {
        let Carrier::Kernel(children) = &mut self.carrier else {
            return;
        };
        let Some(child) = children.of(state) else { return };
        children.remove(&mut self.kernel, child).await;
        self.ways.closed(child);
        self.traffic.closed(child, None);
        self.teller
            .tell(News::new("kernel-object-lost").object(state.to_string()));
        self.telling.tell(Input::ChildRefused(
            child,
            format!("{state} vanished from the kernel"),
        ));
    }

    fn spent(&mut self, state: StateKey, hard: bool) {
        let Carrier::Kernel(children) = &self.carrier else {
            return;
        };
        if let Some(child) = children.of(state) {
            let spent = if hard { Spent::Hard } else { Spent::Soft };
            self.telling.tell(Input::ChildSpent(child, spent));
        }
    }

    fn wanted(&mut self, policy: &PolicyKey) {
        let Carrier::Kernel(children) = &mut self.carrier else {
            return;
        };
        if let Some((connection, line)) = children.wanted(policy, Instant::now()) {
            self.telling.tell_if_room(Input::Wanted(connection, line));
        }
    }

    /// A tunnel link was deleted by somebody else. The kernel's is there again by now, and ours is made again here.
    fn renew_link(&mut self, link: &LinkName) {
        if let Carrier::User(children) = &mut self.carrier
            && let Err(refused) = children.renew(link.as_str())
        {
            warn!(%refused, "the link could not be made again");
            self.refused_links.push(refused);
        }
        let mut links = network::links(&self.network).into_iter();
        if let Some(link) = links.find(|(name, _)| *name == link.as_str()) {
            network::prepare(link);
        }
    }
}
