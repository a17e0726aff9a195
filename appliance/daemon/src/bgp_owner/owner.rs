use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::bfd::BfdSnapshot;
use bgp::{Action, Input, NeighbourName, Settings, Snapshot, Speaker};
use bytes::Bytes;
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::detection::{Detection, Told};
use super::recorder::{Record, Recorded, Recorder};
use super::reporting::Reporting;
use super::routes::{Routes, connection};
use super::sockets::Sockets;
use crate::chronicle::Teller;
use crate::datapath::{Ground, Request};
use crate::derive::{self, BgpSettings, RestingSession};

/// How often it is looked whether links came or were made anew; a tunnel that comes up is looked at at once.
const LOOK: Duration = Duration::from_secs(5);

/// What the owner of the speaker can be asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run this from now on, then answer.
    Configure(Box<BgpSettings>, oneshot::Sender<()>),
    /// Tell the speaker.
    Tell(Input),
    /// Publish a fresh snapshot, then answer.
    Publish(oneshot::Sender<()>),
    /// Ask the speaker about its routes.
    Ask(Question),
    /// Write messages down.
    Record(Recording),
    /// Close all sessions, then end.
    Close,
}

/// What of a recording is wanted.
#[derive(Debug)]
pub(crate) enum Recording {
    /// Begin; nothing comes back if one goes on.
    Start(Record, oneshot::Sender<Option<Recorded>>),
    /// End; nothing comes back if none goes on.
    Stop(oneshot::Sender<Option<Recorded>>),
    /// Tell how it stands.
    Stands(oneshot::Sender<Option<Recorded>>),
    /// Hand out what is written down.
    File(oneshot::Sender<Option<Vec<Bytes>>>),
}

/// The speaker as status shows it.
#[derive(Debug, Clone)]
pub(crate) struct BgpView {
    /// How it stands.
    pub(crate) speaker: Snapshot,
    /// How those stand that look whether neighbours are there.
    pub(crate) bfd: BTreeMap<NeighbourName, BfdSnapshot>,
    /// What it runs.
    pub(crate) settings: Arc<Settings>,
    /// What of the document it does not run, and since when.
    pub(crate) resting: Arc<BTreeMap<NeighbourName, (RestingSession, Instant)>>,
}

/// What the API asks of the speaker.
pub(crate) struct Question(pub(crate) Box<dyn FnOnce(&Speaker) + Send>);

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question")
    }
}

/// Where the owner hears from others.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    /// From control and API.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// From the owner of the kernel.
    pub(crate) ground: watch::Receiver<Arc<Ground>>,
}

/// The speaker and all that it acts on.
pub(crate) struct BgpOwner {
    speaker: Speaker,
    sockets: Sockets,
    detection: Detection,
    routes: Routes,
    /// The neighbours whose tunnel carries, as the speaker knows it.
    carried: BTreeSet<NeighbourName>,
    network: mpsc::Sender<Request>,
    reporting: Reporting,
    recorder: Recorder,
    view: watch::Sender<Arc<BgpView>>,
}

enum Next {
    Inputs(Vec<Input>),
    Detected(Vec<(NeighbourName, Told)>),
    DetectionDue,
    Command(Command),
    Ground,
    Look,
    Expire,
    Done,
}

impl BgpOwner {
    /// Over a speaker without neighbours, which may have been told that nothing is preserved.
    pub(crate) fn new(
        speaker: Speaker,
        network: mpsc::Sender<Request>,
        teller: Teller,
        view: watch::Sender<Arc<BgpView>>,
    ) -> Self {
        Self {
            speaker,
            sockets: Sockets::default(),
            detection: Detection::default(),
            routes: Routes::default(),
            carried: BTreeSet::new(),
            network,
            reporting: Reporting::new(teller),
            recorder: Recorder::default(),
            view,
        }
    }

    /// Runs until everything is closed after [`Command::Close`], or nobody can ask any more.
    pub(crate) async fn run(mut self, mut mailboxes: Mailboxes) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = false;
        while !(closing && self.sockets.are_closed()) {
            self.routes.hand_on(&self.network).await;
            match self.next(&mut mailboxes, &mut look).await {
                None => return,
                Some(Next::Command(Command::Close)) => {
                    closing = true;
                    self.feed(vec![Input::Shutdown { restarting: false }]);
                    self.publish();
                }
                Some(Next::Command(command)) => self.serve(command, &mailboxes.ground.borrow().clone()),
                Some(Next::Inputs(inputs)) => self.feed(inputs),
                Some(Next::Ground) => {
                    let ground = mailboxes.ground.borrow_and_update().clone();
                    self.stand_on(&ground);
                }
                Some(Next::Look) => {
                    let heard = self.sockets.look();
                    self.feed(heard);
                    self.detection.look();
                }
                Some(Next::Detected(told)) => self.detected(told),
                Some(Next::DetectionDue) => {
                    let told = self.detection.tick(Instant::now());
                    self.detected(told);
                }
                Some(Next::Expire) => self.sockets.expire(Instant::now()),
                Some(Next::Done) => (),
            }
        }
    }

    /// The next fact. Sockets come last, so that no flood of octets keeps anything else from being heard.
    async fn next(&mut self, mailboxes: &mut Mailboxes, look: &mut tokio::time::Interval) -> Option<Next> {
        let (deadline, expiry) = (
            self.speaker.deadline().map(|deadline| deadline.at),
            self.sockets.deadline(),
        );
        let due = self.detection.deadline();
        let (sockets, routes) = (&mut self.sockets, &mut self.routes);
        let detection = &mut self.detection;
        Some(select! {
            biased;
            command = mailboxes.commands.recv() => Next::Command(command?),
            Ok(()) = mailboxes.ground.changed() => Next::Ground,
            () = sleep_until(deadline) => Next::Inputs(vec![Input::Tick]),
            () = sleep_until(expiry) => Next::Expire,
            _ = look.tick() => Next::Look,
            () = routes.done() => Next::Done,
            () = sleep_until(due) => Next::DetectionDue,
            told = poll_fn(|context| detection.poll(context, Instant::now())) => Next::Detected(told),
            inputs = poll_fn(|context| sockets.poll(context)) => Next::Inputs(inputs),
        })
    }

    fn serve(&mut self, command: Command, ground: &Ground) {
        match command {
            Command::Configure(settings, answer) => {
                self.detection.configure(&settings.ends, Instant::now());
                let moved = self.sockets.configure(settings.ends);
                self.reporting.configured(settings.speaker.neighbours.keys());
                let resting = rest_on(&self.view.borrow().resting, settings.resting);
                let view = BgpView {
                    settings: Arc::new(settings.speaker.clone()),
                    resting: Arc::new(resting),
                    ..BgpView::first()
                };
                self.view.send_replace(Arc::new(view));
                self.feed(vec![Input::Settings(Box::new(settings.speaker))]);
                self.feed(moved);
                // Some neighbours are new, and some other ones have their tunnel now.
                self.carried.clear();
                self.stand_on(ground);
                self.publish();
                let _gone = answer.send(());
            }
            Command::Tell(input) => self.feed(vec![input]),
            Command::Publish(asked) => {
                self.publish();
                // Whoever asked may have given up meanwhile.
                let _gone = asked.send(());
            }
            Command::Ask(question) => (question.0)(&self.speaker),
            Command::Record(recording) => self.record(recording),
            Command::Close => (),
        }
    }

    /// Tells the speaker which tunnels carry, and what the kernel does not take.
    fn stand_on(&mut self, ground: &Ground) {
        let carried = self.with_session(ground);
        let came = carried.difference(&self.carried).cloned();
        let went = self.carried.difference(&carried).cloned();
        let went = went.map(|name| Input::Tunnel(name, false));
        let mut inputs: Vec<Input> = went.collect();
        let before = inputs.len();
        inputs.extend(came.map(|name| Input::Tunnel(name, true)));
        if inputs.len() > before {
            // Their links may be new.
            inputs.extend(self.sockets.look());
            self.detection.look();
        }
        inputs.extend(self.routes.refused(&ground.refused));
        self.carried = carried;
        self.feed(inputs);
    }

    /// The neighbours whose tunnel carries and has the session: tunnels between the same ends share one.
    fn with_session(&self, ground: &Ground) -> BTreeSet<NeighbourName> {
        let mut best: BTreeMap<(IpAddr, IpAddr), (u16, &NeighbourName)> = BTreeMap::new();
        for (name, end) in self.sockets.ends() {
            if !ground.carried.contains(&connection(name)) {
                continue;
            }
            let candidate = (end.priority, name);
            let chosen = best.entry((end.local, end.remote)).or_insert(candidate);
            *chosen = candidate.min(*chosen);
        }
        best.into_values().map(|(_, name)| name.clone()).collect()
    }

    /// Packets of a neighbour began to come, or no longer do: its session ends at once.
    fn detected(&mut self, told: Vec<(NeighbourName, Told)>) {
        let mut inputs = Vec::new();
        for (name, told) in told {
            inputs.extend(self.detection.input(&name, &told));
            self.reporting.detected(&name, told);
        }
        self.feed(inputs);
    }

    fn feed(&mut self, inputs: Vec<Input>) {
        let now = Instant::now();
        let mut inputs = VecDeque::from(inputs);
        while let Some(input) = inputs.pop_front() {
            self.recorder.hears(&input, &self.speaker, now);
            for action in self.speaker.handle(input, now) {
                self.recorder.says(&action, &self.speaker, now);
                inputs.extend(self.perform(action, now));
            }
            self.recorder.look(&self.speaker, now);
        }
    }

    fn record(&mut self, recording: Recording) {
        let now = Instant::now();
        // Whoever asked may have given up meanwhile.
        match recording {
            Recording::Start(wanted, answer) => {
                let _gone = answer.send(self.recorder.start(wanted, &self.speaker, now));
            }
            Recording::Stop(answer) => {
                let _gone = answer.send(self.recorder.stop(now));
            }
            Recording::Stands(answer) => {
                let _gone = answer.send(self.recorder.stands(now));
            }
            Recording::File(answer) => {
                let _gone = answer.send(self.recorder.file());
            }
        }
    }

    /// Performs one action; what comes back at once is returned.
    fn perform(&mut self, action: Action, now: Instant) -> Option<Input> {
        match action {
            Action::Connect {
                connection,
                neighbour,
                local: _,
                remote,
            } => return self.sockets.connect(connection, &neighbour, remote),
            Action::Send(connection, octets) => return self.sockets.send(connection, octets),
            Action::Close(connection) => self.sockets.close(connection, now),
            Action::SetRoute(prefix, ways) => self.routes.change(prefix, Some(ways)),
            Action::RemoveRoute(prefix) => self.routes.change(prefix, None),
            Action::ReleaseRoutes => self.routes.release(),
            Action::Report(event) => self.reporting.report(event),
        }
        None
    }

    fn publish(&self) {
        let speaker = self.speaker.snapshot();
        self.view.send_modify(|view| {
            *view = Arc::new(BgpView {
                speaker,
                bfd: self.detection.snapshot(),
                ..BgpView::clone(view)
            });
        });
    }
}

impl BgpView {
    /// Before anything is configured.
    pub(crate) fn first() -> Self {
        Self {
            speaker: Snapshot::default(),
            bfd: BTreeMap::new(),
            settings: Arc::new(derive::no_speaker()),
            resting: Arc::default(),
        }
    }
}

/// Since when each session rests; one that rested before, for the same reason, has for longer.
fn rest_on(
    before: &BTreeMap<NeighbourName, (RestingSession, Instant)>,
    now: BTreeMap<NeighbourName, RestingSession>,
) -> BTreeMap<NeighbourName, (RestingSession, Instant)> {
    let since = |name: &NeighbourName, session: &RestingSession| {
        let known = before.get(name).filter(|(before, _)| before.rest == session.rest);
        known.map_or_else(Instant::now, |(_, since)| *since)
    };
    now.into_iter()
        .map(|(name, session)| {
            let since = since(&name, &session);
            (name, (session, since))
        })
        .collect()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
