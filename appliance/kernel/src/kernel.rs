//! The handle for the owner of the kernel: the core, and the kernel or a fake one behind it.

mod counted;

use std::collections::{BTreeMap, BTreeSet};

use crate::address::{Address, Connected};
use crate::fake::FakeKernel;
use crate::firewall::Firewall;
use crate::link::{Device, Link, LinkName};
use crate::netlink::{Netlink, Subscription, is_batched, unwanted_link};
use crate::notice::{Event, Notice};
use crate::object::{Key, Object};
use crate::order::Operation;
use crate::owned::Op;
use crate::port::Port;
use crate::probe::Missing;
use crate::reconciler::{Reconciler, Request};
use crate::refusal::Refusal;
use crate::translation::Translation;
use crate::xfrm_state::XfrmState;

/// How often one call goes over its plan: each round may unblock what waited for a link.
const ROUNDS: usize = 8;

/// Owns every kernel object of ours in this network namespace.
#[derive(Debug)]
pub struct Kernel {
    core: Reconciler,
    port: Port,
    connected: BTreeSet<Connected>,
    devices: BTreeMap<LinkName, Device>,
    /// What came to light meanwhile, until somebody takes it.
    events: Vec<Event>,
}

/// What the kernel reports unasked.
#[derive(Debug)]
pub struct Notices(Source);

#[derive(Debug)]
enum Source {
    Netlink(Box<Subscription>),
    Fake(FakeKernel),
}

/// All that a dump finds.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Objects under our mark.
    pub(crate) objects: Vec<Object>,
    /// All links, ours or not.
    pub(crate) devices: BTreeMap<LinkName, Device>,
    /// What addresses connect, ours or not.
    pub(crate) connected: BTreeSet<Connected>,
}

impl Kernel {
    /// Opens the kernel in the network namespace of this thread and adopts what is there under our mark.
    ///
    /// # Errors
    ///
    /// When netlink cannot be opened or read.
    pub async fn open() -> Result<(Kernel, Notices), Refusal> {
        let netlink = Netlink::open().await?;
        // Subscribed first, so that nothing happens unseen between the dump and the first notice.
        let subscription = Subscription::open(netlink.port()).await?;
        let mut port = Port::Netlink(Box::new(netlink));
        let found = port.dump().await?;
        Ok((
            Kernel::adopt(found, port),
            Notices(Source::Netlink(Box::new(subscription))),
        ))
    }

    /// The same over a kernel in memory, for tests.
    pub fn over(fake: &FakeKernel) -> (Kernel, Notices) {
        (
            Kernel::adopt(fake.dump(), Port::Fake(fake.clone())),
            Notices(Source::Fake(fake.clone())),
        )
    }

    fn adopt(found: Dump, port: Port) -> Kernel {
        Kernel {
            core: Reconciler::adopt(found.objects, found.devices.keys().cloned().collect()),
            port,
            connected: found.connected,
            devices: found.devices,
            events: vec![],
        }
    }

    /// Takes requests together and does all that can be done now.
    ///
    /// Objects that wait for a link are done when it appears, and count as granted here. The states wanted in
    /// one call are all installed or none: a refused one takes the others back.
    ///
    /// # Errors
    ///
    /// The first refusal that concerns an object wanted in this call. But for states, what is refused stays
    /// wanted and is tried again by [`Kernel::audit`].
    pub async fn apply(&mut self, requests: impl IntoIterator<Item = Request>) -> Result<(), Refusal> {
        let mut wanted = BTreeSet::new();
        for request in requests {
            if let Request::Want(object) = &request {
                wanted.insert(object.key());
            }
            self.core.request(request);
        }
        let refused = self.converge().await;
        let Some(state) = wanted
            .iter()
            .find(|key| matches!(key, Key::State(_)) && refused.contains_key(key))
        else {
            return match refused.into_iter().find(|(key, _)| wanted.contains(key)) {
                Some((_, refusal)) => Err(refusal),
                None => Ok(()),
            };
        };
        for key in wanted.iter().filter(|key| matches!(key, Key::State(_))) {
            self.core.request(Request::Unwant(key.clone()));
        }
        self.converge().await;
        refused.get(state).cloned().map_or(Ok(()), Err)
    }

    /// Where nothing is translated yet, tries this table, so that whoever wants it soon waits less.
    pub fn try_soon(&mut self, translation: &Translation) {
        if self.core.present(&Key::Translation).is_none() {
            self.port.try_beside(translation);
        }
    }

    /// Takes what the kernel reported, repairs what is broken and says what others have to know.
    pub async fn handle(&mut self, notices: Vec<Notice>) -> Vec<Event> {
        let overrun = notices.contains(&Notice::Overrun);
        notices.iter().for_each(|notice| self.reconnect(notice));
        let mut events: Vec<Event> = notices
            .into_iter()
            .filter_map(|notice| self.core.observe(notice))
            .collect();
        // A route that went and came between two looks is there: nobody lost it.
        events
            .retain(|event| !matches!(event, Event::Missing(key @ Key::Route(_)) if !self.core.is_open(key)));
        if overrun {
            tracing::info!(reason = "reports were lost", "the kernel is read anew");
            let found = self.audit().await.unwrap_or_else(|refusal| {
                tracing::warn!(%refusal, "the kernel cannot be read");
                vec![]
            });
            events.extend(found);
        } else {
            self.converge().await;
            events.append(&mut self.events);
        }
        events
    }

    /// Compares all that is there with all that is wanted, and tries again what was refused. To be called now
    /// and then: not everything that happens in a kernel is reported.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn audit(&mut self) -> Result<Vec<Event>, Refusal> {
        self.look().await?;
        self.core.retry();
        self.converge().await;
        Ok(std::mem::take(&mut self.events))
    }

    /// Tries again what was refused, and nothing else.
    pub async fn retry(&mut self) {
        self.core.retry();
        self.converge().await;
    }

    fn reconnect(&mut self, notice: &Notice) {
        match notice {
            Notice::Connected(connected, true) => drop(self.connected.insert(connected.clone())),
            Notice::Connected(connected, false) => drop(self.connected.remove(connected)),
            Notice::LinkGone(link) => {
                self.connected.retain(|connected| connected.link != *link);
                self.devices.remove(link);
            }
            Notice::LinkPresent { link, device, .. } => {
                self.devices.insert(link.name.clone(), device.clone());
            }
            Notice::Present(_)
            | Notice::Gone(_)
            | Notice::Expired { .. }
            | Notice::Wanted(_)
            | Notice::Overrun => {}
        }
    }

    /// What an address of ours connects is known before the kernel reports it.
    fn connect(&mut self, step: &Operation) {
        if let Key::Address(address) = step.key() {
            let connected = Connected::from(address);
            match step {
                Op::Create(..) | Op::Replace { .. } => self.connected.insert(connected),
                Op::Delete(..) => self.connected.remove(&connected),
            };
        }
    }

    async fn look_for(&mut self, reason: &str) -> Result<(), Refusal> {
        tracing::info!(reason, "the kernel is read anew");
        self.look().await
    }

    async fn look(&mut self) -> Result<(), Refusal> {
        let found = self.port.dump().await?;
        let links = found.devices.keys().cloned().collect();
        (self.connected, self.devices) = (found.connected, found.devices);
        self.events.extend(self.core.observe_all(found.objects, links));
        Ok(())
    }

    async fn converge(&mut self) -> BTreeMap<Key, Refusal> {
        let mut refused = BTreeMap::new();
        for _ in 0..ROUNDS {
            if let Some(reason) = self.core.doubt()
                && let Err(refusal) = self.look_for(reason).await
            {
                tracing::warn!(%refusal, "the kernel cannot be read");
            }
            let plan = self.core.plan();
            if plan.is_empty() {
                break;
            }
            if let Some(translation) = self.core.translation_to_make() {
                self.port.try_beside(translation);
            }
            self.perform(&plan, &mut refused).await;
        }
        self.port.try_nothing();
        refused
    }

    async fn perform(&mut self, plan: &[Operation], refused: &mut BTreeMap<Key, Refusal>) {
        let mut links_deleted = false;
        let mut steps = plan;
        while let Some((step, rest)) = steps.split_first() {
            if is_batched(step) {
                let together = steps.iter().take_while(|step| is_batched(step)).count();
                let (now, later) = steps.split_at(together);
                let answers = self.port.perform_together(now).await;
                self.settle_together(now, answers, refused);
                steps = later;
                continue;
            }
            if !links_deleted && unwanted_link(step).is_some() {
                self.delete_together(plan).await;
                links_deleted = true;
            }
            if let Some((next, later)) = rest.split_first()
                && self.port.replace_tables(step, next).await
            {
                self.core.done(step, Ok(()));
                self.core.done(next, Ok(()));
                steps = later;
                continue;
            }
            let answer = self.port.perform(step).await;
            match &answer {
                Ok(()) => self.connect(step),
                Err(refusal) => {
                    tracing::warn!(%refusal, "kernel object refused");
                    refused.insert(step.key().clone(), refusal.clone());
                }
            }
            self.core.done(step, answer);
            steps = rest;
        }
    }

    /// Of many that are refused alike, one is enough for the log.
    fn settle_together(
        &mut self,
        steps: &[Operation],
        answers: Vec<Result<(), Refusal>>,
        refused: &mut BTreeMap<Key, Refusal>,
    ) {
        let before = refused.len();
        for (step, answer) in steps.iter().zip(answers) {
            if let Err(refusal) = &answer {
                if refused.len() == before {
                    tracing::warn!(%refusal, "kernel object refused");
                }
                refused.insert(step.key().clone(), refusal.clone());
            }
            self.core.done(step, answer);
        }
        let more = (refused.len() - before).saturating_sub(1);
        if more > 0 {
            tracing::warn!(more, "routes refused besides");
        }
    }

    /// Deletes the links of a plan at once if there are several; each is looked for once more in its turn.
    async fn delete_together(&mut self, plan: &[Operation]) {
        let links: Vec<(&Key, &Link)> = plan.iter().filter_map(unwanted_link).collect();
        if links.len() > 1
            && let Port::Netlink(netlink) = &mut self.port
            && let Err(refusal) = netlink.delete_links(&links).await
        {
            tracing::debug!(%refusal, "links are deleted one by one");
        }
    }

    /// Whether this kernel has all that the kernel datapath needs; tries it, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// What is missing, in a sentence.
    pub async fn probe(&mut self) -> Result<(), Missing> {
        match &mut self.port {
            Port::Netlink(netlink) => crate::probe::probe(netlink).await,
            Port::Fake(fake) => fake.probe(),
        }
    }

    /// What the kernel refuses, by object.
    pub fn refusals(&self) -> &BTreeMap<Key, Refusal> {
        self.core.refusals()
    }

    /// What waits for a link that is not there, and for which.
    pub fn waiting(&self) -> Vec<(Key, LinkName)> {
        self.core.waiting()
    }

    /// All that the kernel has of ours, as far as we know.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.core.present_objects()
    }

    /// What the table that translates does, if it is there.
    pub fn translation(&self) -> Option<&Translation> {
        match self.core.present(&Key::Translation) {
            Some(Object::Translation(translation)) => Some(translation),
            _ => None,
        }
    }

    /// What the table that closes the machine opens, if it is there.
    pub fn firewall(&self) -> Option<&Firewall> {
        match self.core.present(&Key::Firewall) {
            Some(Object::Firewall(firewall)) => Some(firewall),
            _ => None,
        }
    }

    /// The networks that addresses, ours or not, connect to links.
    pub fn connected(&self) -> &BTreeSet<Connected> {
        &self.connected
    }

    /// All links, ours or not.
    pub fn devices(&self) -> &BTreeMap<LinkName, Device> {
        &self.devices
    }

    /// The addresses of somebody else.
    pub fn foreign_addresses(&self) -> impl Iterator<Item = Address> {
        let ours: BTreeSet<&Address> = self
            .core
            .present_objects()
            .filter_map(|object| match object {
                Object::Address(address) => Some(address),
                Object::Link(_)
                | Object::Route(_)
                | Object::Rule(_)
                | Object::State(_)
                | Object::Policy(_)
                | Object::Ruleset(_)
                | Object::Translation(_)
                | Object::Firewall(_) => None,
            })
            .collect();
        let all = self.connected.iter().filter_map(Connected::as_address);
        all.filter(move |address| !ours.contains(address))
    }

    /// The states that were found at start and are not replaced yet.
    pub fn adopted_states(&self) -> impl Iterator<Item = &XfrmState> {
        self.core.adopted_states()
    }

    /// Interface ids of the states that were found at start and are not replaced yet.
    pub fn adopted_children(&self) -> BTreeSet<u32> {
        self.core.adopted_children()
    }
}

impl Notices {
    /// All that was reported since the last call; waits for something to happen. Cancelling loses nothing.
    pub async fn next(&mut self) -> Vec<Notice> {
        match &mut self.0 {
            Source::Netlink(subscription) => subscription.next().await,
            Source::Fake(fake) => fake.notices().await,
        }
    }
}
