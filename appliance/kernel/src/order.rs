//! The order of steps across classes.

use crate::link::LinkKind;
use crate::object::{Key, Object};
use crate::owned::Op;

/// One step of the kernel.
pub type Operation = Op<Key, Object>;

/// Where a step stands: lower goes first.
///
/// Routes of last resort come before everything and leave after everything, so that no step in between can
/// let a packet out in clear text. What a new link could clash with goes before it is made; new states and addresses
/// are there before old ones leave. A VLAN needs its parent, as it is to be. The table that translates comes after all by which
/// it leads packets on, and goes, or leads them no longer, before that does. Both tables are changed together: the one that
/// translates has nothing in a plan then that it relies on, and what the other one keeps closed until then is all that ways
/// led to that are gone by now.
pub fn rank(operation: &Operation) -> u8 {
    match operation {
        Op::Replace {
            to: Object::Ruleset(_) | Object::Translation(_),
            ..
        } => 3,
        Op::Create(_, object) | Op::Replace { to: object, .. } => match object {
            object if object.is_last_resort() => 0,
            Object::Ruleset(_) | Object::Firewall(_) => 3,
            Object::Link(link) if matches!(link.kind, LinkKind::Vlan { .. }) => 5,
            Object::Link(_) => 4,
            Object::Address(_) => 6,
            Object::State(_) => 7,
            Object::Policy(_) => 8,
            // What a table is for is there before the table is.
            Object::Rule(_) => 9,
            Object::Route(_) => 10,
            Object::Translation(_) => 11,
        },
        Op::Delete(_, object) => match object {
            object if object.is_last_resort() => 18,
            object if object.is_for_translation() => 12,
            Object::Translation(_) => 1,
            Object::Route(_) => 2,
            Object::Link(_) => 3,
            Object::Rule(_) => 13,
            Object::Address(_) => 14,
            Object::Policy(_) => 15,
            Object::State(_) => 16,
            Object::Ruleset(_) | Object::Firewall(_) => 17,
        },
    }
}
