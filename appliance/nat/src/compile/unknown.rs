use super::Compiler;
use super::zone::inside;
use crate::program::{Action, By, Condition, Hook, Line, Side, UNKNOWN};

impl Compiler<'_> {
    /// What is of no known flow and begins none, such as an error about nothing or the end of a forgotten connection, cannot
    /// be translated. It is dropped where it would leave with addresses that mean something else there.
    pub(super) fn unknown(&mut self) {
        let lines = inside(By::Mark, Side::Destination, "ingress_external")
            .into_iter()
            .chain(inside(By::InLink, Side::Source, "ingress_internal"))
            .chain(inside(By::InLink, Side::Destination, "egress_external"))
            .chain(inside(By::OutLink, Side::Source, "egress_internal"))
            .map(|condition| Line {
                conditions: vec![Condition::Unknown, condition],
                actions: vec![Action::Hit(UNKNOWN.into()), Action::Drop],
            });
        self.hook(Hook::Passing, "what cannot be translated", lines.collect());
    }
}
