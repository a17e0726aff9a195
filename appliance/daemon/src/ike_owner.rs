//! The owner of the IKE engine: sockets and clock around it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_esp::{IkeInbox, IkeMessage, IkeMessages};
use ike::{
    Action, ConnectionName, ConnectionState, Deadline, Engine, Event, Input, Outage, Settings, Snapshot,
};
use tokio::select;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};
use tracing::debug;

use crate::datapath::Request;
use crate::history::Moment;
use crate::journal::{Journal, Pages};
use crate::outer::Outer;
use crate::resolver::Resolver;
use crate::revocation::Librarian;
use crate::signer::Signer;

/// How often the wall clock is looked at.
const CLOCK: Duration = Duration::from_secs(10);

/// What the owner of the engine can be asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Tell the engine.
    Tell(Input),
    /// Give the engine these settings, then answer with the ports that others have, in words.
    Configure(Box<Settings>, oneshot::Sender<Vec<String>>),
    /// Publish a fresh snapshot, then answer.
    Publish(oneshot::Sender<()>),
}

/// Where the owner hears from others.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    /// From control and API.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// From the owner of the datapath.
    pub(crate) answers: mpsc::Receiver<Input>,
    /// From our sockets, and from the user-space datapath where that has the port of encapsulation.
    pub(crate) messages: IkeMessages,
}

/// The engine and all that it acts on.
pub(crate) struct IkeOwner {
    /// The core.
    pub(crate) engine: Engine,
    /// Our addresses and the sockets there.
    pub(crate) outer: Outer,
    /// Told when an address came to this machine or went.
    pub(crate) addresses: Arc<Notify>,
    /// Which address each connection starts from.
    pub(crate) starts_from: BTreeMap<ConnectionName, IpAddr>,
    /// Settings have been heard; what arrives before waits in the sockets instead of being refused.
    pub(crate) configured: bool,
    /// Where `outer` leaves what arrives.
    pub(crate) inbox: IkeInbox,
    /// The owner of the datapath.
    pub(crate) datapath: mpsc::Sender<Request>,
    /// Where it answers.
    pub(crate) answers: mpsc::Sender<Input>,
    /// Where names of peers lead.
    pub(crate) resolver: Resolver,
    /// Who has our private keys.
    pub(crate) signer: Signer,
    /// Who fetches lists of revoked certificates.
    pub(crate) librarian: Librarian,
    /// What happened.
    pub(crate) journal: Journal,
    /// Where status looks.
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    /// The same for what happened.
    pub(crate) pages: watch::Sender<Arc<Pages>>,
}

enum Next {
    Input(Input),
    Configure(Box<Settings>, oneshot::Sender<Vec<String>>),
    Publish(oneshot::Sender<()>),
    LookAtClock,
    LookAtAddresses,
}

impl IkeOwner {
    /// Runs until the engine has closed everything after [`Input::Shutdown`].
    pub(crate) async fn run(mut self, mut mailboxes: Mailboxes) {
        let mut stopping = false;
        let mut clock = tokio::time::interval(CLOCK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(stopping && self.engine.is_idle()) {
            let when = (self.engine.deadline(), &mut clock, &*self.addresses);
            match next(when, self.configured, &mut mailboxes).await {
                Next::Input(input) => {
                    stopping |= matches!(input, Input::Shutdown);
                    self.feed(input).await;
                }
                Next::Configure(settings, answer) => {
                    self.configure(settings).await;
                    let _gone = answer.send(self.outer.withheld());
                }
                Next::LookAtClock => {
                    let now = Moment::now();
                    self.journal.look_at_clock(now);
                    let unix_s = self.journal.unix_s(now);
                    self.feed(Input::Clock(unix_s)).await;
                    // Not every obstacle is told of when it goes.
                    self.look_at_addresses().await;
                }
                Next::LookAtAddresses => self.look_at_addresses().await,
                Next::Publish(asked) => {
                    self.publish();
                    // Whoever asked may have given up meanwhile.
                    let _gone = asked.send(());
                }
            }
        }
        self.publish();
    }

    async fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.engine.handle(input, Instant::now()) {
                inputs.extend(self.perform(action).await);
            }
        }
    }

    /// Performs one action; what comes back at once is returned.
    async fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Send { local, remote, bytes } => lost(remote, self.outer.send(local, remote, &bytes)),
            Action::Keepalive { local, remote } => lost(remote, self.outer.keep_alive(local, remote)),
            Action::InstallChild(child, pair) => match self.answers.clone().try_reserve_owned() {
                Ok(answer) => self.request(Request::Install(child, pair, answer)).await,
                Err(_) => {
                    return Some(Input::ChildRefused(
                        child,
                        "the datapath has too much to do".to_owned(),
                    ));
                }
            },
            Action::MoveChild {
                child,
                local,
                remote,
                encapsulation,
            } => {
                let ends = (local, remote);
                self.request(Request::Move(child, ends, encapsulation)).await
            }
            Action::RemoveChild(child) => self.request(Request::Remove(child)).await,
            Action::SendBy(child) => self.request(Request::SendBy(child)).await,
            Action::Watch(connection, lines) => self.request(Request::Watch(connection, lines)).await,
            Action::Resolve(connection, host) => self.resolver.ask(connection, host),
            Action::FetchLists(lists) => self.librarian.add(lists),
            Action::Sign(sa, to_be_signed) => return self.signer.sign(sa, to_be_signed),
            Action::AskTraffic(children) => {
                // Without room there is no answer, and the engine goes on without one.
                if let Ok(answer) = self.answers.clone().try_reserve_owned() {
                    self.request(Request::Traffic(children, answer)).await;
                }
            }
            Action::AskCarried(children) => {
                if let Ok(answer) = self.answers.clone().try_reserve_owned() {
                    self.request(Request::Carried(children, answer)).await;
                }
            }
            Action::Log(connection, line) => self.journal.log_message(&connection, line, Moment::now()),
            Action::Report(event) => {
                let event = self.explained(event);
                self.journal.record(event, Moment::now());
            }
        }
        None
    }

    async fn request(&mut self, request: Request) {
        // Only when everything stops; wiring then ends the process.
        let _stopped = self.datapath.send(request).await;
    }

    /// Sockets at new addresses come first, and those at old ones go last: Deletes leave by them.
    async fn configure(&mut self, settings: Box<Settings>) {
        let connections = || settings.connections.iter();
        let outer = connections().flat_map(|(_, connection)| {
            std::iter::once(connection.local.ip()).chain(connection.mobike.iter().flatten().copied())
        });
        self.outer.want(outer.collect());
        self.outer.listen(&self.inbox);
        self.configured = true;
        self.starts_from = connections()
            .map(|(name, connection)| (name.clone(), connection.local.ip()))
            .collect();
        self.journal.configured(settings.connections.keys());
        self.feed(Input::Settings(settings)).await;
        self.outer.let_go();
    }

    /// Addresses may have come or gone. What waited for one starts at once.
    async fn look_at_addresses(&mut self) {
        let back = self.outer.look();
        if !self.configured || back.is_empty() {
            return;
        }
        self.outer.listen(&self.inbox);
        let start = |(name, address): (&ConnectionName, _)| back.contains(address).then(|| name.clone());
        let waiting: Vec<ConnectionName> = self.starts_from.iter().filter_map(start).collect();
        for name in waiting {
            self.feed(Input::Connect(name)).await;
        }
    }

    /// Why a connection is down that has no address to start from.
    fn unusable(&self, name: &ConnectionName) -> Option<&Outage> {
        self.outer.unusable(*self.starts_from.get(name)?)
    }

    /// An attempt without an address fails, and not because of the peer.
    fn explained(&self, event: Event) -> Event {
        let Event::AttemptFailed(name, outage) = event else {
            return event;
        };
        let outage = self.unusable(&name).cloned().unwrap_or(outage);
        Event::AttemptFailed(name, outage)
    }

    fn publish(&self) {
        let mut snapshot = self.engine.snapshot();
        for (name, connection) in &mut snapshot.connections {
            if connection.state != ConnectionState::Up
                && let Some(outage) = self.unusable(name)
            {
                connection.outage = Some(outage.clone());
            }
        }
        self.snapshot.send_replace(Arc::new(snapshot));
        let pages = self.journal.pages(Moment::now(), self.inbox.unread());
        self.pages.send_replace(Arc::new(pages));
    }
}

/// The next fact. Messages come last, so that no flood of them keeps anything else from being heard.
async fn next(
    (deadline, clock, addresses): (Option<Deadline>, &mut Interval, &Notify),
    configured: bool,
    mailboxes: &mut Mailboxes,
) -> Next {
    let Mailboxes {
        commands,
        answers,
        messages,
    } = mailboxes;
    let input = select! {
        biased;
        Some(answer) = answers.recv() => answer,
        Some(command) = commands.recv() => match command {
            Command::Tell(input) => input,
            Command::Configure(settings, answer) => return Next::Configure(settings, answer),
            Command::Publish(asked) => return Next::Publish(asked),
        },
        () = sleep_until(deadline.map(|deadline| deadline.at)) => Input::Tick,
        _ = clock.tick() => return Next::LookAtClock,
        () = addresses.notified() => return Next::LookAtAddresses,
        Some(IkeMessage { local, remote, bytes }) = messages.receive(), if configured => {
            Input::Datagram { local, remote, bytes }
        }
    };
    Next::Input(input)
}

/// A message that could not be sent is like one lost on the way: the engine sends it again.
fn lost(remote: SocketAddr, sent: io::Result<()>) {
    if let Err(error) = sent {
        debug!(%remote, %error, "not sent");
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
