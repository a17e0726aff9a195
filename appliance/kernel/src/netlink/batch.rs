//! Many learnt routes at once.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use super::message::Outgoing;
use super::perform::{Netlink, refusal, refused};
use crate::link::{Link, LinkKind, LinkName};
use crate::object::{Key, Object};
use crate::order::Operation;
use crate::owned::Op;
use crate::refusal::Refusal;

/// So many refusals fit into the buffer of the socket at once; what is granted needs no room.
pub(crate) const BATCH: usize = 128;

/// Whether a step can be taken together with others: it is about a learnt route, and no other step depends on it.
pub(crate) fn is_batched(step: &Operation) -> bool {
    let object = match step {
        Op::Create(_, object) | Op::Replace { to: object, .. } | Op::Delete(_, object) => object,
    };
    matches!(object, Object::Route(route) if route.is_learnt())
}

impl Netlink {
    /// Takes steps about learnt routes with one request for [`BATCH`] of them. Removing what is not there is done already.
    pub(crate) async fn perform_together(&mut self, steps: &[Operation]) -> Vec<Result<(), Refusal>> {
        let mut indices = BTreeMap::new();
        let mut answers = Vec::with_capacity(steps.len());
        for steps in steps.chunks(BATCH) {
            let mut requests = Vec::with_capacity(steps.len());
            let mut asked = Vec::with_capacity(steps.len());
            for step in steps {
                match self.route_request(step, &mut indices).await {
                    Ok(request) => {
                        requests.push(request);
                        asked.push(Ok(step));
                    }
                    Err(refusal) => asked.push(Err(refusal)),
                }
            }
            let mut told = self.route.request_together(&requests).await.into_iter();
            answers.extend(asked.into_iter().map(|asked| {
                let step = asked?;
                match (told.next(), step) {
                    (Some(Err(error)), _) if error.is_absence() && matches!(step, Op::Delete(..)) => Ok(()),
                    (Some(Err(error)), _) => Err(refusal(step.key(), error)),
                    (Some(Ok(())), _) => Ok(()),
                    (None, _) => Err(refused(step.key(), libc::EIO, "no answer")),
                }
            }));
        }
        answers
    }

    async fn route_request(
        &mut self,
        step: &Operation,
        known: &mut BTreeMap<LinkName, Result<u32, Refusal>>,
    ) -> Result<Outgoing, Refusal> {
        let key = step.key();
        let route = match step {
            Op::Delete(_, Object::Route(route)) => return Ok(Outgoing::route(&route.delete(&[]), 0)),
            Op::Create(_, Object::Route(route))
            | Op::Replace {
                to: Object::Route(route),
                ..
            } => route,
            Op::Create(..) | Op::Replace { .. } | Op::Delete(..) => {
                return Err(refused(key, libc::EINVAL, "not a route"));
            }
        };
        let mut indices = Vec::with_capacity(route.links().len());
        for link in route.links() {
            indices.push(self.index_once(key, link, known).await?);
        }
        Ok(Outgoing::route(
            &route.create(&indices),
            NLM_F_CREATE | NLM_F_REPLACE,
        ))
    }

    /// The index of a link, asked once for all routes of a plan.
    async fn index_once(
        &mut self,
        key: &Key,
        link: &LinkName,
        known: &mut BTreeMap<LinkName, Result<u32, Refusal>>,
    ) -> Result<u32, Refusal> {
        if let Some(index) = known.get(link) {
            return index.clone();
        }
        let index = self.index(key, link).await;
        known.insert(link.clone(), index.clone());
        index
    }
}

/// The tunnel's link that a step deletes, if it does.
pub(crate) fn unwanted_link(step: &Operation) -> Option<(&Key, &Link)> {
    match step {
        Op::Delete(key, Object::Link(link)) if matches!(link.kind, LinkKind::Xfrm { .. }) => {
            Some((key, link))
        }
        Op::Create(..) | Op::Replace { .. } | Op::Delete(..) => None,
    }
}
