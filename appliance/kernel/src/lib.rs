//! Kernel objects over netlink, reconciled.
