use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use appliance_config::{Notice, ValidConfig, notices};

use super::running::Running;
use crate::derive::{Addresses, Lacking, Rest, resting};
use crate::store::{Keeping, Trial};

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
    /// Where the machine key is kept; `None` where a file is the only source.
    pub(crate) keeping: Option<Keeping>,
    /// Its document; `None` before anything runs.
    pub(crate) running: Option<Arc<Running>>,
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
    /// The secrets that it lacks.
    lacking: Lacking,
}

impl Idle {
    /// What follows from a configuration; what was so before is so for longer.
    fn of(
        config: &ValidConfig,
        (addresses, lacking): (Arc<Addresses>, &Lacking),
        before: Option<&Self>,
    ) -> Self {
        let now = Instant::now();
        let since = |name: &String, rest: &Rest| {
            let (before, since) = before?.connections.get(name)?;
            Some(*since).filter(|_| before == rest)
        };
        let connections = resting(config, &addresses, lacking)
            .into_iter()
            .map(|(name, rest)| {
                let since = since(&name, &rest).unwrap_or(now);
                (name, (rest, since))
            });
        Self {
            notices: notices(config),
            connections: connections.collect(),
            addresses,
            lacking: lacking.clone(),
        }
    }
}

impl View {
    /// What nothing is done for once this runs, coming from what this view shows.
    pub(super) fn idle_after(
        &self,
        generation: u32,
        config: &ValidConfig,
        (addresses, lacking): (Arc<Addresses>, &Lacking),
    ) -> Arc<Idle> {
        let same = |idle: &Idle| idle.addresses == addresses && idle.lacking == *lacking;
        match &self.idle {
            Some(idle) if self.generation == generation && same(idle) => idle.clone(),
            before => Idle::of(config, (addresses, lacking), before.as_deref()).into(),
        }
    }
}
