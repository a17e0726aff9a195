//! Many routes, and rules for them, at once.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use super::message::Outgoing;
use super::perform::{Netlink, refusal, refused};
use crate::link::{Link, LinkKind, LinkName};
use crate::object::{Key, Object};
use crate::order::Operation;
use crate::owned::Op;
use crate::refusal::Refusal;
use crate::route::Route;

/// So many refusals fit into the buffer of the socket at once; what is granted needs no room.
pub(crate) const BATCH: usize = 128;

/// Whether a step can be taken together with others: it is about a route, or a rule that stands in for none of the kernel's, and
/// is one request to the kernel, which takes them in their order and goes on after one that it refuses.
pub(crate) fn is_batched(step: &Operation) -> bool {
    let object = match step {
        Op::Create(_, object) | Op::Replace { to: object, .. } | Op::Delete(_, object) => object,
    };
    match object {
        Object::Route(_) => true,
        Object::Rule(rule) => rule.replaced().is_none(),
        Object::Link(_)
        | Object::Address(_)
        | Object::State(_)
        | Object::Policy(_)
        | Object::Ruleset(_)
        | Object::Translation(_)
        | Object::Firewall(_) => false,
    }
}

impl Netlink {
    /// Takes such steps with one request for [`BATCH`] of them. Removing what is not there, or whose link is not, is done already.
    pub(crate) async fn perform_together(&mut self, steps: &[Operation]) -> Vec<Result<(), Refusal>> {
        let mut indices = BTreeMap::new();
        let mut answers = Vec::with_capacity(steps.len());
        for steps in steps.chunks(BATCH) {
            let mut requests = Vec::with_capacity(steps.len());
            let mut asked = Vec::with_capacity(steps.len());
            for step in steps {
                match self.request(step, &mut indices).await {
                    Ok(request) => {
                        requests.push(request);
                        asked.push(Ok(step));
                    }
                    Err(_) if matches!(step, Op::Delete(..)) => asked.push(Err(Ok(()))),
                    Err(refusal) => asked.push(Err(Err(refusal))),
                }
            }
            let mut told = self.route.request_together(&requests).await.into_iter();
            answers.extend(asked.into_iter().map(|asked| {
                let step = match asked {
                    Ok(step) => step,
                    Err(answer) => return answer,
                };
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

    async fn request(&mut self, step: &Operation, known: &mut Indices) -> Result<Outgoing, Refusal> {
        let exclusive = NLM_F_CREATE | NLM_F_EXCL;
        let (object, flags) = match step {
            // One that lost a link on the way may still be there.
            Op::Create(_, object @ Object::Route(route)) if route.is_learnt() => {
                (object, NLM_F_CREATE | NLM_F_REPLACE)
            }
            Op::Create(_, object) => (object, exclusive),
            Op::Replace { to: object, .. } => (object, NLM_F_CREATE | NLM_F_REPLACE),
            Op::Delete(_, object) => (object, 0),
        };
        let is_wanted = !matches!(step, Op::Delete(..));
        let message = match object {
            Object::Route(route) if is_wanted => {
                route.create(&self.indices_once(step.key(), route, known).await?)
            }
            Object::Route(route) if route.is_learnt() => route.delete(&[]),
            Object::Route(route) => route.delete(&self.indices_once(step.key(), route, known).await?),
            Object::Rule(rule) if is_wanted => rule.create(),
            Object::Rule(rule) => rule.delete(),
            Object::Link(_)
            | Object::Address(_)
            | Object::State(_)
            | Object::Policy(_)
            | Object::Ruleset(_)
            | Object::Translation(_)
            | Object::Firewall(_) => {
                return Err(refused(step.key(), libc::EINVAL, "neither a route nor a rule"));
            }
        };
        Ok(Outgoing::route(&message, flags))
    }

    async fn indices_once(
        &mut self,
        key: &Key,
        route: &Route,
        known: &mut Indices,
    ) -> Result<Vec<u32>, Refusal> {
        let mut indices = Vec::with_capacity(route.links().len());
        for link in route.links() {
            indices.push(self.index_once(key, link, known).await?);
        }
        Ok(indices)
    }

    /// The index of a link, asked once for all of them.
    async fn index_once(&mut self, key: &Key, link: &LinkName, known: &mut Indices) -> Result<u32, Refusal> {
        if let Some(index) = known.get(link) {
            let object = key.to_string();
            return index.clone().map_err(|refusal| Refusal { object, ..refusal });
        }
        let index = self.index(key, link).await;
        known.insert(link.clone(), index.clone());
        index
    }
}

/// What links have for indices, or why that is not known.
type Indices = BTreeMap<LinkName, Result<u32, Refusal>>;

/// The tunnel's link that a step deletes, if it does.
pub(crate) fn unwanted_link(step: &Operation) -> Option<(&Key, &Link)> {
    match step {
        Op::Delete(key, Object::Link(link)) if matches!(link.kind, LinkKind::Xfrm { .. }) => {
            Some((key, link))
        }
        Op::Create(..) | Op::Replace { .. } | Op::Delete(..) => None,
    }
}
