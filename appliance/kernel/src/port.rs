//! The kernel, or a fake one: who performs what was planned.

use crate::fake::FakeKernel;
use crate::kernel::Dump;
use crate::netlink::Netlink;
use crate::order::Operation;
use crate::refusal::Refusal;
use crate::translation::Translation;

#[derive(Debug)]
pub(crate) enum Port {
    Netlink(Box<Netlink>),
    Fake(FakeKernel),
}

impl Port {
    pub(crate) async fn dump(&mut self) -> Result<Dump, Refusal> {
        match self {
            Port::Netlink(netlink) => netlink.dump().await,
            Port::Fake(fake) => Ok(fake.dump()),
        }
    }

    pub(crate) async fn perform(&mut self, step: &Operation) -> Result<(), Refusal> {
        match self {
            Port::Netlink(netlink) => netlink.perform(step).await,
            Port::Fake(fake) => fake.perform(step),
        }
    }

    /// Whether these two steps are done by now, as they go together.
    pub(crate) async fn replace_tables(&mut self, one: &Operation, other: &Operation) -> bool {
        match self {
            Port::Netlink(netlink) => netlink.replace_tables(one, other).await,
            Port::Fake(_) => false,
        }
    }

    /// Tries the table that translates while something else is done, which comes before it.
    pub(crate) fn try_beside(&mut self, translation: &Translation) {
        match self {
            Port::Netlink(netlink) => netlink.try_beside(translation),
            Port::Fake(_) => {}
        }
    }

    /// What was tried is not made.
    pub(crate) fn try_nothing(&mut self) {
        match self {
            Port::Netlink(netlink) => netlink.try_nothing(),
            Port::Fake(_) => {}
        }
    }

    pub(crate) async fn perform_together(&mut self, steps: &[Operation]) -> Vec<Result<(), Refusal>> {
        match self {
            Port::Netlink(netlink) => netlink.perform_together(steps).await,
            Port::Fake(fake) => steps.iter().map(|step| fake.perform(step)).collect(),
        }
    }
}
