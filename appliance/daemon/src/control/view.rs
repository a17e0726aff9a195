use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use appliance_config::{Notice, ValidConfig, notices};

use crate::derive::{Addresses, Rest, resting};
use crate::store::Trial;

/// The configuration as status shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// What runs.
    pub(crate) generation: u32,
    /// What the next start begins with; `None` where a file is the only source.
    pub(crate) startup: Option<u32>,
    /// What is to be confirmed.
    pub(crate) trial: Option<Trial>,
    /// What was found damaged at the start.
    pub(crate) damage: Option<String>,
    /// What nothing is done for; `None` before anything runs.
    pub(crate) idle: Option<Arc<Idle>>,
}

/// What of a configuration nothing is done for.
#[derive(Debug)]
pub(crate) struct Idle {
    /// What this version does not act on.
    pub(crate) notices: Vec<Notice>,
    /// Connections that nobody negotiates, and since when.
    pub(crate) connections: BTreeMap<String, (Rest, Instant)>,
    /// The addresses of interfaces that this follows from.
    addresses: Arc<Addresses>,
}

impl Idle {
    /// What follows from a configuration; what was so before is so for longer.
    fn of(config: &ValidConfig, addresses: Arc<Addresses>, before: Option<&Self>) -> Self {
        let now = Instant::now();
        let since = |name: &String, rest: &Rest| {
            let (before, since) = before?.connections.get(name)?;
            Some(*since).filter(|_| before == rest)
        };
        let connections = resting(config, &addresses).into_iter().map(|(name, rest)| {
            let since = since(&name, &rest).unwrap_or(now);
            (name, (rest, since))
        });
        Self {
            notices: notices(config),
            connections: connections.collect(),
            addresses,
        }
    }
}

impl View {
    /// What nothing is done for once this runs, coming from what this view shows.
    pub(super) fn idle_after(
        &self,
        generation: u32,
        config: &ValidConfig,
        addresses: Arc<Addresses>,
    ) -> Arc<Idle> {
        match &self.idle {
            Some(idle) if self.generation == generation && idle.addresses == addresses => idle.clone(),
            before => Idle::of(config, addresses, before.as_deref()).into(),
        }
    }
}
