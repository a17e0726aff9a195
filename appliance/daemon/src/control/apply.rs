use appliance_config::{Change, ValidConfig, changes, refusals};
use tokio::sync::oneshot;
use tracing::{error, info};

use super::files::Invalid;
use super::origin::Origin;
use super::owner::Control;
use super::refusal::Refusal;
use super::running::Running;
use crate::datapath::{Kind, Refused, Request};
use crate::derive::{Desired, derive};
use crate::ike_owner::Command;
use crate::secrets::{SecretProblem, Secrets};

impl Control {
    /// Hands out what the start begins with. What is refused then is in the log and in status, and tried again.
    pub(crate) async fn begin(&mut self, desired: Desired) {
        self.bound.clone_from(&desired.network.outer_addresses);
        let (refused, _logged) = self.hand_out(desired).await;
        self.refused = refused;
    }

    /// What follows from a configuration, if the datapath can take it as it runs.
    pub(super) fn derive(&self, config: &ValidConfig, secrets: &Secrets) -> Result<Desired, Refusal> {
        let desired = derive(config, secrets, self.datapath, &self.numbers);
        let new: Vec<String> = desired
            .network
            .outer_addresses
            .difference(&self.bound)
            .map(ToString::to_string)
            .collect();
        match self.datapath {
            // Its workers bind their sockets once, when they start.
            Kind::User if !new.is_empty() => Err(Refusal::RestartNeeded(new.join(", "))),
            Kind::User | Kind::Kernel => Ok(desired),
        }
    }

    /// Has everybody do what follows from a configuration; if something of it is refused that was not before, what runs
    /// is handed out again.
    pub(super) async fn apply(&mut self, config: &ValidConfig, desired: Desired) -> Result<(), Refusal> {
        let (refused, unbound) = self.hand_out(desired).await;
        let new = refused.iter().filter(|refused| !self.refused.contains(refused));
        let objections: Vec<String> = new.map(ToString::to_string).chain(unbound).collect();
        if objections.is_empty() {
            for (name, change) in changes(&self.running.config, config) {
                if change != Change::Unchanged {
                    info!(connection = %name, ?change, "configuration");
                }
            }
            self.refused = refused;
            return Ok(());
        }
        let (secrets, _as_before) = self.secrets_of_running().await?;
        let before = derive(&self.running.config, &secrets, self.datapath, &self.numbers);
        let _as_before = self.hand_out(before).await;
        Err(Refusal::NotApplied(objections))
    }

    /// The secrets of what runs.
    pub(super) async fn secrets_of_running(&self) -> Result<(Secrets, Vec<SecretProblem>), Refusal> {
        let (origin, running) = (self.origin.clone(), self.running.clone());
        let read = tokio::task::spawn_blocking(move || origin.secrets_of(&running.config));
        read.await.map_err(|_| Refusal::Stopping)
    }

    /// Links and routes first, then what may use them. Returns what the kernel refuses, and which sockets cannot be had.
    async fn hand_out(&mut self, desired: Desired) -> (Vec<Refused>, Vec<String>) {
        self.numbers = desired.network.numbers();
        let (answer, tried) = oneshot::channel();
        let network = Request::Network(Box::new(desired.network), answer);
        // A closed channel means that everything stops; wiring then ends the process.
        let refused = match self.network.send(network).await {
            Ok(()) => tried.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let (answer, bound) = oneshot::channel();
        let settings = Command::Configure(Box::new(desired.ike), answer);
        let unbound = match self.ike.send(settings).await {
            Ok(()) => bound.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        (refused, unbound)
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
            Ok(()) => info!("SIGHUP: the configuration is applied"),
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
        let desired = self.derive(&running.config, secrets).map_err(refused)?;
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
        let desired = derive(&self.running.config, &secrets, self.datapath, &self.numbers);
        let (refused, unbound) = self.hand_out(desired).await;
        for error in &unbound {
            error!("{error}");
        }
        self.refused = refused;
        Ok(())
    }
}
