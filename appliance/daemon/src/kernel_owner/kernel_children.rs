use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use appliance_kernel::{Kernel, Key, Object, PolicyKey, Refusal, Request, StateKey, XfrmPolicy};
use ike::{ChildId, ConnectionName, EspPair, Watched};
use tokio::time::Instant;

use crate::datapath::{Counters, Refused};
use crate::translate;

/// Between two packets of one watched line that the engine is told of at least this long passes.
const BETWEEN_WANTED: Duration = Duration::from_secs(1);

/// The Child SAs that the kernel carries, and the lines that it watches.
#[derive(Debug, Default)]
pub(crate) struct KernelChildren {
    children: BTreeMap<ChildId, Child>,
    states: BTreeMap<StateKey, ChildId>,
    interfaces: BTreeMap<u32, Interface>,
}

#[derive(Debug)]
struct Child {
    interface_id: u32,
    inbound: StateKey,
    outbound: StateKey,
    policies: Policies,
}

type Policies = BTreeMap<PolicyKey, XfrmPolicy>;

/// All that has claims on the policies of one interface. Where several claim one, the child told last to send has it.
#[derive(Debug, Default)]
struct Interface {
    /// The one preferred last.
    children: Vec<ChildId>,
    watched: Vec<Line>,
}

/// A watched line.
#[derive(Debug)]
struct Line {
    connection: ConnectionName,
    line: usize,
    policies: Policies,
    told: Option<Instant>,
}

impl KernelChildren {
    /// Installs both states, then the policies that lead to them; all or nothing. Where it does not send yet, packets
    /// go on leaving by the child before it.
    pub(super) async fn install(
        &mut self,
        kernel: &mut Kernel,
        id: ChildId,
        pair: EspPair,
        interface_id: u32,
    ) -> Result<(), Refused> {
        let sends = pair.sends;
        let child =
            translate::kernel_child(pair, interface_id).map_err(|error| refused("Child SA", &error))?;
        let [inbound, outbound] = child.states;
        let entry = Child {
            interface_id,
            inbound: inbound.key(),
            outbound: outbound.key(),
            policies: by_key(child.policies),
        };
        let states = [inbound, outbound].map(|state| Request::Want(Object::from(state)));
        // Before any policy leads to them.
        kernel.apply(states).await.map_err(shown)?;
        let keys: Vec<PolicyKey> = entry.policies.keys().cloned().collect();
        self.states.extend([(entry.inbound, id), (entry.outbound, id)]);
        let interface = self.interfaces.entry(interface_id).or_default();
        let place = if sends { interface.children.len() } else { 0 };
        interface.children.insert(place, id);
        self.children.insert(id, entry);
        if let Err(refusal) = kernel.apply(self.claims(interface_id, keys)).await {
            self.remove(kernel, id).await;
            return Err(shown(refusal));
        }
        Ok(())
    }

    /// From now on packets leave by this child.
    pub(super) async fn send_by(&mut self, kernel: &mut Kernel, id: ChildId) -> Result<(), Refused> {
        let Some(child) = self.children.get(&id) else {
            return Ok(());
        };
        let interface_id = child.interface_id;
        let keys: Vec<PolicyKey> = child.policies.keys().cloned().collect();
        let interface = self.interfaces.entry(interface_id).or_default();
        interface.children.retain(|other| *other != id);
        interface.children.push(id);
        kernel.apply(self.claims(interface_id, keys)).await.map_err(shown)
    }

    /// Takes the states away, and the policies that nobody else claims.
    pub(super) async fn remove(&mut self, kernel: &mut Kernel, id: ChildId) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        if let Some(interface) = self.interfaces.get_mut(&child.interface_id) {
            interface.children.retain(|other| *other != id);
        }
        let policies = self.claims(child.interface_id, child.policies.into_keys());
        self.tidy(child.interface_id);
        let states = [child.inbound, child.outbound];
        for state in &states {
            self.states.remove(state);
        }
        let states = states.map(|state| Request::Unwant(Key::State(state)));
        // What the kernel will not give up shows among its refusals and is tried again.
        let _shown = kernel.apply(policies.into_iter().chain(states)).await;
    }

    /// Replaces the lines of a connection whose packets are told about while no child carries them.
    pub(super) async fn watch(
        &mut self,
        kernel: &mut Kernel,
        (connection, interface_id): (&ConnectionName, u32),
        watched: &[Watched],
    ) -> Result<(), Refused> {
        let mut lines = Vec::new();
        for line in watched {
            let policies = translate::kernel_watched(line, interface_id)
                .map_err(|error| refused("selector line", &error))?;
            lines.push(Line {
                connection: connection.clone(),
                line: line.line,
                policies: by_key(policies),
                told: None,
            });
        }
        let interface = self.interfaces.entry(interface_id).or_default();
        let before = std::mem::replace(&mut interface.watched, lines);
        let keys: BTreeSet<PolicyKey> = before
            .iter()
            .chain(&interface.watched)
            .flat_map(|line| line.policies.keys())
            .cloned()
            .collect();
        let claims = self.claims(interface_id, keys);
        self.tidy(interface_id);
        kernel.apply(claims).await.map_err(shown)
    }

    /// Watches nothing any more for a connection that has no tunnel left.
    pub(super) async fn forget(&mut self, kernel: &mut Kernel, connection: &ConnectionName) {
        let of = |interface: &Interface| {
            interface
                .watched
                .iter()
                .any(|line| line.connection == *connection)
        };
        let found = self.interfaces.iter().find(|(_, interface)| of(interface));
        if let Some(interface_id) = found.map(|(interface_id, _)| *interface_id) {
            let _shown = self.watch(kernel, (connection, interface_id), &[]).await;
        }
    }

    /// The watched line that this policy is of, if it is to be told about now.
    pub(super) fn wanted(&mut self, policy: &PolicyKey, now: Instant) -> Option<(ConnectionName, usize)> {
        let interface = self.interfaces.get_mut(&policy.interface_id)?;
        let line = interface
            .watched
            .iter_mut()
            .find(|line| line.policies.contains_key(policy))?;
        let recently = |told: Instant| now.saturating_duration_since(told) < BETWEEN_WANTED;
        if line.told.is_some_and(recently) {
            return None;
        }
        line.told = Some(now);
        Some((line.connection.clone(), line.line))
    }

    /// What these policies of an interface are to be now.
    fn claims(&self, interface_id: u32, keys: impl IntoIterator<Item = PolicyKey>) -> Vec<Request> {
        let Some(interface) = self.interfaces.get(&interface_id) else {
            return Vec::new();
        };
        let claim = |key: &PolicyKey| {
            let children = interface.children.iter().rev();
            let child = children
                .filter_map(|id| self.children.get(id))
                .find_map(|child| child.policies.get(key));
            child.or_else(|| interface.watched.iter().find_map(|line| line.policies.get(key)))
        };
        let request = |key: PolicyKey| match claim(&key) {
            Some(policy) => Request::Want(Object::from(policy.clone())),
            None => Request::Unwant(Key::Policy(key)),
        };
        keys.into_iter().map(request).collect()
    }

    fn tidy(&mut self, interface_id: u32) {
        let unused = |interface: &Interface| interface.children.is_empty() && interface.watched.is_empty();
        if self.interfaces.get(&interface_id).is_some_and(unused) {
            self.interfaces.remove(&interface_id);
        }
    }

    /// The child that this state belongs to.
    pub(super) fn of(&self, state: StateKey) -> Option<ChildId> {
        self.states.get(&state).copied()
    }

    /// How many packets each of these children has received.
    pub(super) async fn received(&self, kernel: &mut Kernel, children: &[ChildId]) -> Vec<(ChildId, u64)> {
        let mut received = Vec::new();
        for id in children {
            if let Some(child) = self.children.get(id)
                && let Ok(counters) = kernel.counters_of(&child.inbound).await
            {
                received.push((*id, counters.packets));
            }
        }
        received
    }

    /// What one child carried.
    pub(super) async fn counters_of(&self, kernel: &mut Kernel, id: ChildId) -> Option<Counters> {
        let child = self.children.get(&id)?;
        let inbound = kernel.counters_of(&child.inbound).await.ok()?;
        let outbound = kernel.counters_of(&child.outbound).await.ok()?;
        Some(Counters {
            packets_in: inbound.packets,
            packets_out: outbound.packets,
            bytes_in: inbound.bytes,
            bytes_out: outbound.bytes,
            packets_lost: inbound.missing,
        })
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
                packets_lost: inbound.missing,
            }
        };
        self.children.iter().map(|(id, one)| (*id, child(one))).collect()
    }
}

fn by_key(policies: Vec<XfrmPolicy>) -> Policies {
    policies
        .into_iter()
        .map(|policy| (policy.key(), policy))
        .collect()
}

fn refused(object: &str, error: &translate::Untranslatable) -> Refused {
    Refused {
        object: object.to_owned(),
        attribute: None,
        detail: error.to_string(),
    }
}

fn shown(refusal: Refusal) -> Refused {
    let Refusal {
        object,
        attribute,
        detail,
        ..
    } = refusal;
    Refused {
        object,
        attribute,
        detail,
    }
}
