use secrecy::SecretSlice;
use tracing::info;

use super::order::{Said, SecretReport, SetSecret};
use super::owner::Control;
use super::refusal::Refusal;
use super::running::Running;
use crate::chronicle::News;
use crate::secrets::uses;
use crate::store::{SecretHead, fresh_secret};

impl Control {
    pub(super) async fn secrets(&self) -> Result<Vec<SecretReport>, Refusal> {
        let heads = self.store()?.with(|store| store.secrets()).await?;
        Ok(heads.into_iter().map(|head| self.report(head, false)).collect())
    }

    pub(super) async fn secret(&self, name: String) -> Result<SecretReport, Refusal> {
        let asked = name.clone();
        let head = self.store()?.with(move |store| store.secret(&asked)).await?;
        let head = head.ok_or(Refusal::UnknownSecret(name))?;
        Ok(self.report(head, false))
    }

    /// Sets a secret; connections that use it take it at once.
    pub(super) async fn set_secret(
        &mut self,
        set: SetSecret,
    ) -> Result<(SecretReport, Option<SecretSlice<u8>>), Refusal> {
        let store = self.writable()?;
        set.said.condition.holds(self.running.generation)?;
        let (value, made) = match set.value {
            Some(value) => (value, None),
            None => {
                let fresh = fresh_secret()?;
                (fresh.clone(), Some(fresh))
            }
        };
        crate::secrets::check(&value).map_err(Refusal::SecretInvalid)?;
        let (name, author) = (set.name.clone(), set.said.author);
        let changed = store
            .with(move |store| store.set_secret(&name, &value, &author))
            .await?;
        let report = SecretReport {
            unchanged: !changed,
            ..self.secret(set.name).await?
        };
        if changed {
            let news = News::new("secret-set").by(&report.head.author);
            self.teller.tell(news.object(&report.head.name));
        }
        if changed && !report.used_by.is_empty() {
            info!(secret = %report.head.name, "connections take another secret");
            let (secrets, _those_that_can_be_had) = self.secrets_of_running().await?;
            let running = self.running.clone();
            let desired = self.derive(&running.config, &secrets);
            self.apply(&running.config, desired).await?;
        }
        Ok((report, made))
    }

    /// Removes a secret that neither what runs nor what the next start begins with names.
    pub(super) async fn remove_secret(&mut self, said: &Said, name: String) -> Result<(), Refusal> {
        let store = self.writable()?;
        said.condition.holds(self.running.generation)?;
        let mut used_by = used_by(&self.running, &name);
        let standing = self.standing();
        if standing.startup > 0 && standing.startup != self.running.generation {
            let startup = self.generation(standing.startup).await?;
            let startup = Running::parse(startup.number, startup.document.as_bytes());
            used_by.extend(startup.iter().flat_map(|startup| self::used_by(startup, &name)));
        }
        if !used_by.is_empty() {
            return Err(Refusal::SecretInUse { name, used_by });
        }
        let (removed, author) = (name.clone(), said.author.clone());
        let there = store
            .with(move |store| store.remove_secret(&removed, &author))
            .await?;
        if there {
            let news = News::new("secret-removed").by(&said.author.who);
            self.teller.tell(news.object(name));
            Ok(())
        } else {
            Err(Refusal::UnknownSecret(name))
        }
    }

    fn report(&self, head: SecretHead, unchanged: bool) -> SecretReport {
        SecretReport {
            used_by: used_by(&self.running, &head.name),
            head,
            unchanged,
        }
    }
}

/// Where a document names a secret.
fn used_by(running: &Running, name: &str) -> Vec<String> {
    let uses = uses(&running.config).filter(|(_, used)| used.as_str() == name);
    uses.map(|(path, _)| path).collect()
}
