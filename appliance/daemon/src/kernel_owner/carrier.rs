use std::collections::BTreeMap;
use std::sync::Arc;

use appliance_esp::Notice;
use appliance_kernel::Kernel;
use ike::ChildId;

use super::kernel_children::KernelChildren;
use super::user_children::UserChildren;
use crate::datapath::{Counters, Kind};

/// What carries ESP.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// States and policies of the kernel.
    Kernel(KernelChildren),
    /// Our own workers.
    User(UserChildren),
}

impl Carrier {
    /// The kernel, carrying nothing yet.
    pub(crate) fn kernel() -> Self {
        Self::Kernel(KernelChildren::default())
    }

    /// Our own workers, carrying nothing yet.
    pub(crate) fn user(datapath: Arc<appliance_esp::Datapath>, notices: appliance_esp::Notices) -> Self {
        Self::User(UserChildren::new(datapath, notices))
    }

    /// What our own workers tell unasked; the kernel has a way of its own.
    pub(super) async fn notice(&mut self) -> Notice {
        match self {
            Self::Kernel(_) => std::future::pending().await,
            Self::User(children) => children.notice().await,
        }
    }

    /// Takes a child away, and tells what it carried.
    pub(super) async fn remove(&mut self, kernel: &mut Kernel, id: ChildId) -> Option<Counters> {
        let last = self.counters_of(kernel, id).await;
        match self {
            Self::Kernel(children) => children.remove(kernel, id).await,
            Self::User(children) => children.remove(id),
        }
        last
    }

    /// What one child carried.
    pub(super) async fn counters_of(&self, kernel: &mut Kernel, id: ChildId) -> Option<Counters> {
        match self {
            Self::Kernel(children) => children.counters_of(kernel, id).await,
            Self::User(children) => children.counters_of(id),
        }
    }

    /// What each child carried.
    pub(super) async fn counters(&self, kernel: &mut Kernel) -> BTreeMap<ChildId, Counters> {
        match self {
            Self::Kernel(children) => children.counters(kernel).await,
            Self::User(children) => children.counters(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Kernel(_) => Kind::Kernel,
            Self::User(_) => Kind::User,
        }
    }
}
