//! A kernel in memory, for tests: it does what it is told, refuses what it is told to refuse, and loses
//! objects on demand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use appliance_nat::Counted;
use tokio::sync::Notify;

use crate::address::Connected;
use crate::kernel::Dump;
use crate::link::{Device, Link, LinkKind, LinkName};
use crate::notice::Notice;
use crate::object::{Key, Object, step_needs};
use crate::order::Operation;
use crate::owned::Op;
use crate::probe::Missing;
use crate::refusal::Refusal;
use crate::tracking::Flow;
use crate::xfrm_state::{Counters, KeyMaterial, StateKey};

/// A kernel in memory. Clones are the same kernel, so a test can look at it while a [`crate::Kernel`] works
/// on it, or open it again as after a restart.
#[derive(Debug, Clone, Default)]
pub struct FakeKernel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    reported: Notify,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Object>,
    devices: BTreeMap<LinkName, Device>,
    connected: BTreeSet<Connected>,
    refusals: BTreeMap<Key, Refusal>,
    counters: BTreeMap<StateKey, Counters>,
    flows: Vec<Flow>,
    flows_refused: u64,
    translated: BTreeMap<String, Counted>,
    dropped: BTreeMap<String, Counted>,
    performed: Vec<Operation>,
    notices: VecDeque<Notice>,
    missing: Option<Missing>,
}

impl FakeKernel {
    /// An empty kernel that has everything.
    pub fn new() -> Self {
        FakeKernel::default()
    }

    /// From now on, refuses every step about this object.
    pub fn refuse(&self, key: Key, errno: i32, detail: &str) {
        let refusal = Refusal {
            object: key.to_string(),
            attribute: None,
            errno,
            detail: detail.to_owned(),
        };
        self.state().refusals.insert(key, refusal);
    }

    /// Refuses it no longer.
    pub fn accept(&self, key: &Key) {
        self.state().refusals.remove(key);
    }

    /// Lets [`crate::Kernel::probe`] find something missing.
    pub fn lack(&self, missing: Missing) {
        self.state().missing = Some(missing);
    }

    /// Loses an object and reports it, as when somebody else deletes it.
    pub fn lose(&self, key: &Key) {
        self.lose_unreported(key);
        self.report(match key {
            Key::Link(name) => Notice::LinkGone(name.clone()),
            Key::Address(_)
            | Key::Route(_)
            | Key::Rule(_)
            | Key::State(_)
            | Key::Policy(_)
            | Key::Ruleset
            | Key::Translation
            | Key::Firewall => Notice::Gone(key.clone()),
        });
    }

    /// Loses an object without a word, so that only an audit finds out.
    pub fn lose_unreported(&self, key: &Key) {
        let mut state = self.state();
        state.objects.remove(key);
        if let Key::Link(name) = key {
            state.devices.remove(name);
            state.drop_dependents(name);
        }
    }

    /// Somebody else makes a link, such as a TUN.
    pub fn appear(&self, name: LinkName) {
        let device = Device {
            mtu: 1500,
            ..Device::default()
        };
        self.plug(name, device);
    }

    /// A device of the machine is there, or looks like this now.
    pub fn plug(&self, name: LinkName, device: Device) {
        self.state().devices.insert(name.clone(), device.clone());
        let link = Link {
            name,
            kind: LinkKind::External,
            mtu: device.mtu,
            up: false,
            purpose: String::new(),
        };
        self.report(Notice::LinkPresent {
            link,
            ours: false,
            aliased: false,
            device,
        });
    }

    /// Somebody else gives a link an address.
    pub fn connect(&self, connected: Connected) {
        self.state().connected.insert(connected.clone());
        self.report(Notice::Connected(connected, true));
    }

    /// Somebody else takes the address away again.
    pub fn disconnect(&self, connected: Connected) {
        self.state().connected.remove(&connected);
        self.report(Notice::Connected(connected, false));
    }

    /// Lets packets pass through a state.
    pub fn count(&self, key: StateKey, counters: Counters) {
        self.state().counters.insert(key, counters);
    }

    /// Lets a flow begin.
    pub fn follow(&self, flow: Flow) {
        self.state().flows.push(flow);
    }

    /// The flows that are there.
    pub fn flows(&self) -> Vec<Flow> {
        self.state().flows.clone()
    }

    /// Lets so many flows be refused from the start.
    pub fn refuse_flows(&self, count: u64) {
        self.state().flows_refused = count;
    }

    /// Lets packets pass a counter of the table that translates.
    pub fn translate(&self, counter: &str, counted: Counted) {
        self.state().translated.insert(counter.to_owned(), counted);
    }

    /// Lets the table that closes the machine drop packets for a reason.
    pub fn drop_packets(&self, reason: &str, counted: Counted) {
        self.state().dropped.insert(reason.to_owned(), counted);
    }

    /// All that is there.
    pub fn objects(&self) -> BTreeMap<Key, Object> {
        self.state().objects.clone()
    }

    /// All steps that were taken, in order, refused ones left out; states without their keys.
    pub fn performed(&self) -> Vec<Operation> {
        self.state().performed.clone()
    }

    /// Reports something, true or not.
    pub fn report(&self, notice: Notice) {
        self.state().notices.push_back(notice);
        self.0.reported.notify_one();
    }

    pub(crate) fn perform(&self, step: &Operation) -> Result<(), Refusal> {
        let mut state = self.state();
        if let Some(refusal) = state.refusals.get(step.key()) {
            return Err(refusal.clone());
        }
        let step = without_keys(step.clone());
        if let Some(link) = missing_link(&state, &step) {
            return Err(Refusal {
                object: step.key().to_string(),
                attribute: None,
                errno: libc::ENODEV,
                detail: format!("no link {link}"),
            });
        }
        state.forget_outdated(&step);
        match &step {
            Op::Create(key, object) | Op::Replace { key, to: object, .. } => {
                state.objects.insert(key.clone(), object.clone());
            }
            Op::Delete(key, object) => {
                state.objects.remove(key);
                if let Key::Address(address) = key {
                    state.connected.remove(&Connected::from(address));
                }
                if let Object::Link(Link { name, kind, .. }) = object
                    && kind.is_made_by_us()
                {
                    state.drop_dependents(name);
                }
            }
        }
        state.performed.push(step);
        Ok(())
    }

    pub(crate) fn dump(&self) -> Dump {
        let state = self.state();
        let ours = state.objects.keys().filter_map(|key| match key {
            Key::Address(address) => Some(Connected::from(address)),
            Key::Link(_)
            | Key::Route(_)
            | Key::Rule(_)
            | Key::State(_)
            | Key::Policy(_)
            | Key::Ruleset
            | Key::Translation
            | Key::Firewall => None,
        });
        let devices = state.links().into_iter().map(|name| {
            let device = state.devices.get(&name).cloned().unwrap_or_default();
            (name, device)
        });
        Dump {
            objects: state.objects.values().cloned().collect(),
            devices: devices.collect(),
            connected: ours.chain(state.connected.iter().cloned()).collect(),
        }
    }

    pub(crate) fn counters(&self) -> BTreeMap<StateKey, Counters> {
        let state = self.state();
        let keys = state.objects.keys().filter_map(|key| match key {
            Key::State(key) => Some(*key),
            Key::Link(_)
            | Key::Address(_)
            | Key::Route(_)
            | Key::Rule(_)
            | Key::Policy(_)
            | Key::Ruleset
            | Key::Translation
            | Key::Firewall => None,
        });
        keys.map(|key| (key, state.counters.get(&key).copied().unwrap_or_default()))
            .collect()
    }

    pub(crate) fn translated(&self) -> BTreeMap<String, Counted> {
        self.state().translated.clone()
    }

    pub(crate) fn dropped(&self) -> BTreeMap<String, Counted> {
        self.state().dropped.clone()
    }

    pub(crate) fn flows_refused(&self) -> u64 {
        self.state().flows_refused
    }

    pub(crate) fn way_to(&self, destination: IpAddr) -> Option<LinkName> {
        let state = self.state();
        let routes = state.objects.values().filter_map(|object| {
            let Object::Route(route) = object else { return None };
            let is_for_all = route.key().mark.is_none();
            is_for_all.then(|| (route.prefix, route.metric, route.links().first().cloned()))
        });
        let is_ours = |one: &Connected| one.address == destination;
        let connected = state.connected.iter();
        let connected =
            connected.map(|one| (one.network, 0, Some(one.link.clone()).filter(|_| !is_ours(one))));
        let ways = routes
            .chain(connected)
            .filter(|(prefix, ..)| prefix.contains(&destination));
        let best = ways.max_by_key(|(prefix, metric, _)| (prefix.prefix_len(), Reverse(*metric)));
        best.and_then(|(_, _, link)| link)
    }

    pub(crate) fn probe(&self) -> Result<(), Missing> {
        self.state().missing.clone().map_or(Ok(()), Err)
    }

    pub(crate) async fn notices(&self) -> Vec<Notice> {
        loop {
            let reported: Vec<Notice> = self.state().notices.drain(..).collect();
            if !reported.is_empty() {
                return reported;
            }
            self.0.reported.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn links(&self) -> BTreeSet<LinkName> {
        let ours = self.objects.keys().filter_map(|key| match key {
            Key::Link(name) => Some(name.clone()),
            Key::Address(_)
            | Key::Route(_)
            | Key::Rule(_)
            | Key::State(_)
            | Key::Policy(_)
            | Key::Ruleset
            | Key::Translation
            | Key::Firewall => None,
        });
        ours.chain(self.devices.keys().cloned()).collect()
    }

    fn forget_outdated(&mut self, step: &Operation) {
        let outdated = match step {
            Op::Replace {
                from: Object::Translation(from),
                to: Object::Translation(to),
                ..
            } => from.outdated(Some(to)),
            Op::Delete(_, Object::Translation(before)) => before.outdated(None),
            Op::Create(..) | Op::Replace { .. } | Op::Delete(..) => return,
        };
        self.flows
            .retain(|flow| !outdated.iter().any(|marked| marked.holds(flow.mark)));
    }

    fn drop_dependents(&mut self, link: &LinkName) {
        self.objects.retain(|_, object| !object.needs().contains(link));
    }
}

fn missing_link(state: &State, step: &Operation) -> Option<LinkName> {
    let links = state.links();
    step_needs(step)
        .iter()
        .find(|name| !links.contains(*name))
        .cloned()
}

fn without_keys(mut step: Operation) -> Operation {
    match &mut step {
        Op::Create(_, Object::State(state))
        | Op::Replace {
            to: Object::State(state),
            ..
        } => {
            state.keys = KeyMaterial::Found;
        }
        Op::Create(..) | Op::Replace { .. } | Op::Delete(..) => (),
    }
    step
}
