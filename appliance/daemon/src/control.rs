//! The owner of the configuration: reads it at start and at SIGHUP, and hands out what follows from it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use appliance_config::{Change, ValidConfig, changes, refusals};
use ike::Input;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::datapath::{Kind, Request};
use crate::derive::{Desired, InUse, derive};
use crate::ike_owner::Command;
use crate::secrets::Secrets;

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug)]
pub(crate) struct Invalid(Vec<String>);

impl Invalid {
    fn of(problems: &[impl ToString]) -> Self {
        Self(problems.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Invalid {}

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The document.
    pub(crate) config: PathBuf,
    /// One file per secret.
    pub(crate) secrets: PathBuf,
}

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The checked document.
    pub(crate) config: ValidConfig,
    /// The secrets that it names.
    pub(crate) secrets: Secrets,
}

impl Files {
    /// Reads document and secrets, and reports all that is wrong.
    pub(crate) fn load(&self) -> Result<Loaded, Invalid> {
        let config = self.document()?;
        let secrets = self.secrets_of(&config)?;
        Ok(Loaded { config, secrets })
    }

    /// Reads the document alone.
    pub(crate) fn document(&self) -> Result<ValidConfig, Invalid> {
        let bytes = read(&self.config)
            .map_err(|error| Invalid(vec![format!("/: unreadable: {}: {error}", self.config.display())]))?;
        appliance_config::parse(&bytes).map_err(|problems| Invalid::of(&problems))
    }

    /// Reads the secrets that a document names.
    pub(crate) fn secrets_of(&self, config: &ValidConfig) -> Result<Secrets, Invalid> {
        Secrets::load(&self.secrets, config).map_err(|problems| Invalid::of(&problems))
    }
}

/// One byte more than is allowed is enough for the parser to refuse it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(appliance_config::MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Owns the running configuration.
pub(crate) struct Control {
    files: Files,
    datapath: Kind,
    running: ValidConfig,
    /// The addresses that the workers of the user-space datapath are bound to.
    bound: BTreeSet<IpAddr>,
    /// What the running connections have in the kernel.
    numbers: InUse,
    ike: mpsc::Sender<Command>,
    network: mpsc::Sender<Request>,
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Control {
    /// Takes over the signals. `running` is what the caller hands out with [`Control::hand_out`].
    pub(crate) fn new(
        files: Files,
        datapath: Kind,
        running: ValidConfig,
        ike: mpsc::Sender<Command>,
        network: mpsc::Sender<Request>,
    ) -> io::Result<Self> {
        let (reload, terminate, interrupt) = (
            signal(SignalKind::hangup())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        Ok(Self {
            files,
            datapath,
            running,
            bound: BTreeSet::new(),
            numbers: InUse::new(),
            ike,
            network,
            reload,
            terminate,
            interrupt,
        })
    }

    /// Hands out what each part should want: links and routes first, then what may use them.
    pub(crate) async fn hand_out(&mut self, desired: Desired) {
        if self.datapath == Kind::Kernel || self.bound.is_empty() {
            self.bound.clone_from(&desired.network.outer_addresses);
        }
        self.numbers = desired.network.numbers();
        let (answer, tried) = oneshot::channel();
        // A closed channel means that everything stops; wiring then ends the process.
        if self
            .network
            .send(Request::Network(Box::new(desired.network), answer))
            .await
            .is_ok()
        {
            let _stopped = tried.await;
        }
        let _stopped = self
            .ike
            .send(Command::Tell(Input::Settings(Box::new(desired.ike))))
            .await;
    }

    /// Serves SIGHUP until SIGTERM or SIGINT.
    pub(crate) async fn run(mut self) {
        loop {
            select! {
                Some(()) = self.terminate.recv() => return info!("SIGTERM: closing"),
                Some(()) = self.interrupt.recv() => return info!("SIGINT: closing"),
                Some(()) = self.reload.recv() => self.reload().await,
            }
        }
    }

    async fn reload(&mut self) {
        let loaded = self.files.load().and_then(|loaded| {
            let refused = refusals(&self.running, &loaded.config);
            if refused.is_empty() {
                Ok(loaded)
            } else {
                Err(Invalid::of(&refused))
            }
        });
        match loaded {
            Ok(Loaded { config, secrets }) => {
                let desired = derive(&config, &secrets, self.datapath, &self.numbers);
                if self.needs_restart(&desired) {
                    return;
                }
                for (name, change) in changes(&self.running, &config) {
                    if change != Change::Unchanged {
                        info!(connection = %name, ?change, "configuration");
                    }
                }
                self.hand_out(desired).await;
                self.running = config;
                info!("SIGHUP: the configuration is applied");
            }
            Err(Invalid(problems)) => {
                for problem in &problems {
                    error!("{problem}");
                }
                error!(
                    problems = problems.len(),
                    "SIGHUP: nothing is changed: the configuration has problems"
                );
            }
        }
    }

    /// The workers of the user-space datapath bind their sockets once, when they start.
    fn needs_restart(&self, desired: &Desired) -> bool {
        let fixed = self.datapath == Kind::User;
        let new = desired
            .network
            .outer_addresses
            .difference(&self.bound)
            .filter(|_| fixed);
        let mut restart = false;
        for address in new {
            error!(%address, "SIGHUP: nothing is changed: the user-space datapath takes a new local address at a restart");
            restart = true;
        }
        restart
    }
}
