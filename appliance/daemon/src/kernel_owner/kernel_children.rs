use std::collections::{BTreeMap, BTreeSet};

use appliance_kernel::{Kernel, Key, Object, Request, StateKey};
use ike::{ChildId, EspPair};

use crate::datapath::{Counters, Refused};
use crate::translate;

/// The Child SAs that the kernel carries.
#[derive(Debug, Default)]
pub(crate) struct KernelChildren(BTreeMap<ChildId, Child>);

#[derive(Debug)]
struct Child {
    inbound: StateKey,
    outbound: StateKey,
    policies: BTreeSet<Key>,
}

impl KernelChildren {
    /// Installs both states, then the policies that lead to them; all or nothing.
    pub(super) async fn install(
        &mut self,
        kernel: &mut Kernel,
        id: ChildId,
        pair: EspPair,
        interface_id: u32,
    ) -> Result<(), Refused> {
        let child = translate::kernel_child(pair, interface_id).map_err(|error| Refused {
            object: "Child SA".to_owned(),
            attribute: None,
            detail: error.to_string(),
        })?;
        let [inbound, outbound] = &child.states;
        let entry = Child {
            inbound: inbound.key(),
            outbound: outbound.key(),
            policies: child
                .policies
                .iter()
                .map(|policy| Key::Policy(policy.key()))
                .collect(),
        };
        let objects = child
            .states
            .into_iter()
            .map(Object::from)
            .chain(child.policies.into_iter().map(Object::from));
        let applied = kernel.apply(objects.map(Request::Want)).await;
        self.0.insert(id, entry);
        if let Err(refusal) = applied {
            self.remove(kernel, id).await;
            return Err(Refused {
                object: refusal.object.clone(),
                attribute: refusal.attribute.clone(),
                detail: refusal.detail.clone(),
            });
        }
        Ok(())
    }

    /// Takes the states away, and the policies that no other child needs.
    pub(super) async fn remove(&mut self, kernel: &mut Kernel, id: ChildId) {
        let Some(child) = self.0.remove(&id) else { return };
        let needed = |policy: &&Key| self.0.values().any(|other| other.policies.contains(policy));
        let policies = child.policies.iter().filter(|policy| !needed(policy)).cloned();
        let states = [Key::State(child.inbound), Key::State(child.outbound)];
        // What the kernel will not give up shows among its refusals and is tried again.
        let _shown = kernel.apply(policies.chain(states).map(Request::Unwant)).await;
    }

    /// The child that this state belongs to.
    pub(super) fn of(&self, state: StateKey) -> Option<ChildId> {
        let belongs = |child: &Child| child.inbound == state || child.outbound == state;
        self.0.iter().find(|(_, child)| belongs(child)).map(|(id, _)| *id)
    }

    /// What each child carried.
    pub(super) async fn counters(&self, kernel: &mut Kernel) -> BTreeMap<ChildId, Counters> {
        let states = kernel.counters().await.unwrap_or_default();
        let of = |key: &StateKey| states.get(key).copied().unwrap_or_default();
        let child = |child: &Child| {
            let (inbound, outbound) = (of(&child.inbound), of(&child.outbound));
            Counters {
                packets_in: inbound.packets,
                packets_out: outbound.packets,
                bytes_in: inbound.bytes,
                bytes_out: outbound.bytes,
            }
        };
        self.0.iter().map(|(id, one)| (*id, child(one))).collect()
    }
}
