use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use appliance_config::Approach;
use appliance_config::model::Phase;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::admission::retry;
use super::order::{Answer, Order, Proposal};
use super::origin::{Origin, SharedStore};
use super::refusal::Refusal;
use super::running::Running;
use super::view::View;
use super::weigh::{Report, Weighed, weigh};
use crate::access::Access;
use crate::bgp_owner;
use crate::chronicle::{News, Teller};
use crate::datapath::{Kind, Refused, Request};
use crate::derive::{Addresses, InUse, Lacking};
use crate::envelope::Secrets as Brought;
use crate::https::Listeners;
use crate::ike_owner::Command;
use crate::revocation::Librarian;
use crate::signer::{Chains, KeySnapshots, Signer};
use crate::store::Standing;

/// Owns the running configuration.
pub(crate) struct Control {
    pub(super) origin: Origin,
    pub(super) datapath: Kind,
    pub(super) running: Arc<Running>,
    /// What the running connections have in the kernel.
    pub(super) numbers: InUse,
    /// What the kernel refused of the configuration that runs.
    pub(super) refused: Vec<Refused>,
    /// The ports that others had when it was handed out, in words.
    pub(super) withheld: Vec<String>,
    /// The secrets that it lacks.
    pub(super) lacking: Lacking,
    pub(super) ike: mpsc::Sender<Command>,
    pub(super) bgp: mpsc::Sender<bgp_owner::Command>,
    pub(super) network: mpsc::Sender<Request>,
    pub(super) teller: Teller,
    /// What addresses the interfaces have.
    pub(super) addresses: watch::Receiver<Arc<Addresses>>,
    /// What of that each connection used when one last changed.
    pub(super) used: Vec<Used>,
    /// Where transitions to other certificates stood then.
    pub(super) phases: Vec<Phase>,
    /// Who has private keys.
    pub(super) signer: Signer,
    /// How they do.
    pub(super) keys: watch::Receiver<Arc<KeySnapshots>>,
    /// Who fetches lists of revoked certificates.
    pub(super) lists: Librarian,
    /// The certificates that their providers have, as they were handed out.
    pub(super) chains: Chains,
    orders: mpsc::Receiver<Order>,
    view: watch::Sender<Arc<View>>,
    pub(super) access: Arc<Access>,
    pub(super) listeners: Option<Listeners>,
}

/// How often transitions to other certificates are looked at.
const CALENDAR: Duration = Duration::from_secs(10);

/// Our address of a connection, and those that it may move to.
pub(super) type Used = (Option<IpAddr>, Option<Vec<IpAddr>>);

/// Between control and the others.
pub(crate) struct Channels {
    /// To the owner of the engine.
    pub(crate) ike: mpsc::Sender<Command>,
    /// To the owner of the BGP speaker.
    pub(crate) bgp: mpsc::Sender<bgp_owner::Command>,
    /// To the owner of kernel and datapath.
    pub(crate) network: mpsc::Sender<Request>,
    /// From the owner of kernel and datapath.
    pub(crate) addresses: watch::Receiver<Arc<Addresses>>,
    /// To who has private keys, and how they do.
    pub(crate) keys: (Signer, watch::Receiver<Arc<KeySnapshots>>),
    /// To who fetches lists of revoked certificates.
    pub(crate) lists: Librarian,
    /// From the API.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// What happens to the configuration.
    pub(crate) teller: Teller,
    /// To status.
    pub(crate) view: watch::Sender<Arc<View>>,
    /// To who may do what.
    pub(crate) access: Arc<Access>,
    /// To where the API is served over the network, if it is.
    pub(crate) listeners: Option<Listeners>,
}

/// What the service manager and the terminal say.
struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Control {
    /// Over a configuration that the caller hands out with [`Control::begin`].
    pub(crate) fn new(origin: Origin, datapath: Kind, running: Running, channels: Channels) -> Self {
        let control = Self {
            origin,
            datapath,
            running: Arc::new(running),
            numbers: InUse::new(),
            refused: Vec::new(),
            withheld: Vec::new(),
            lacking: Lacking::new(),
            ike: channels.ike,
            bgp: channels.bgp,
            network: channels.network,
            teller: channels.teller,
            addresses: channels.addresses,
            used: Vec::new(),
            phases: Vec::new(),
            signer: channels.keys.0,
            keys: channels.keys.1,
            lists: channels.lists,
            chains: Chains::new(),
            orders: channels.orders,
            view: channels.view,
            access: channels.access,
            listeners: channels.listeners,
        };
        control.publish();
        if let Some(damage) = control.view.borrow().damage.clone() {
            control.teller.tell(News::new("store-damaged").detail(damage));
        }
        let keeping = control.view.borrow().keeping.clone();
        if let Some(lost) = keeping.and_then(|keeping| keeping.lost) {
            control.teller.tell(News::new("machine-key-lost").detail(lost));
        }
        control
    }

    /// Serves orders and SIGHUP until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When signals cannot be had.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let mut signals = Signals {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let mut calendar = tokio::time::interval(CALENDAR);
        loop {
            let trial = self.standing().trial;
            select! {
                Some(()) = signals.terminate.recv() => {
                    info!("SIGTERM: closing");
                    return Ok(());
                }
                Some(()) = signals.interrupt.recv() => {
                    info!("SIGINT: closing");
                    return Ok(());
                }
                Some(()) = signals.reload.recv() => self.reload().await,
                Ok(()) = self.addresses.changed() => self.follow_addresses().await,
                Ok(()) = self.keys.changed() => self.follow_keys().await,
                () = Self::end_of(trial.as_ref()) => self.return_to_startup().await,
                _ = calendar.tick() => self.follow_calendar().await,
                () = retry(self.listeners.as_ref()) => self.listen_again().await,
                Some(order) = self.orders.recv() => self.serve(order).await,
            }
            self.publish();
        }
    }

    /// Answers one order. Whoever asked may have given up meanwhile; what is done stays done.
    pub(super) async fn serve(&mut self, order: Order) {
        match order {
            Order::Read(answer) => tell(answer, Ok(self.running.clone())),
            Order::Check(proposal, approach, answer) => tell(answer, self.check(proposal, approach).await),
            Order::Commit(commit, answer) => {
                let who = commit.said.author.who.clone();
                let done = self.commit(*commit, Vec::new()).await;
                self.conclude(&who, "commit", &done);
                tell(answer, done);
            }
            Order::Export(author, answer) => {
                let done = self.export(&author).await;
                self.conclude(&author.who, "export secrets", &done);
                tell(answer, done);
            }
            Order::Import(commit, secrets, answer) => {
                let who = commit.said.author.who.clone();
                let done = self.import(*commit, secrets).await;
                self.conclude(&who, "import", &done);
                tell(answer, done);
            }
            Order::Confirm(said, answer) => {
                let done = self.confirm(&said).await;
                self.conclude(&said.author.who, "confirm", &done);
                tell(answer, done);
            }
            Order::ActOnPeer(act, answer) => {
                let (who, what) = (act.author.who.clone(), act.what());
                let done = self.act_on_peer(act).await;
                self.conclude(&who, &what, &done);
                tell(answer, done);
            }
            Order::Act(act, answer) => {
                let (who, what) = (act.author.who.clone(), act.what());
                let done = self.act(act).await;
                self.conclude(&who, &what, &done);
                tell(answer, done);
            }
            Order::TryKey(name, answer) => self.try_key(name, answer).await,
            Order::TryProvider(name, answer) => self.try_provider(name, answer).await,
            Order::RefreshKey(name, answer) => self.refresh_key(&name, answer),
            Order::AuditLog(query, answer) => tell(answer, self.audit_log(query).await),
            Order::Generations(answer) => tell(answer, self.generations().await),
            Order::Generation(number, answer) => tell(answer, self.generation(number).await),
            Order::Secrets(answer) => tell(answer, self.secrets().await),
            Order::Secret(name, answer) => tell(answer, self.secret(name).await),
            Order::SetSecret(set, answer) => {
                let who = set.said.author.who.clone();
                let done = self.set_secret(set).await;
                self.conclude(&who, "set secret", &done);
                tell(answer, done);
            }
            Order::RemoveSecret(said, name, answer) => {
                let done = self.remove_secret(&said, name).await;
                self.conclude(&said.author.who, "remove secret", &done);
                tell(answer, done);
            }
        }
    }

    async fn check(&self, proposal: Proposal, approach: Option<Approach>) -> Result<Report, Refusal> {
        Ok(self.weigh(proposal, approach, Vec::new()).await?.report)
    }

    /// In a thread of its own: a large document takes longer than a peer should wait.
    pub(super) async fn weigh(
        &self,
        proposal: Proposal,
        approach: Option<Approach>,
        brought: Brought,
    ) -> Result<Weighed, Refusal> {
        let (running, origin) = (self.running.clone(), self.origin.clone());
        let weighed = tokio::task::spawn_blocking(move || {
            weigh(&running, &origin, proposal, approach.as_ref(), &brought)
        });
        weighed.await.map_err(|_| Refusal::Stopping)?
    }

    /// The store, for reading.
    pub(super) fn store(&self) -> Result<SharedStore, Refusal> {
        match &self.origin {
            Origin::Files(_) => Err(Refusal::NoStore),
            Origin::Store(store) => Ok(store.clone()),
        }
    }

    /// The store, for writing.
    pub(super) fn writable(&self) -> Result<SharedStore, Refusal> {
        self.store().map_err(|_| Refusal::ReadOnly)
    }

    /// Which generations count; a file has only the one that runs.
    pub(super) fn standing(&self) -> Standing {
        match &self.origin {
            Origin::Files(_) => Standing::default(),
            Origin::Store(store) => store.at_once(|store| store.standing().clone()),
        }
    }

    pub(super) fn publish(&self) {
        let (startup, trial, damage, keeping) = match &self.origin {
            Origin::Files(_) => (None, None, None, None),
            Origin::Store(store) => store.at_once(|store| {
                let standing = store.standing();
                let damage = store.damage().map(str::to_owned);
                let keeping = Some(store.keeping().clone());
                (Some(standing.startup), standing.trial.clone(), damage, keeping)
            }),
        };
        let generation = self.running.generation;
        let found = (self.addresses.borrow().clone(), &self.lacking);
        let idle = self
            .view
            .borrow()
            .idle_after(generation, &self.running.config, found);
        self.view.send_replace(Arc::new(View {
            generation,
            running: Some(self.running.clone()),
            idle: Some(idle),
            startup,
            trial,
            damage,
            keeping,
        }));
    }

    /// Before an answer is given: status tells the same, and what failed is an event.
    fn conclude<T>(&self, who: &str, what: &str, done: &Result<T, Refusal>) {
        self.publish();
        let Err(refusal) = done else { return };
        if let Refusal::Store(error) = refusal {
            error!(%error, what, "store-failed");
        }
        if let Refusal::Store(_) | Refusal::NotApplied(_) = refusal {
            let news = News::new(refusal.reason()).by(who);
            self.teller.tell(news.detail(format!("{what}: {refusal}")));
        }
    }
}

/// Answers; whoever asked may have given up.
pub(super) fn tell<T>(answer: Answer<T>, said: Result<T, Refusal>) {
    let _gone = answer.send(said);
}
