use appliance_config::{
    Approach, Config, Difference, Impact, Notice, canonical, difference, edit, impact, notices, refusals,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::order::Proposal;
use super::origin::Origin;
use super::refusal::Refusal;
use super::running::Running;
use crate::envelope::Secrets as Brought;
use crate::secrets::Secrets;

/// What a document does, or did.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// What runs after this.
    pub(crate) generation: u32,
    /// It says the same as what ran before.
    pub(crate) unchanged: bool,
    /// In which places it differs.
    pub(crate) difference: Vec<Difference>,
    /// What it does to what runs.
    pub(crate) impact: Impact,
    /// What of it this version keeps and does not act on.
    pub(crate) notices: Vec<Notice>,
    /// It must be confirmed within so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirm_within_s: Option<u64>,
}

/// A document that may run.
#[derive(Debug)]
pub(super) struct Weighed {
    /// Still with the number of what runs.
    pub(super) next: Running,
    pub(super) secrets: Secrets,
    pub(super) report: Report,
}

/// Finds out whether a document may follow what runs, and what it does. May wait for the disk.
pub(super) fn weigh(
    running: &Running,
    origin: &Origin,
    proposal: Proposal,
    approach: Option<&Approach>,
    brought: &Brought,
) -> Result<Weighed, Refusal> {
    let document = match proposal {
        Proposal::Edit(place, change) => {
            let keys: Vec<&str> = place.iter().map(String::as_str).collect();
            let edited = edit(&running.written, &keys, change);
            edited.ok_or_else(|| Refusal::UnknownItem(format!("/{}", place.join("/"))))?
        }
        Proposal::Generation(number) => of_generation(origin, number)?,
    };
    let written = canonical(&document);
    let bytes = written.to_string().len();
    if bytes > appliance_config::MAX_BYTES {
        return Err(Refusal::TooLarge { bytes });
    }
    let config = Config::from(&document).validate().map_err(Refusal::of)?;
    let refused = refusals(&running.config, &config);
    if !refused.is_empty() {
        return Err(Refusal::of(refused));
    }
    let (secrets, problems) = origin.secrets_with(&config, brought);
    if !problems.is_empty() {
        return Err(Refusal::of(problems));
    }
    let next = Running {
        generation: running.generation,
        written,
        config,
    };
    Ok(Weighed {
        report: Report::between(running, &next, approach),
        next,
        secrets,
    })
}

impl Report {
    /// What it does to go from one configuration to another.
    pub(super) fn between(old: &Running, new: &Running, approach: Option<&Approach>) -> Self {
        // Whatever of it is written out in another way.
        let unchanged = old.config == new.config;
        Self {
            generation: new.generation,
            unchanged,
            difference: if unchanged {
                Vec::new()
            } else {
                difference(&old.written, &new.written)
            },
            impact: impact(&old.config, &new.config, approach),
            notices: notices(&new.config),
            confirm_within_s: None,
        }
    }
}

fn of_generation(origin: &Origin, number: u32) -> Result<Value, Refusal> {
    let Origin::Store(store) = origin else {
        return Err(Refusal::NoStore);
    };
    let generation = store.at_once(|store| store.generation(number))?;
    let generation = generation.ok_or(Refusal::UnknownGeneration(number))?;
    let written =
        Config::parse(generation.document.as_bytes()).map_err(|problem| Refusal::of(vec![problem]))?;
    written.value().map_err(Refusal::of)
}
