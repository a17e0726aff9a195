//! IKEv1 (RFC 2407 to 2409, RFC 3706, RFC 3947): phase 1 SAs, and the Child SAs that quick modes make.

mod aggressive;
mod aggressive_answer;
mod certificates;
mod channel;
mod connection;
mod dpd;
mod fragments;
mod hints;
mod identity;
mod informational;
mod keys;
mod main_answer;
mod main_mode;
mod method;
mod nat;
mod newcomer;
mod numbers;
pub(crate) mod phases;
mod proposal;
mod quick_answer;
mod quick_mode;
mod settlement;
mod signing;
mod state;
mod timers;
mod tunnel;
mod vendor;
