use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use appliance_kernel::{Connected, Kernel, Key, LinkName, Notices, Object, Removal, Scope};
use ike::{ChildId, ConnectionName, EspPair, Input, Spent, Watched};
use tokio::select;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, interval, sleep_until};
use tracing::{debug, info, warn};

use super::carrier::Carrier;
use super::interfaces::Interfaces;
use super::learnt::{self, Learnt};
use super::network;
use super::retry::Retry;
use super::telling::Telling;
use super::traffic::Traffic;
use super::translation::Translating;
use super::ways::Ways;
use crate::chronicle::{News, Teller};
use crate::datapath::{DatapathSnapshot, Ground, Refused, Request};
use crate::derive::NetworkSettings;
use crate::{forwarding, journal};

/// How often the kernel is compared with what is wanted: not everything that happens in it is reported.
const AUDIT: Duration = Duration::from_secs(60);
/// How often peers are told that we do not know the Child SAs that the kernel carries for them.
const ORPHANS: Duration = Duration::from_secs(10);
/// How often connection tracking is asked whether it refused flows.
const EXHAUSTION: Duration = Duration::from_secs(5);
/// How long states that were found at start wait for their connection to come up again.
const HOLD: Duration = Duration::from_secs(120);
/// How long the old states of a connection stay beside its new child: the peer may still send under them.
const OVERLAP: Duration = Duration::from_secs(5);

/// Owns the kernel objects and the Child SAs of the datapath.
pub(crate) struct KernelOwner {
    pub(super) kernel: Kernel,
    pub(super) carrier: Carrier,
    pub(super) network: NetworkSettings,
    pub(super) interfaces: Interfaces,
    configured: BTreeMap<Key, Object>,
    pub(super) refused_links: Vec<Refused>,
    pub(super) refused_children: BTreeMap<ConnectionName, Refused>,
    releases: Vec<(Instant, Scope)>,
    retry: Retry,
    pub(super) ways: Ways,
    /// The connections that have no routes, for another one to their site has them.
    pub(super) idle: BTreeSet<ConnectionName>,
    pub(super) translating: Translating,
    /// The connections that have no routes, for what they carry would not be translated.
    untranslated: BTreeSet<ConnectionName>,
    /// What the links of others connected when this was last looked at.
    connected: BTreeSet<Connected>,
    pub(super) telling: Telling,
    /// Told when an address came to this machine or went.
    addresses: Arc<Notify>,
    pub(super) traffic: Traffic,
    pub(super) teller: Teller,
    /// When the snapshot is to be made anew.
    pub(super) outdated: Option<Instant>,
    pub(super) snapshot: watch::Sender<Arc<DatapathSnapshot>>,
    learnt: Learnt,
    /// What BGP stands on, as it was told last.
    ground: watch::Sender<Arc<Ground>>,
}

impl KernelOwner {
    /// Over a kernel whose objects are adopted. Through `engine` the engine is told what nobody asked
    /// for, through `addresses` its owner that some came or went.
    pub(crate) fn new(
        (kernel, interfaces): (Kernel, Interfaces),
        carrier: Carrier,
        (engine, addresses): (mpsc::Sender<Input>, Arc<Notify>),
        teller: Teller,
        (snapshot, ground): (watch::Sender<Arc<DatapathSnapshot>>, watch::Sender<Arc<Ground>>),
    ) -> Self {
        Self {
            kernel,
            carrier,
            network: NetworkSettings::default(),
            interfaces,
            configured: BTreeMap::new(),
            refused_links: Vec::new(),
            refused_children: BTreeMap::new(),
            releases: vec![(Instant::now() + HOLD, Scope::Everything)],
            retry: Retry::default(),
            ways: Ways::default(),
            idle: BTreeSet::new(),
            translating: Translating::default(),
            untranslated: BTreeSet::new(),
            connected: BTreeSet::new(),
            telling: Telling::new(engine),
            addresses,
            traffic: Traffic::default(),
            teller,
            outdated: None,
            snapshot,
            learnt: Learnt::default(),
            ground,
        }
    }

    /// Serves until [`Request::Close`], or until nobody can ask any more.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut notices: Notices) {
        let mut audit = interval(AUDIT);
        audit.reset();
        let mut orphans = interval(ORPHANS);
        orphans.reset();
        let mut exhaustion = interval(EXHAUSTION);
        loop {
            let release = self.releases.iter().map(|(due, _)| *due).min();
            let (retry, outdated) = (self.retry.due(), self.outdated);
            select! {
                biased;
                request = requests.recv() => match request {
                    Some(Request::Close(answer)) => {
                        self.remove_all().await;
                        let _gone = answer.send(());
                        return;
                    }
                    Some(request) => self.serve(request).await,
                    None => return,
                },
                reported = notices.next() => {
                    if reported.iter().any(appliance_kernel::Notice::concerns_addresses) {
                        self.addresses.notify_one();
                    }
                    let events = self.kernel.handle(reported).await;
                    self.follow(events).await;
                }
                notice = self.carrier.notice() => self.heard(notice),
                () = self.telling.room() => (),
                () = sleep_until(release.unwrap_or_else(Instant::now)), if release.is_some() => self.release().await,
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => self.try_again().await,
                () = sleep_until(outdated.unwrap_or_else(Instant::now)), if outdated.is_some() => self.publish().await,
                _ = orphans.tick() => self.tell_of_orphans(),
                _ = exhaustion.tick() => self.look_for_exhaustion().await,
                _ = audit.tick() => self.audit().await,
            }
            self.reroute().await;
            self.show_ground();
            let refused = self.retry.look(self.refused_objects(), Instant::now());
            refused.tell(&self.teller);
        }
    }

    async fn serve(&mut self, request: Request) {
        match request {
            Request::Network(network, answer) => {
                self.apply(*network).await;
                self.reroute().await;
                let _gone = answer.send(self.refused());
                self.publish_soon();
            }
            Request::Translate(rules) => {
                if let Some(translation) = self.translating.work_out(*rules, self.kernel.translation()) {
                    self.kernel.try_soon(translation);
                }
            }
            Request::Install(child, pair, answer) => {
                answer.send(self.install(child, *pair).await);
            }
            Request::SendBy(child) => self.send_by(child).await,
            Request::Watch(connection, lines) => self.watch(&connection, &lines).await,
            Request::Move(child, (local, remote), encapsulation) => {
                let followed = match &self.carrier {
                    // A state made anew would start its sequence numbers over under the same key: a successor follows.
                    Carrier::Kernel(_) => false,
                    Carrier::User(children) => children.redirect(child, (local, remote), encapsulation),
                };
                info!(child = child.0, %local, %remote, followed, "outer addresses changed");
                if let Some(connection) = self.ways.connection_of(child).cloned() {
                    self.met(&connection, remote.ip()).await;
                }
                if !followed {
                    self.telling.tell(Input::ChildSpent(child, Spent::Soft));
                }
            }
            Request::Traffic(children, answer) => self.tell_received(&children, answer).await,
            Request::Carried(children, answer) => self.tell_carried(children, answer).await,
            Request::Remove(child) => self.remove(child).await,
            Request::Leased(interface, lease) => self.leased(interface, lease).await,
            Request::Foresee(packet, answer) => {
                let _gone = answer.send(self.foresee(&packet).await);
            }
            Request::Refresh(answer) => {
                self.publish().await;
                let _gone = answer.send(());
            }
            Request::Learnt(changes, answer) => {
                forwarding::enable(self.learnt.first_of_their_version(&changes).iter());
                let requests = self.learnt.change(changes);
                let _shown = self.kernel.apply(requests).await;
                let _gone = answer.send(());
            }
            Request::ReleaseLearnt => {
                let release = appliance_kernel::Request::Release(Scope::Learnt);
                let _shown = self.kernel.apply([release]).await;
            }
            Request::Close(_) => (),
        }
    }

    /// Tells BGP which tunnels carry, and what of its routes is refused.
    fn show_ground(&self) {
        let carried_over = self.carried_over(&self.network);
        let ground = Ground {
            carried: self.ways.to_speakers(|name| carried_over.contains(name)),
            refused: learnt::refused(self.kernel.refusals()),
        };
        self.ground.send_if_modified(|shown| {
            let changed = **shown != ground;
            if changed {
                *shown = Arc::new(ground);
            }
            changed
        });
    }

    /// A peer is here now.
    async fn met(&mut self, connection: &ConnectionName, peer: IpAddr) {
        let requests = self.learnt.met(connection, peer, &self.network);
        let _shown = self.kernel.apply(requests).await;
    }

    /// Makes the network look like this. Sites are closed first, and opened by nothing but their tunnel.
    pub(super) async fn apply(&mut self, network: NetworkSettings) {
        self.ways.configure(&network);
        self.translating
            .configure(&network.translation, self.kernel.translation());
        let (idle, untranslated) = (self.idle_of(&network), self.translating.missing());
        let (machine, inner) = (self.objects(&network), self.inner(&network));
        let quiet = &idle | &untranslated;
        let mut configured = network::objects(&network, self.carrier.kind(), &quiet, &inner);
        configured.extend(machine.clone());
        configured.extend(self.translating.object());
        let prefixes = network.tunnels.values().flat_map(|tunnel| &tunnel.prefixes);
        forwarding::enable(prefixes);
        if self.configured.is_empty() && matches!(self.carrier, Carrier::User(_)) {
            self.release_links(&network, machine, &inner).await;
        }
        if let Carrier::User(children) = &mut self.carrier {
            let before = children.links();
            self.refused_links = children.match_links(&network);
            if children.links() != before {
                // Those that are there now are to be set up at once.
                self.audit().await;
            }
        }
        let mut requests = network::difference(&self.configured, &configured);
        requests.push(appliance_kernel::Request::Release(Scope::Configured));
        requests.extend(network::strangers(&self.kernel, &network));
        requests.extend(self.learnt.look(&network));
        // Refusals are kept by the kernel's owner, shown in the status and tried again at the next audit.
        let _shown = self.kernel.apply(requests).await;
        for link in network::links(&network).difference(&network::links(&self.network)) {
            network::prepare(*link);
        }
        self.refused_children
            .retain(|connection, _| network.tunnels.contains_key(connection));
        self.traffic.keep(|name| network.tunnels.contains_key(name));
        (self.network, self.configured) = (network, configured);
        (self.idle, self.untranslated) = (idle, untranslated);
        self.settle().await;
    }

    /// Nothing of a kernel datapath of before can serve user space, and its links have the names that we need; but the
    /// machine is to be reached all the time, and flows are to be known again.
    async fn release_links(
        &mut self,
        network: &NetworkSettings,
        machine: BTreeMap<Key, Object>,
        inner: &BTreeSet<Connected>,
    ) {
        let translation = self.kernel.translation().cloned().map(Object::from);
        let kept = machine.into_values().chain(translation);
        let kept = kept.map(appliance_kernel::Request::Want);
        let requests = network::closing(network, inner).chain(kept);
        let release = [appliance_kernel::Request::Release(Scope::Everything)];
        let _shown = self.kernel.apply(requests.chain(release)).await;
    }

    /// What is refused of the network as it is to look.
    fn refused(&self) -> Vec<Refused> {
        let refusals = self.kernel.refusals().iter();
        let ours = refusals.filter(|(key, _)| self.configured.contains_key(key));
        let kernel = ours.map(|(_, refusal)| Refused::from(refusal));
        let beyond = self.translating.refused().cloned();
        self.refused_links
            .iter()
            .cloned()
            .chain(kernel)
            .chain(beyond)
            .collect()
    }

    /// The connections that are to have no routes. States that a daemon before this one left may still carry traffic.
    fn idle_of(&self, network: &NetworkSettings) -> BTreeSet<ConnectionName> {
        let carried_over = self.carried_over(network);
        self.ways.idle(|name| carried_over.contains(name))
    }

    /// The connections for which states of a daemon before this one are still there.
    pub(super) fn carried_over(&self, network: &NetworkSettings) -> BTreeSet<ConnectionName> {
        let adopted = self.kernel.adopted_children();
        if adopted.is_empty() {
            return BTreeSet::new();
        }
        let tunnels = network.tunnels.iter();
        tunnels
            .filter(|(_, tunnel)| adopted.contains(&tunnel.numbering.interface_id))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Gives the routes of each site to the first of its connections that is up, as soon as what it carries is translated, and
    /// lets networks of our own be.
    async fn reroute(&mut self) {
        let unchanged = self.connected == *self.kernel.connected() && !self.devices_changed();
        self.translating.look(self.kernel.translation());
        let translated = self.translating.missing() == self.untranslated;
        if !unchanged || !translated || self.idle_of(&self.network) != self.idle {
            self.reapply().await;
        }
    }

    /// Works out anew what follows from the configuration, now that something else is known.
    pub(super) async fn reapply(&mut self) {
        let (idle, untranslated) = (self.idle_of(&self.network), self.translating.missing());
        let network = std::mem::take(&mut self.network);
        let (machine, inner) = (self.objects(&network), self.inner(&network));
        self.network = network;
        self.connected.clone_from(self.kernel.connected());
        let quiet = &idle | &untranslated;
        let mut configured = network::objects(&self.network, self.carrier.kind(), &quiet, &inner);
        configured.extend(machine);
        configured.extend(self.translating.object());
        for name in self.idle.difference(&idle) {
            self.teller.tell(News::new("has-routes").to(name));
            journal::span(name).in_scope(|| info!("has the routes of its site now"));
        }
        let _shown = self
            .kernel
            .apply(network::difference(&self.configured, &configured))
            .await;
        (self.configured, self.idle, self.untranslated) = (configured, idle, untranslated);
        self.settle().await;
    }

    pub(super) async fn install(&mut self, id: ChildId, pair: EspPair) -> Input {
        let connection = pair.connection.clone();
        let Some(tunnel) = self.network.tunnels.get(&connection) else {
            return Input::ChildRefused(id, format!("no tunnel link for connection {}", connection.0));
        };
        let interface_id = tunnel.numbering.interface_id;
        let peer = pair.remote.ip();
        let installed = match &mut self.carrier {
            Carrier::Kernel(children) => children.install(&mut self.kernel, id, pair, interface_id).await,
            Carrier::User(children) => children.install(id, pair, &tunnel.numbering.link),
        };
        match installed {
            Ok(()) => {
                self.refused_children.remove(&connection);
                self.traffic.opened(id, connection.clone());
                self.met(&connection, peer).await;
                self.ways.opened(id, connection);
                if self.kernel.adopted_children().contains(&interface_id) {
                    self.releases
                        .push((Instant::now() + OVERLAP, Scope::Child(interface_id)));
                }
                Input::ChildInstalled(id)
            }
            Err(refused) => {
                let text = refused.to_string();
                journal::span(&connection).in_scope(|| warn!(refused = text, "Child SA not installed"));
                self.refused_children.insert(connection, refused);
                Input::ChildRefused(id, text)
            }
        }
    }

    async fn send_by(&mut self, id: ChildId) {
        let switched = match &mut self.carrier {
            Carrier::Kernel(children) => children.send_by(&mut self.kernel, id).await,
            Carrier::User(children) => {
                children.send_by(id);
                Ok(())
            }
        };
        if let Err(refused) = switched {
            warn!(child = id.0, %refused, "packets do not leave by this child");
            self.remove(id).await;
            self.telling.tell(Input::ChildRefused(id, refused.to_string()));
        }
    }

    async fn remove(&mut self, id: ChildId) {
        self.ways.closed(id);
        let last = self.carrier.remove(&mut self.kernel, id).await;
        self.traffic.closed(id, last);
    }

    async fn watch(&mut self, connection: &ConnectionName, lines: &[Watched]) {
        let tunnel = self
            .network
            .tunnels
            .get(connection)
            .map(|tunnel| &tunnel.numbering);
        let watched = match (&mut self.carrier, tunnel) {
            (Carrier::Kernel(children), Some(numbering)) => {
                if !lines.is_empty() {
                    network::shorten_acquires();
                }
                let interface = (connection, numbering.interface_id);
                children.watch(&mut self.kernel, interface, lines).await
            }
            (Carrier::Kernel(children), None) => {
                children.forget(&mut self.kernel, connection).await;
                Ok(())
            }
            (Carrier::User(children), Some(numbering)) => {
                children.watch(&numbering.link, lines);
                Ok(())
            }
            // The lines went with their interface.
            (Carrier::User(_), None) => Ok(()),
        };
        if let Err(refused) = watched {
            journal::span(connection).in_scope(|| warn!(%refused, "a selector line cannot be watched"));
        }
    }

    async fn release(&mut self) {
        let now = Instant::now();
        let due: Vec<(Instant, Scope)> = self.releases.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, scope) in &due {
            debug!(?scope, "releasing what an earlier daemon left");
        }
        let requests = due
            .into_iter()
            .map(|(_, scope)| appliance_kernel::Request::Release(scope));
        let _shown = self.kernel.apply(requests).await;
    }

    fn tell_of_orphans(&mut self) {
        for orphan in network::orphans(&self.kernel, &self.network) {
            self.telling.tell_if_room(orphan);
        }
    }

    fn refused_objects(&self) -> BTreeSet<String> {
        let links = self.refused_links.iter().map(|refused| refused.object.clone());
        let kernel = self.kernel.refusals().keys().map(learnt::shown);
        links.chain(kernel).collect()
    }

    async fn try_again(&mut self) {
        if let Carrier::User(children) = &mut self.carrier {
            self.refused_links = children.match_links(&self.network);
        }
        self.kernel.retry().await;
        network::links(&self.network)
            .into_iter()
            .for_each(network::prepare);
        self.retry.tried(Instant::now());
    }

    async fn audit(&mut self) {
        match self.kernel.audit().await {
            Ok(events) => self.follow(events).await,
            Err(refusal) => warn!(%refusal, "the kernel could not be read"),
        }
    }

    /// Removes what is ours but for the routes that keep sites closed.
    async fn remove_all(&mut self) {
        if let Carrier::User(children) = &mut self.carrier {
            let gone = children.links();
            children.match_links(&NetworkSettings::default());
            // Their addresses and routes went with them: not one by one is asked for again.
            let gone = gone
                .iter()
                .filter_map(|link| LinkName::try_from(link.as_str()).ok());
            let gone = gone.map(appliance_kernel::Notice::LinkGone).collect();
            let _nobody_is_told = self.kernel.handle(gone).await;
        }
        let remove = appliance_kernel::Request::Remove(Removal::ExceptLastResort);
        match self.kernel.apply([remove]).await {
            Ok(()) => info!(
                closed = self.network.closed.len(),
                "removed all of ours but what keeps sites closed and the machine reachable"
            ),
            Err(refusal) => warn!(%refusal, "not everything of ours could be removed"),
        }
    }
}
