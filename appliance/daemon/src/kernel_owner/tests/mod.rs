//! The owner over a kernel in memory.

mod children;
mod interfaces;
mod learnt;
mod restart;
mod rig;
mod sites;
mod translation;
