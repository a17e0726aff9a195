use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use appliance_config::ValidConfig;
use appliance_config::model::Name;
use secrecy::SecretSlice;
use tracing::{error, info, warn};

use super::files::{Files, Invalid};
use super::refusal::Refusal;
use super::running::Running;
use crate::envelope::Secrets as Brought;
use crate::secrets::{SecretFault, SecretProblem, Secrets, uses};
use crate::store::{Author, Boot, New, Store, StoreError};

/// Where the configuration lives.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// In files, and nowhere else.
    Files(Files),
    /// In the store.
    Store(SharedStore),
}

/// The store, for threads that may wait for the disk.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    /// Does something with it, here and now.
    pub(crate) fn at_once<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something with it in a thread that may wait for the disk, while the tunnels are attended to in this one.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || store.at_once(work)).await;
        Ok(done.map_err(|_| Refusal::Stopping)??)
    }
}

impl Origin {
    /// The secrets that enabled connections name, as far as they can be had, and what is wrong with the others. May wait
    /// for the disk.
    pub(super) fn secrets_of(&self, config: &ValidConfig) -> (Secrets, Vec<SecretProblem>) {
        self.secrets_with(config, &Vec::new())
    }

    /// The same, some of which are brought along.
    pub(super) fn secrets_with(
        &self,
        config: &ValidConfig,
        brought: &Brought,
    ) -> (Secrets, Vec<SecretProblem>) {
        let value = |store: &Store, name: &Name| {
            let mut brought = brought.iter().filter(|(other, _)| other == name.as_str());
            match brought.next() {
                Some((_, value)) => Ok(value.clone()),
                None => of_store(store, name),
            }
        };
        match self {
            Self::Files(files) => Secrets::read(&files.secrets, config),
            Self::Store(store) => store.at_once(|store| Secrets::gather(config, |name| value(store, name))),
        }
    }
}

impl Origin {
    /// The value of one secret. May wait for the disk.
    pub(super) fn value(&self, name: &Name) -> Result<SecretSlice<u8>, SecretFault> {
        match self {
            Self::Files(files) => crate::secrets::read(&files.secrets.join(name.as_str())),
            Self::Store(store) => store.at_once(|store| of_store(store, name)),
        }
    }

    /// Makes a seed the first generation: once the start has come so far that it can be lived with, for a file that was
    /// imported is not read again.
    pub(crate) fn import(&self, running: &mut Running, seed: &Seed) -> Result<(), StoreError> {
        let Self::Store(store) = self else {
            return Ok(());
        };
        let new = New {
            author: &Author::system(),
            source: "seed",
            comment: "",
            document: &running.written.to_string(),
        };
        running.generation = store.at_once(|store| store.import(new, &seed.secrets))?;
        let (file, generation) = (seed.file.display(), running.generation);
        info!(%file, generation, "imported: from now on the store has the configuration");
        Ok(())
    }
}

fn of_store(store: &Store, name: &Name) -> Result<SecretSlice<u8>, SecretFault> {
    match store.value(name.as_str()) {
        Ok(Some(Some(value))) => Ok(value),
        Ok(Some(None)) => Err((
            "secret-sealed",
            format!("{name} was sealed by another machine key: set it again"),
        )),
        Ok(None) => Err((
            "secret-missing",
            format!("there is no secret {name}: set it with causeway secret set {name}"),
        )),
        Err(error) => Err(("secret-unreadable", error.to_string())),
    }
}

/// What a start begins with.
pub(crate) struct Beginning {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The configuration.
    pub(crate) running: Running,
    /// Its secrets; of a store, as far as they can be had.
    pub(crate) secrets: Result<Secrets, Invalid>,
    /// It is no generation yet: it becomes one with [`Origin::import`].
    pub(crate) seed: Option<Seed>,
}

/// What is to be the first generation.
#[derive(Debug)]
pub(crate) struct Seed {
    file: PathBuf,
    /// By name.
    secrets: Vec<(String, SecretSlice<u8>)>,
}

/// What the store has; `seed` is for a store that has nothing.
pub(crate) fn begin(mut store: Store, seed: Option<Files>) -> anyhow::Result<Beginning> {
    end_old_trial(&mut store)?;
    let current = store.standing().current();
    let running = match (current, seed) {
        (0, Some(seed)) => return Ok(of_seed(store, seed)?),
        (0, None) => {
            info!("nothing is configured yet: causeway config commit FILE does it");
            Running::nothing()
        }
        (number, seed) => {
            if let Some(seed) = seed {
                let file = seed.config.display();
                info!(%file, generation = number, "the store has a configuration, so the file is not read");
            }
            let generation = store.generation(number)?;
            let generation = generation.ok_or_else(|| anyhow::anyhow!("generation {number} is gone"))?;
            Running::parse(number, generation.document.as_bytes())?
        }
    };
    let origin = Origin::Store(SharedStore(Arc::new(Mutex::new(store))));
    let (secrets, problems) = origin.secrets_of(&running.config);
    for problem in &problems {
        // The others go on, and the API is there to set it again.
        error!("{problem}");
    }
    Ok(Beginning {
        origin,
        running,
        secrets: Ok(secrets),
        seed: None,
    })
}

/// What was on trial when the daemon or the machine died, and whose time is over.
fn end_old_trial(store: &mut Store) -> Result<(), StoreError> {
    let standing = store.standing();
    let Some(trial) = &standing.trial else {
        return Ok(());
    };
    let now = Boot::now();
    if !trial.deadline.remaining(&now).is_zero() {
        return Ok(());
    }
    let why = if trial.deadline.boot == now.id {
        "not confirmed in time"
    } else {
        "not confirmed before the machine was started again"
    };
    let (generation, startup) = (trial.generation, standing.startup);
    warn!(
        generation,
        startup, why, "trial-over: the start-up generation is back"
    );
    store.return_to_startup(&Author::system(), why)
}

fn of_seed(store: Store, seed: Files) -> Result<Beginning, Invalid> {
    let running = seed.document(0)?;
    let (secrets, problems) = Secrets::read(&seed.secrets, &running.config);
    let named = uses(&running.config).map(|(_, name)| name);
    let known = named.filter_map(|name| Some((name.to_string(), secrets.value(name)?.clone())));
    let seed = Seed {
        file: seed.config,
        secrets: known.collect(),
    };
    Ok(Beginning {
        origin: Origin::Store(SharedStore(Arc::new(Mutex::new(store)))),
        running,
        secrets: all_of((secrets, problems)),
        seed: Some(seed),
    })
}

fn all_of((secrets, problems): (Secrets, Vec<SecretProblem>)) -> Result<Secrets, Invalid> {
    if problems.is_empty() {
        Ok(secrets)
    } else {
        Err(Invalid::of(&problems))
    }
}
