//! The owner of the IKE engine: sockets and clock around it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_esp::{IkeInbox, IkeMessage, IkeMessages};
use ike::{Action, Deadline, Engine, Input, Settings, Snapshot};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};
use tracing::debug;

use crate::datapath::Request;
use crate::history::Moment;
use crate::journal::{Journal, Pages};
use crate::resolver::Resolver;
use crate::sockets::{ENCAPSULATION_PORT, Ports, addresses};

/// How often the wall clock is looked at.
const CLOCK: Duration = Duration::from_secs(10);

/// What the owner of the engine can be asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Tell the engine.
    Tell(Input),
    /// Give the engine these settings, then answer with the sockets that cannot be had, in words.
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
    /// The sockets that are ours.
    pub(crate) ports: Ports,
    /// Which ports to bind at each local address.
    pub(crate) port_numbers: &'static [u16],
    /// Settings have been heard; what arrives before waits in the sockets instead of being refused.
    pub(crate) configured: bool,
    /// Where `ports` leave what arrives.
    pub(crate) inbox: IkeInbox,
    /// The user-space datapath, if it has the port of encapsulation.
    pub(crate) user_datapath: Option<Arc<appliance_esp::Datapath>>,
    /// The owner of the datapath.
    pub(crate) datapath: mpsc::Sender<Request>,
    /// Where it answers.
    pub(crate) answers: mpsc::Sender<Input>,
    /// Where names of peers lead.
    pub(crate) resolver: Resolver,
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
}

impl IkeOwner {
    /// Runs until the engine has closed everything after [`Input::Shutdown`].
    pub(crate) async fn run(mut self, mut mailboxes: Mailboxes) {
        let mut stopping = false;
        let mut clock = tokio::time::interval(CLOCK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(stopping && self.engine.is_idle()) {
            let when = (self.engine.deadline(), &mut clock);
            match next(when, self.configured, &mut mailboxes).await {
                Next::Input(input) => {
                    stopping |= matches!(input, Input::Shutdown);
                    self.feed(input).await;
                }
                Next::Configure(settings, answer) => {
                    let unbound = self.bind(&settings);
                    self.journal.configured(settings.connections.keys());
                    self.feed(Input::Settings(settings)).await;
                    let _gone = answer.send(unbound);
                }
                Next::LookAtClock => self.journal.look_at_clock(Moment::now()),
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
            Action::Send { local, remote, bytes } => lost(remote, self.send(local, remote, &bytes)),
            Action::Keepalive { local, remote } => lost(remote, self.keep_alive(local, remote)),
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
            Action::AskTraffic(children) => {
                // Without room there is no answer, and the engine goes on without one.
                if let Ok(answer) = self.answers.clone().try_reserve_owned() {
                    self.request(Request::Traffic(children, answer)).await;
                }
            }
            Action::Report(event) => self.journal.record(event, Moment::now()),
        }
        None
    }

    async fn request(&mut self, request: Request) {
        // Only when everything stops; wiring then ends the process.
        let _stopped = self.datapath.send(request).await;
    }

    fn send(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match (self.ports.at(local), &self.user_datapath) {
            (Some(port), _) => port.send(remote, bytes),
            (None, Some(datapath)) if local.port() == ENCAPSULATION_PORT => {
                datapath.send_ike(local.ip(), remote, bytes)
            }
            (None, _) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn keep_alive(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
        match (self.ports.at(local), &self.user_datapath) {
            (Some(port), _) => port.keep_alive(remote),
            (None, Some(datapath)) => datapath.send_keepalive(local.ip(), remote),
            (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Sockets for the addresses that the settings name. Returns those that cannot be had, in words.
    fn bind(&mut self, settings: &Settings) -> Vec<String> {
        let local = settings.connections.values().flat_map(|connection| {
            std::iter::once(connection.local.ip()).chain(connection.mobike.iter().flatten().copied())
        });
        let errors = self.ports.rebind(&addresses(local, self.port_numbers));
        for error in &errors {
            tracing::error!("{error}");
        }
        self.ports.listen(&self.inbox);
        self.configured = true;
        errors.iter().map(ToString::to_string).collect()
    }

    fn publish(&self) {
        self.snapshot.send_replace(Arc::new(self.engine.snapshot()));
        let pages = self.journal.pages(Moment::now(), self.inbox.unread());
        self.pages.send_replace(Arc::new(pages));
    }
}

/// The next fact. Messages come last, so that no flood of them keeps anything else from being heard.
async fn next(
    (deadline, clock): (Option<Deadline>, &mut Interval),
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
