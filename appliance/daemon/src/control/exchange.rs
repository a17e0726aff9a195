use appliance_config::model::Name;

use super::order::{Commit, Exported};
use super::owner::Control;
use super::refusal::Refusal;
use super::weigh::Report;
use crate::envelope::Secrets;
use crate::store::{Audit, Author};

impl Control {
    /// What runs, with every secret.
    pub(super) async fn export(&self, author: &Author) -> Result<Exported, Refusal> {
        let (store, audit) = (self.store()?, Audit::done(author, "export secrets"));
        let read = store.with(move |store| {
            store.audit(&audit)?;
            store.values()
        });
        let (secrets, unreadable) = read.await?;
        Ok(Exported {
            running: self.running.clone(),
            secrets,
            unreadable,
        })
    }

    /// Commits a document together with secrets: both, or neither.
    pub(super) async fn import(&mut self, commit: Commit, secrets: Secrets) -> Result<Report, Refusal> {
        let store = self.writable()?;
        commit.said.condition.holds(self.running.generation)?;
        for (name, value) in &secrets {
            if name.parse::<Name>().is_err() {
                return Err(Refusal::SecretInvalid(format!("{name:?} is no name")));
            }
            crate::secrets::check(value)
                .map_err(|fault| Refusal::SecretInvalid(format!("{name}: {fault}")))?;
        }
        let new = store.with(move |store| store.new_among(secrets)).await?;
        self.commit(commit, new).await
    }
}
