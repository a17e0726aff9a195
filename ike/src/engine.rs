use std::time::Instant;

use crate::{
    Action, ConnectionName, ConnectionSnapshot, ConnectionState, Deadline, Input, Outage, Random, Reason,
    Settings, Side, Snapshot, Stage,
};

/// Both IKE versions: holds every IKE SA and routes each input to the one it concerns.
pub struct Engine {
    random: Box<dyn Random>,
    settings: Settings,
    started: std::collections::BTreeMap<ConnectionName, Instant>,
    stopping: bool,
}

impl Engine {
    /// An engine without connections, which draws all randomness from `random`.
    pub fn new(random: Box<dyn Random>) -> Self {
        Self {
            random,
            settings: Settings::default(),
            started: Default::default(),
            stopping: false,
        }
    }

    /// Takes one input and returns all that follows from it, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::Settings(settings) => {
                self.started = settings
                    .connections
                    .keys()
                    .map(|name| (name.clone(), now))
                    .collect();
                self.settings = *settings;
            }
            Input::Shutdown => self.stopping = true,
            Input::Datagram { .. }
            | Input::ChildInstalled(_)
            | Input::ChildRefused(..)
            | Input::Connect(_)
            | Input::Tick => self.random.fill(&mut []),
        }
        Vec::new()
    }

    /// When the next [`Input::Tick`] is due, and which timer asks for it.
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// A read-only view for status.
    pub fn snapshot(&self) -> Snapshot {
        let outage = Outage {
            reason: Reason::Starting,
            side: Side::We,
            stage: Stage::Idle,
            offered: String::new(),
            expected: String::new(),
        };
        let connections = self.started.iter().map(|(name, since)| {
            let (state, outage) = (ConnectionState::Down, Some(outage.clone()));
            (
                name.clone(),
                ConnectionSnapshot {
                    state,
                    since: *since,
                    outage,
                    ike: None,
                    children: Vec::new(),
                },
            )
        });
        Snapshot {
            connections: connections.collect(),
            drops: Default::default(),
            half_open: 0,
        }
    }

    /// Whether nothing is left to close after [`Input::Shutdown`].
    pub fn is_idle(&self) -> bool {
        self.stopping
    }
}
