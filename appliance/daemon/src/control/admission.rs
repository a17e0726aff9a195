use std::collections::BTreeSet;

use super::owner::Control;
use super::refusal::Refusal;
use crate::access::Policy;
use crate::https::{AGAIN, Listeners};

/// Comes back when an address is to be tried again.
pub(super) async fn retry(listeners: Option<&Listeners>) {
    if listeners.is_some_and(|listeners| !listeners.lacking().is_empty()) {
        tokio::time::sleep(AGAIN).await;
    } else {
        std::future::pending().await
    }
}

impl Control {
    /// What runs says who may come in, and where. An address that cannot be had is tried again.
    pub(super) async fn admit(&mut self) {
        let policy = Policy::of(&self.running.config);
        if let Some(listeners) = &mut self.listeners {
            listeners.start(&policy.listen).await;
        }
        self.access.follow(policy);
    }

    /// Serves where a policy says and nowhere else, or as before.
    pub(super) async fn listen(&mut self, policy: &Policy) -> Result<(), Refusal> {
        match &mut self.listeners {
            Some(listeners) => listeners
                .change(&policy.listen)
                .await
                .map_err(Refusal::NotApplied),
            None => Ok(()),
        }
    }

    pub(super) async fn listen_again(&mut self) {
        if let Some(listeners) = &mut self.listeners {
            listeners.again().await;
        }
    }

    /// Nothing of before comes back by itself: who is not in the document that runs is forgotten.
    pub(super) async fn forget_others(&self) {
        let users: BTreeSet<String> = Policy::of(&self.running.config).users.into_keys().collect();
        self.access.keep(users).await;
    }
}
