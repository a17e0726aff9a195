//! The core: requests and observations in, operations out. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use crate::link::{Link, LinkName};
use crate::notice::{Event, Notice};
use crate::object::{Key, Object, step_needs};
use crate::order::{Operation, rank};
use crate::owned::{Op, Owned};
use crate::refusal::Refusal;
use crate::translation::Translation;
use crate::xfrm_state::{KeyMaterial, StateKey, XfrmState};

/// What may be asked of the kernel.
#[derive(Debug, Clone)]
pub enum Request {
    /// Let this object be there, as it is given here.
    Want(Object),
    /// Let this object be there no longer.
    Unwant(Key),
    /// This object of somebody else is there, and is ours from now on: it goes, unless it is wanted.
    Claim(Object),
    /// Let go of what was found at start and nobody has claimed since.
    Release(Scope),
    /// Let nothing of ours be there but what belongs to the machine: its devices, VLANs and their addresses and routes.
    Remove(Removal),
}

/// Which of the adopted objects are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What follows from the configuration: links, addresses, routes that nobody learnt with the rules that lead to them,
    /// and the tables of nftables.
    Configured,
    /// The routes that BGP learnt.
    Learnt,
    /// States and policies of one interface id: its new child is in.
    Child(u32),
    /// All of them: nobody will come for them any more.
    Everything,
}

impl Scope {
    fn contains(self, key: &Key) -> bool {
        match (self, key) {
            (Scope::Everything, _)
            | (
                Scope::Configured,
                Key::Link(_) | Key::Address(_) | Key::Ruleset | Key::Translation | Key::Firewall,
            ) => true,
            (Scope::Configured, Key::Route(route)) => !route.is_learnt(),
            (Scope::Learnt, Key::Route(route)) => route.is_learnt(),
            // Others are of use only with the routes beside the main table, and go with them.
            (Scope::Configured, Key::Rule(rule)) => rule.is_marked(),
            (Scope::Learnt, Key::Rule(rule)) => !rule.is_marked(),
            (Scope::Configured, Key::State(_) | Key::Policy(_)) | (Scope::Learnt, _) => false,
            (Scope::Child(interface_id), Key::Policy(policy)) => policy.interface_id == interface_id,
            (Scope::Child(_), _) => false,
        }
    }
}

/// How much is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// All but the unreachable routes and the table, which keep traffic from leaving in clear text, and the table that
    /// translates, which does nothing without tunnels and by whose numbers flows are known again.
    ExceptLastResort,
    /// All of it.
    Everything,
}

/// Everything of ours in the kernel, wanted and present.
#[derive(Debug, Default)]
pub struct Reconciler {
    table: Owned<Key, Object>,
    links: BTreeSet<LinkName>,
    refused: BTreeMap<Key, Refusal>,
    doubt: Option<&'static str>,
}

impl Reconciler {
    /// At start: keeps all that was found under our mark; `links` are the names of all links, also of others.
    pub fn adopt(found: Vec<Object>, links: BTreeSet<LinkName>) -> Self {
        let found = found.into_iter().map(|object| (object.key(), object)).collect();
        Reconciler {
            table: Owned::adopt(found),
            links,
            ..Reconciler::default()
        }
    }

    /// Takes one request; [`Reconciler::plan`] tells what follows from it.
    pub fn request(&mut self, request: Request) {
        match request {
            Request::Want(object) => {
                let key = object.key();
                self.refused.remove(&key);
                self.table.want(key, object);
            }
            Request::Unwant(key) => self.unwant(&key),
            Request::Claim(object) => self.table.observe(object.key(), Some(object)),
            Request::Release(scope) => self.release(scope),
            Request::Remove(removal) => self.remove(removal),
        }
        self.forget_settled_refusals();
    }

    fn release(&mut self, scope: Scope) {
        let states: BTreeSet<Key> = match scope {
            Scope::Child(interface_id) => self
                .table
                .all_present()
                .filter(|(_, object)| {
                    matches!(object, Object::State(state) if state.interface_id == interface_id)
                })
                .map(|(key, _)| key.clone())
                .collect(),
            Scope::Configured | Scope::Learnt | Scope::Everything => BTreeSet::new(),
        };
        self.table
            .release(|key| scope.contains(key) || states.contains(key));
    }

    fn unwant(&mut self, key: &Key) {
        self.table.unwant(key);
        self.refused.remove(key);
    }

    fn remove(&mut self, removal: Removal) {
        let machine = self.links_of_machine();
        let stays = |object: &Object| {
            let of_machine = match object {
                Object::Link(link) => std::slice::from_ref(&link.name),
                Object::Address(_) | Object::Route(_) => object.needs(),
                Object::Rule(_)
                | Object::State(_)
                | Object::Policy(_)
                | Object::Ruleset(_)
                | Object::Translation(_)
                | Object::Firewall(_) => &[],
            };
            let lasts = object.is_last_resort() || matches!(object, Object::Translation(_));
            of_machine.iter().any(|link| machine.contains(link))
                || (removal == Removal::ExceptLastResort && lasts)
        };
        let unwanted: Vec<Key> = self
            .table
            .all_wanted()
            .filter(|(_, object)| !stays(object))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &unwanted {
            self.unwant(key);
        }
        let kept: BTreeSet<Key> = self
            .table
            .all_present()
            .filter(|(_, object)| stays(object))
            .map(|(key, _)| key.clone())
            .collect();
        self.table.release(|key| !kept.contains(key));
    }

    /// The links by which the machine is reached, whether Causeway runs or not.
    fn links_of_machine(&self) -> BTreeSet<LinkName> {
        let objects = self.table.all_present().chain(self.table.all_wanted());
        let links = objects.filter_map(|(_, object)| match object {
            Object::Link(link) => Some(link),
            Object::Address(_)
            | Object::Route(_)
            | Object::Rule(_)
            | Object::State(_)
            | Object::Policy(_)
            | Object::Ruleset(_)
            | Object::Translation(_)
            | Object::Firewall(_) => None,
        });
        links
            .filter(|link| link.kind.is_of_machine())
            .map(|link| link.name.clone())
            .collect()
    }

    /// Takes one report of the kernel.
    pub fn observe(&mut self, notice: Notice) -> Option<Event> {
        let event = match notice {
            Notice::LinkPresent {
                link, ours, aliased, ..
            } => {
                self.link_present(link, ours, aliased);
                None
            }
            Notice::LinkGone(name) => {
                self.links.remove(&name);
                self.forget_dependents(&name);
                self.gone(Key::Link(name))
            }
            Notice::Present(object) => {
                self.found(object);
                None
            }
            Notice::Gone(key) => {
                self.doubt_after(&key);
                self.gone(key)
            }
            Notice::Expired { key, hard } => self.spent(key, hard),
            Notice::Wanted(policy) => Some(Event::Wanted(policy)),
            Notice::Connected(..) | Notice::Overrun => None,
        };
        self.forget_settled_refusals();
        event
    }

    /// Takes a dump: all that there is under our mark, and the names of all links.
    pub fn observe_all(&mut self, found: Vec<Object>, links: BTreeSet<LinkName>) -> Vec<Event> {
        let keys: BTreeSet<Key> = found.iter().map(Object::key).collect();
        let missing: Vec<Key> = self
            .table
            .all_present()
            .map(|(key, _)| key)
            .filter(|key| !keys.contains(key))
            .cloned()
            .collect();
        self.links = links;
        self.doubt = None;
        let events = missing.into_iter().filter_map(|key| self.gone(key)).collect();
        for object in found {
            self.found(object);
        }
        self.forget_settled_refusals();
        events
    }

    fn link_present(&mut self, link: Link, ours: bool, aliased: bool) {
        let key = Key::Link(link.name.clone());
        // The kernel drops the routes of a link that goes down without a word. Without an alias it is one that we set up since.
        if aliased && !link.up && matches!(self.table.present(&key), Some(Object::Link(before)) if before.up)
        {
            self.doubt = Some("a link of ours went down, and its routes may be gone");
        }
        if self.links.insert(link.name.clone()) {
            self.forget_refusals_of(&link.name);
        }
        if ours || self.table.present(&key).is_some() {
            self.found(Object::Link(link));
        }
    }

    fn found(&mut self, object: Object) {
        let key = object.key();
        let object = object.recognised(self.table.present(&key));
        self.table.observe(key, Some(object));
    }

    fn gone(&mut self, key: Key) -> Option<Event> {
        let before = self.table.present(&key).cloned();
        self.table.observe(key.clone(), None);
        let before = before.filter(|_| self.table.wanted(&key).is_some())?;
        if let (Object::State(state), Key::State(state_key)) = (&before, &key) {
            let event = Event::StateLost {
                key: *state_key,
                interface_id: state.interface_id,
            };
            // Never made again: its sequence numbers would start over under the same key.
            self.table.unwant(&key);
            return Some(event);
        }
        Some(Event::Missing(key))
    }

    /// A state that came to its hard limit is not made again, like one that was lost.
    fn spent(&mut self, state: StateKey, hard: bool) -> Option<Event> {
        let key = Key::State(state);
        let wanted = self.table.wanted(&key).is_some();
        if hard {
            self.table.unwant(&key);
            self.table.observe(key, None);
        }
        wanted.then_some(Event::StateSpent { key: state, hard })
    }

    /// The kernel takes these along with their link.
    fn forget_dependents(&mut self, link: &LinkName) {
        let gone: Vec<Key> = self
            .table
            .all_present()
            .filter(|(_, object)| object.needs().contains(link))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.table.observe(key, None);
        }
    }

    fn forget_refusals_of(&mut self, link: &LinkName) {
        let table = &self.table;
        self.refused.retain(|key, _| {
            let needs = table
                .wanted(key)
                .is_some_and(|object| object.needs().contains(link));
            *key != Key::Link(link.clone()) && !needs
        });
    }

    fn forget_settled_refusals(&mut self) {
        let table = &self.table;
        self.refused.retain(|key, _| table.is_open(key));
    }

    /// What is to be done now, in order: neither what was refused, nor what waits for a link.
    pub fn plan(&self) -> Vec<Operation> {
        let mut steps: Vec<Operation> = self
            .table
            .plan()
            .into_iter()
            .filter(|step| !self.refused.contains_key(step.key()))
            .filter_map(|step| self.possible(step))
            .collect();
        self.hold_translation(&mut steps);
        steps.sort_by_key(rank);
        steps
    }

    /// The table that translates waits until all that it relies on is there, but for what waits for a link; and what only the
    /// table of before relies on stays as long as that one does.
    fn hold_translation(&self, steps: &mut Vec<Operation>) {
        let comes = |step: &Operation| match step {
            Op::Create(_, object) | Op::Replace { to: object, .. } => {
                object.is_for_translation() || matches!(object, Object::Link(_))
            }
            Op::Delete(..) => false,
        };
        let waits = steps.iter().any(comes) || self.lacks_what_translation_needs();
        let stays = self.table.is_open(&Key::Translation);
        steps.retain(|step| match step {
            Op::Create(key, _) | Op::Replace { key, .. } => !(waits && *key == Key::Translation),
            Op::Delete(_, object) => !(stays && object.is_for_translation()),
        });
    }

    fn lacks_what_translation_needs(&self) -> bool {
        let relied = |key: &Key| self.table.wanted(key).is_some_and(Object::is_for_translation);
        self.refused.keys().any(relied)
    }

    /// The table that translates, if there is none, and nothing stands in its way but what is planned now.
    pub fn translation_to_make(&self) -> Option<&Translation> {
        let key = Key::Translation;
        let hindered = self.refused.contains_key(&key) || self.lacks_what_translation_needs();
        let makes = self.table.present(&key).is_none() && !hindered;
        match self.table.wanted(&key).filter(|_| makes) {
            Some(Object::Translation(translation)) => Some(translation),
            _ => None,
        }
    }

    /// What can be done of a step now. An object that is to move to a link that is not there yet goes at once: where
    /// it stands, it carries what no longer belongs there.
    fn possible(&self, step: Operation) -> Option<Operation> {
        if self.awaits(&step).is_none() {
            return Some(step);
        }
        match step {
            Op::Create(..) | Op::Delete(..) => None,
            Op::Replace { key, from, .. } => Some(Op::Delete(key, from)),
        }
    }

    /// Takes the kernel's answer to one step of the plan.
    pub fn done(&mut self, step: &Operation, answer: Result<(), Refusal>) {
        match (step, answer) {
            (Op::Create(key, object) | Op::Replace { key, to: object, .. }, Ok(())) => {
                self.made(key, object.clone(), matches!(step, Op::Create(..)))
            }
            (Op::Delete(key, object), Ok(())) => {
                self.doubt_after(key);
                self.table.observe(key.clone(), None);
                // One that we did not make is let go, and stays.
                if matches!(object, Object::Link(link) if link.kind.is_made_by_us()) {
                    self.link_removed(key);
                }
            }
            (
                Op::Create(key, Object::State(_))
                | Op::Replace {
                    key,
                    to: Object::State(_),
                    ..
                },
                Err(_),
            ) => {
                // Nobody but the engine may decide to offer these keys again.
                self.table.unwant(key);
                self.table.observe(key.clone(), None);
            }
            (Op::Create(key, _) | Op::Replace { key, .. } | Op::Delete(key, _), Err(refusal)) => {
                self.refused.insert(key.clone(), refusal);
            }
        }
    }

    fn made(&mut self, key: &Key, object: Object, new: bool) {
        if let Object::Link(link) = &object {
            let replaced = match self.table.present(key) {
                Some(Object::Link(before)) => before.kind != link.kind,
                _ => new && link.kind.is_made_by_us(),
            };
            if replaced {
                self.link_removed(key);
            }
            self.links.insert(link.name.clone());
            self.forget_refusals_of(&link.name);
        }
        let object = object.installed();
        if matches!(&object, Object::State(state) if matches!(state.keys, KeyMaterial::Installed)) {
            self.table.want(key.clone(), object.clone());
        }
        self.table.observe(key.clone(), Some(object));
    }

    fn link_removed(&mut self, key: &Key) {
        if let Key::Link(name) = key {
            self.links.remove(name);
            self.forget_dependents(name);
        }
    }

    /// The kernel drops the IPv4 routes of a link without a word when its last IPv4 address goes; it tells late what we removed.
    fn doubt_after(&mut self, gone: &Key) {
        if let Some(Object::Address(address)) = self.table.present(gone)
            && address.network.addr().is_ipv4()
        {
            self.doubt = Some("an IPv4 address of ours went, and routes may be gone with it");
        }
    }

    /// Whether something is to be done about this object.
    pub fn is_open(&self, key: &Key) -> bool {
        self.table.is_open(key)
    }

    /// Why something may have gone that is not reported, so that only a dump can tell what is there.
    pub fn doubt(&self) -> Option<&'static str> {
        self.doubt
    }

    /// Forgets what was refused, so that it is tried again.
    pub fn retry(&mut self) {
        self.refused.clear();
    }

    /// What the kernel refuses, by object.
    pub fn refusals(&self) -> &BTreeMap<Key, Refusal> {
        &self.refused
    }

    /// What waits for a link that is not there, and for which.
    pub fn waiting(&self) -> Vec<(Key, LinkName)> {
        let steps = self.table.plan();
        steps
            .iter()
            .filter_map(|step| self.awaits(step).map(|link| (step.key().clone(), link.clone())))
            .collect()
    }

    fn awaits<'a>(&self, step: &'a Operation) -> Option<&'a LinkName> {
        step_needs(step).iter().find(|name| !self.links.contains(*name))
    }

    /// What the kernel has of an object of ours.
    pub fn present(&self, key: &Key) -> Option<&Object> {
        self.table.present(key)
    }

    /// All that the kernel has of ours.
    pub fn present_objects(&self) -> impl Iterator<Item = &Object> {
        self.table.all_present().map(|(_, object)| object)
    }

    /// The states that were found at start and are not replaced yet.
    pub fn adopted_states(&self) -> impl Iterator<Item = &XfrmState> {
        let adopted = self
            .table
            .all_adopted()
            .filter(|key| matches!(key, Key::State(_)));
        adopted.filter_map(|key| match self.table.present(key) {
            Some(Object::State(state)) => Some(state),
            _ => None,
        })
    }

    /// Interface ids of the states that were found at start and are not replaced yet.
    pub fn adopted_children(&self) -> BTreeSet<u32> {
        self.adopted_states().map(|state| state.interface_id).collect()
    }
}
