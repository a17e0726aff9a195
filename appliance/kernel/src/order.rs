//! The order of steps across classes.

use crate::object::{Key, Object};
use crate::owned::Op;

/// One step of the kernel.
pub type Operation = Op<Key, Object>;

/// Where a step stands: lower goes first.
///
/// Routes of last resort come before everything and leave after everything, so that no step in between can
/// let a packet out in clear text. What a new link could clash with goes before it is made; new states are
/// there before old ones leave.
pub fn rank(operation: &Operation) -> u8 {
    match operation {
        Op::Create(_, object) | Op::Replace { to: object, .. } => match object {
            object if object.is_last_resort() => 0,
            Object::Ruleset(_) => 4,
            Object::Link(_) => 5,
            Object::Address(_) => 6,
            Object::State(_) => 7,
            Object::Policy(_) => 8,
            Object::Route(_) => 9,
        },
        Op::Delete(_, object) => match object {
            object if object.is_last_resort() => 13,
            Object::Route(_) => 1,
            Object::Address(_) => 2,
            Object::Link(_) => 3,
            Object::Policy(_) => 10,
            Object::State(_) => 11,
            Object::Ruleset(_) => 12,
        },
    }
}
