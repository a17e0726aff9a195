//! Flows that the kernel follows, by netfilter's own netlink.

use std::collections::BTreeSet;

use super::message::{Outgoing, Protocol};
use super::perform::{Netlink, refusal};
use super::socket::{RequestError, Socket};
use crate::refusal::Refusal;
use crate::tracking::{self, Flow, Marked};

/// So many requests go at once: each lets the kernel look at all of its flows.
const TOGETHER: usize = 64;
const OBJECT: &str = "connection tracking";

impl Netlink {
    /// Goes through all flows that bear a mark, one at a time: there may be hundreds of thousands.
    pub(crate) async fn flows(&mut self, mut each: impl FnMut(Flow)) -> Result<(), Refusal> {
        let socket = self.netfilter()?;
        let query = Flow::query();
        let told = socket.exchange(&query, |message| {
            if let Some(flow) = Flow::from_message(message) {
                each(flow);
            }
        });
        // A flow that comes or goes meanwhile may be missed: nobody asks for an exact number.
        told.await
            .map(|_interrupted| ())
            .map_err(|error| refusal(OBJECT, error))
    }

    /// Lets the kernel forget flows. Their next packets are translated as the rules then say.
    pub(crate) async fn forget_flows(&mut self, marked: &[Marked]) -> Result<(), Refusal> {
        let socket = self.netfilter()?;
        for marked in marked.chunks(TOGETHER) {
            let requests: Vec<Outgoing> = marked.iter().map(|one| one.forget()).collect();
            let answers = socket.request_together(&requests).await;
            let failed = answers
                .into_iter()
                .find_map(|answer| answer.err().filter(|error| !error.is_absence()));
            if let Some(error) = failed {
                return Err(refusal(OBJECT, error));
            }
        }
        Ok(())
    }

    /// The same of those whose bindings went. They would go on as they began.
    pub(super) async fn forget_outdated(&mut self, marked: &[Marked]) {
        let known = if marked.len() > TOGETHER {
            self.known(marked).await
        } else {
            marked.to_vec()
        };
        if let Err(refusal) = self.forget_flows(&known).await {
            tracing::warn!(%refusal, "flows of rules of translation that are gone go on");
        }
    }

    /// Those of them that some flow has, found by looking at all flows once; all, if that cannot be told.
    async fn known(&mut self, marked: &[Marked]) -> Vec<Marked> {
        let all: BTreeSet<Marked> = marked.iter().copied().collect();
        let masks: BTreeSet<u32> = marked.iter().map(|one| one.mask).collect();
        let mut known = BTreeSet::new();
        let told = self.flows(|flow| {
            let of = |mask: &u32| Marked {
                value: flow.mark & mask,
                mask: *mask,
            };
            known.extend(masks.iter().map(of).filter(|one| all.contains(one)));
        });
        match told.await {
            Ok(()) => known.into_iter().collect(),
            Err(_) => marked.to_vec(),
        }
    }

    /// How many flows could not be entered since the kernel started.
    pub(crate) async fn flows_refused(&mut self) -> Result<u64, Refusal> {
        let socket = self.netfilter()?;
        let counted = socket
            .dump(&tracking::statistics(), tracking::insert_failed)
            .await;
        let counted = counted.map_err(|error| refusal(OBJECT, error))?;
        Ok(counted.iter().sum())
    }

    pub(super) fn netfilter(&mut self) -> Result<&mut Socket, Refusal> {
        if self.netfilter.is_none() {
            let socket = Socket::open(Protocol::Netfilter, 0);
            self.netfilter = Some(socket.map_err(|error| refusal(OBJECT, RequestError::Io(error)))?);
        }
        let missing = || refusal(OBJECT, RequestError::Io(std::io::ErrorKind::NotFound.into()));
        self.netfilter.as_mut().ok_or_else(missing)
    }
}
