//! The user-space ESP datapath.
