use appliance_config::model::{Connection, Phase};
use appliance_config::{Change, ValidConfig, changes, refusals};
use tokio::sync::oneshot;
use tracing::{error, info};

use super::files::Invalid;
use super::origin::Origin;
use super::owner::{Control, Used};
use super::refusal::Refusal;
use super::running::Running;
use crate::access::Policy;
use crate::bgp_owner;
use crate::chronicle::News;
use crate::clock;
use crate::datapath::{Refused, Request};
use crate::derive::{Desired, derive};
use crate::ike_owner::Command;
use crate::secrets::{SecretProblem, Secrets};
use crate::signer::chains;

impl Control {
    /// Hands out what the start begins with. What is refused then is in the log and in status, and tried again.
    pub(crate) async fn begin(&mut self, desired: Desired) {
        self.used = self.uses();
        (self.refused, self.withheld) = self.hand_out(desired).await;
        self.admit().await;
        self.publish();
    }

    /// What of the addresses each connection uses.
    fn uses(&self) -> Vec<Used> {
        let addresses = self.addresses.borrow();
        let used = |connection: &Connection| {
            let local = addresses.of(&connection.local_address);
            (local, addresses.of_mobike(connection))
        };
        self.running.config.connections.values().map(used).collect()
    }

    /// What follows from a configuration.
    pub(super) fn derive(&self, config: &ValidConfig, secrets: &Secrets) -> Desired {
        let addresses = self.addresses.borrow().clone();
        let secrets = secrets
            .clone()
            .with_chains(self.chains.clone())
            .at(clock::unix_s());
        derive(config, &secrets, self.datapath, &self.numbers, &addresses)
    }

    /// Who has the key of a certificate tells the certificate, or a newer one: what uses it follows.
    pub(super) async fn follow_keys(&mut self) {
        let chains = chains(&self.keys.borrow_and_update());
        if chains == self.chains {
            return;
        }
        self.chains = chains;
        match self.secrets_of_running().await {
            Ok((secrets, _logged_before)) => {
                let running = self.running.clone();
                let desired = self.derive(&running.config, &secrets);
                (self.refused, self.withheld) = self.hand_out(desired).await;
            }
            Err(refusal) => error!(%refusal, "connections cannot follow a certificate"),
        }
    }

    /// A transition to other certificates begins, or is over: what it is about follows.
    pub(super) async fn follow_calendar(&mut self) {
        let phases = phases(&self.running.config);
        if phases == self.phases {
            return;
        }
        match self.secrets_of_running().await {
            Ok((secrets, _logged_before)) => {
                let running = self.running.clone();
                let desired = self.derive(&running.config, &secrets);
                (self.refused, self.withheld) = self.hand_out(desired).await;
                self.phases = phases;
            }
            Err(refusal) => error!(%refusal, "connections cannot follow a transition"),
        }
    }

    /// An interface has another address: what uses it follows, and nothing else is touched.
    pub(super) async fn follow_addresses(&mut self) {
        let used = self.uses();
        if used == self.used {
            return;
        }
        match self.secrets_of_running().await {
            Ok((secrets, _logged_before)) => {
                self.used = used;
                let running = self.running.clone();
                let desired = self.derive(&running.config, &secrets);
                (self.refused, self.withheld) = self.hand_out(desired).await;
            }
            Err(refusal) => error!(%refusal, "connections cannot follow an address"),
        }
    }

    /// Has everybody do what follows from a configuration; if something of it is refused that was not before, what runs
    /// is handed out again.
    pub(super) async fn apply(&mut self, config: &ValidConfig, desired: Desired) -> Result<(), Refusal> {
        let policy = Policy::of(config);
        self.listen(&policy).await?;
        let (refused, withheld) = self.hand_out(desired).await;
        let refusals = refused.iter().filter(|refused| !self.refused.contains(refused));
        let ports = withheld.iter().filter(|port| !self.withheld.contains(port));
        let objections: Vec<String> = refusals.map(ToString::to_string).chain(ports.cloned()).collect();
        if objections.is_empty() {
            for (name, change) in changes(&self.running.config, config) {
                if change != Change::Unchanged {
                    info!(connection = %name, ?change, "configuration");
                }
            }
            (self.refused, self.withheld) = (refused, withheld);
            self.access.follow(policy);
            return Ok(());
        }
        self.take_back().await?;
        Err(Refusal::NotApplied(objections))
    }

    /// Hands out what runs with the secrets of before.
    pub(super) async fn take_back(&mut self) -> Result<(), Refusal> {
        let (secrets, _as_before) = self.secrets_of_running().await?;
        let before = self.derive(&self.running.config, &secrets);
        let _as_before = self.hand_out(before).await;
        self.admit().await;
        Ok(())
    }

    /// The secrets of what runs.
    pub(super) async fn secrets_of_running(&self) -> Result<(Secrets, Vec<SecretProblem>), Refusal> {
        let (origin, running) = (self.origin.clone(), self.running.clone());
        let read = tokio::task::spawn_blocking(move || origin.secrets_of(&running.config));
        read.await.map_err(|_| Refusal::Stopping)
    }

    /// Links and routes first, then what may use them. Returns what the kernel refuses, and which ports others have.
    async fn hand_out(&mut self, desired: Desired) -> (Vec<Refused>, Vec<String>) {
        self.numbers = desired.network.numbers();
        self.lacking = desired.lacking;
        let (answer, tried) = oneshot::channel();
        let network = Request::Network(Box::new(desired.network), answer);
        // A closed channel means that everything stops; wiring then ends the process.
        let refused = match self.network.send(network).await {
            Ok(()) => tried.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        self.signer.configure(desired.keys).await;
        self.lists.configure(desired.lists).await;
        let (answer, configured) = oneshot::channel();
        let settings = Command::Configure(Box::new(desired.ike), answer);
        let withheld = match self.ike.send(settings).await {
            Ok(()) => configured.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let (answer, configured) = oneshot::channel();
        let settings = bgp_owner::Command::Configure(Box::new(desired.bgp), answer);
        if self.bgp.send(settings).await.is_ok() {
            let _stopping = configured.await;
        }
        (refused, withheld)
    }

    /// SIGHUP: reads the files again, where they are the source.
    pub(super) async fn reload(&mut self) {
        let Origin::Files(files) = &self.origin else {
            return info!("SIGHUP: the configuration is in the store; causeway config commit changes it");
        };
        let loaded = files.document(self.running.generation + 1).and_then(|running| {
            let refused = refusals(&self.running.config, &running.config);
            if !refused.is_empty() {
                return Err(Invalid::of(&refused));
            }
            let secrets = files.secrets_of(&running.config)?;
            Ok((running, secrets))
        });
        let applied = match loaded {
            Ok((running, secrets)) => self.replace(running, &secrets).await,
            Err(invalid) => Err(invalid),
        };
        match applied {
            Ok(()) => {
                self.teller.tell(News::new("reloaded").detail("SIGHUP"));
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

    async fn replace(&mut self, running: Running, secrets: &Secrets) -> Result<(), Invalid> {
        let refused = |refusal: Refusal| Invalid(vec![refusal.to_string()]);
        let desired = self.derive(&running.config, secrets);
        self.apply(&running.config, desired).await.map_err(refused)?;
        self.running = running.into();
        Ok(())
    }

    /// Runs what ran before. Whatever is refused of it now is logged and tried again: there is nothing better.
    pub(super) async fn run_again(&mut self, running: Running) -> Result<(), Refusal> {
        self.running = running.into();
        let (secrets, problems) = self.secrets_of_running().await?;
        for problem in &problems {
            error!("{problem}");
        }
        let desired = self.derive(&self.running.config, &secrets);
        (self.refused, self.withheld) = self.hand_out(desired).await;
        self.admit().await;
        Ok(())
    }
}

/// Where each transition to other certificates stands.
fn phases(config: &ValidConfig) -> Vec<Phase> {
    let connections = config.connections.values();
    let transitions = connections.filter_map(|connection| connection.authentication.transition.as_ref());
    transitions
        .map(|transition| transition.phase(clock::unix_s()))
        .collect()
}
