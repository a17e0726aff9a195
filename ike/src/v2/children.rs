//! The Child SAs of one IKE SA, by the traffic that they carry.

use std::time::Instant;

use super::child::Child;
use crate::ChildId;
use crate::selector::Selectors;

/// Every Child SA of one IKE SA.
#[derive(Debug, Default)]
pub(crate) struct Children {
    slots: Vec<Slot>,
    /// Deleted; they receive what is under way.
    pub(crate) departed: Vec<Departed>,
    /// When packets leave by the current ones, and no longer by those of an IKE SA before this one.
    pub(crate) handover: Option<Instant>,
}

/// A Child SA that both sides deleted, or that the peer forgot, and that receives what was sent before.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) id: ChildId,
    /// The SPI that we receive on.
    pub(crate) inbound: u32,
    /// How long it receives.
    pub(crate) until: Instant,
}

/// The Child SAs of one set of selectors: one carries its traffic; the others go.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The one that carries traffic.
    pub(crate) current: Option<Child>,
    /// Replaced, or made by the peer to replace it; those that are left go with a Delete of either side.
    pub(crate) others: Vec<Child>,
    /// What it is for leaves by a child of another IKE SA.
    yields: bool,
}

impl Slot {
    /// All that it has, the current one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.current.iter().chain(&self.others)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.current.iter_mut().chain(&mut self.others)
    }

    /// This one carries traffic from now on; the one before it is to go, at `end` at the latest.
    pub(crate) fn succeed(&mut self, child: Child, end: Instant) {
        if let Some(mut old) = self.current.replace(child) {
            old.lifetime.end = end.min(old.lifetime.end);
            self.others.push(old);
        }
    }

    fn take(&mut self, is_it: &impl Fn(&Child) -> bool) -> Option<Child> {
        if let Some(child) = self.current.take_if(|child| is_it(child)) {
            return Some(child);
        }
        let place = self.others.iter().position(is_it)?;
        let taken = self.others.remove(place);
        self.others.shrink_to_fit();
        Some(taken)
    }
}

impl Children {
    /// All of them, whatever they are there for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().flat_map(Slot::iter)
    }

    /// The one with this id.
    pub(crate) fn get_mut(&mut self, id: ChildId) -> Option<&mut Child> {
        let mut all = self.slots.iter_mut().flat_map(Slot::iter_mut);
        all.find(|child| child.id == id)
    }

    /// Those that carry traffic.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().filter_map(|slot| slot.current.as_ref())
    }

    /// Those that carry traffic.
    pub(crate) fn current_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.slots.iter_mut().filter_map(|slot| slot.current.as_mut())
    }

    /// Those that are to go, or may be.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().flat_map(|slot| &slot.others)
    }

    /// Whether one carries traffic.
    pub(crate) fn carry(&self) -> bool {
        self.current().next().is_some()
    }

    /// The child that carries traffic and that we receive on under this SPI.
    pub(crate) fn current_by_spi(&self, inbound: u32) -> Option<&Child> {
        self.current().find(|child| child.agreed.inbound == inbound)
    }

    /// The current child that we receive on under this SPI.
    pub(crate) fn current_by_spi_mut(&mut self, inbound: u32) -> Option<&mut Child> {
        self.current_mut().find(|child| child.agreed.inbound == inbound)
    }

    /// What belongs together with the child that we receive on under this SPI.
    pub(crate) fn slot_of(&mut self, inbound: u32) -> Option<&mut Slot> {
        let holds = |slot: &&mut Slot| slot.iter().any(|child| child.agreed.inbound == inbound);
        self.slots.iter_mut().find(holds)
    }

    /// A child of ours carries the traffic from now on, in the place of `old` if that is still there; that one is to go,
    /// at `end` at the latest.
    pub(crate) fn succeed(&mut self, (old, end): (Option<u32>, Instant), child: Child) {
        match old.and_then(|old| self.slot_of(old)) {
            Some(slot) => slot.succeed(child, end),
            None => self.begin(child),
        }
    }

    /// A child that the peer made waits, beside `old` if it is to replace that.
    pub(crate) fn join(&mut self, old: Option<u32>, child: Child) {
        match old.and_then(|old| self.slot_of(old)) {
            Some(slot) => slot.others.push(child),
            None => self.slots.push(Slot {
                current: None,
                others: vec![child],
                yields: false,
            }),
        }
    }

    /// The current child that lets the same through.
    pub(crate) fn twin(&self, selectors: &Selectors) -> Option<&Child> {
        self.current()
            .find(|child| child.agreed.selectors.are_those_of(selectors))
    }

    /// Whether a child of this line carries traffic, or soon will.
    pub(crate) fn serve(&self, line: usize) -> bool {
        let mut coming = self.others().filter(|child| child.installed.is_none());
        let of_line = |child: &Child| child.agreed.line == Some(line);
        self.current().any(of_line) || coming.any(of_line)
    }

    /// Whether the datapath carries a child of this line.
    pub(crate) fn carry_line(&self, line: usize) -> bool {
        let of_line = |child: &Child| child.agreed.line == Some(line) && child.installed.is_some();
        self.current().any(of_line)
    }

    /// How many sets of selectors there are, and how many children.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.slots.len(), self.iter().count())
    }

    /// Takes one child out, whichever it is.
    pub(crate) fn take(&mut self, is_it: impl Fn(&Child) -> bool) -> Option<Child> {
        let taken = self.slots.iter_mut().find_map(|slot| slot.take(&is_it));
        self.slots.retain(|slot| slot.iter().next().is_some());
        taken
    }

    /// Takes all of them out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Child> {
        let slots = std::mem::take(&mut self.slots).into_iter();
        slots.flat_map(|slot| slot.current.into_iter().chain(slot.others))
    }

    /// The first child of its selectors carries their traffic.
    pub(crate) fn begin(&mut self, child: Child) {
        let (current, others) = (Some(child), Vec::new());
        // Nearly always there is only this one, and rooms for four take half of an IKE SA's memory.
        self.slots.reserve_exact(1);
        self.slots.push(Slot {
            current,
            others,
            yields: false,
        });
    }

    /// A child that the peer made becomes the one that carries traffic, in the place of `old`; what is to go is gone at
    /// `end` at the latest.
    pub(crate) fn adopt(&mut self, id: ChildId, (old, end): (Option<u32>, Instant)) {
        for slot in &mut self.slots {
            let Some(place) = slot.others.iter().position(|child| child.id == id) else {
                continue;
            };
            let mut made = slot.others.remove(place);
            if slot
                .current
                .as_ref()
                .is_none_or(|child| Some(child.agreed.inbound) == old)
            {
                slot.succeed(made, end);
            } else {
                made.lifetime.end = end.min(made.lifetime.end);
                slot.others.push(made);
            }
        }
    }

    /// Packets leave no longer by the child that we receive on under this SPI.
    pub(crate) fn stop_sending(&mut self, inbound: u32) {
        let mut all = self.slots.iter_mut().flat_map(Slot::iter_mut);
        if let Some(child) = all.find(|child| child.agreed.inbound == inbound) {
            child.sends = false;
        }
    }

    /// Where the current child is carried, no other of the same selectors sends.
    pub(crate) fn leave_to_current(&mut self) {
        for slot in &mut self.slots {
            if slot
                .current
                .as_ref()
                .is_some_and(|child| child.installed.is_some())
            {
                slot.others.iter_mut().for_each(|child| child.sends = false);
            }
        }
    }

    /// What passes by the child that we receive on under this SPI leaves by one of another IKE SA until that is over.
    pub(crate) fn yield_to_another(&mut self, inbound: u32) {
        if let Some(slot) = self.slot_of(inbound) {
            slot.yields = true;
            slot.iter_mut().for_each(|child| child.sends = false);
        }
    }

    /// There is no other IKE SA any more by whose children anything leaves.
    pub(crate) fn yield_no_longer(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.yields = false);
    }

    /// Whether what passes by the child that we receive on under this SPI leaves by one of another IKE SA.
    pub(crate) fn yields(&mut self, inbound: u32) -> bool {
        self.slot_of(inbound).is_some_and(|slot| slot.yields)
    }

    /// Whether packets leave by a child that lets the same through.
    pub(crate) fn send(&self, selectors: &Selectors) -> bool {
        let alike = |child: &&Child| child.agreed.selectors.are_those_of(selectors);
        self.iter().filter(alike).any(Child::carries)
    }

    /// Where no child sends, the current one does from now on, if the datapath carries it.
    pub(crate) fn senders(&mut self) -> Vec<ChildId> {
        let silent = self
            .slots
            .iter_mut()
            .filter(|slot| !slot.yields && !slot.iter().any(|child| child.sends));
        let carried =
            silent.filter_map(|slot| slot.current.as_mut().filter(|child| child.installed.is_some()));
        let begin = carried.map(|child| {
            child.sends = true;
            child.id
        });
        begin.collect()
    }

    /// The names of all of them, those included that only receive what is under way.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ChildId> {
        let departed = self.departed.iter().map(|child| child.id);
        self.iter().map(|child| child.id).chain(departed)
    }

    /// Where nothing carries traffic, the newest child that the datapath carries and that nobody deletes does.
    pub(crate) fn promote(&mut self, deleting: impl Fn(u32) -> bool) {
        let fit = |child: &Child| child.installed.is_some() && !deleting(child.agreed.inbound);
        for slot in self.slots.iter_mut().filter(|slot| slot.current.is_none()) {
            if let Some(place) = slot.others.iter().rposition(fit) {
                slot.current = Some(slot.others.remove(place));
            }
        }
    }
}
