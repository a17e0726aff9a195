use std::sync::Arc;

use appliance_esp::Notice;

use super::kernel_children::KernelChildren;
use super::user_children::UserChildren;
use crate::datapath::Kind;

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

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Kernel(_) => Kind::Kernel,
            Self::User(_) => Kind::User,
        }
    }
}
