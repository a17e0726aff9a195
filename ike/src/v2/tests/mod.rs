//! Exchanges that our own engine never starts, sent by one that has its keys.

mod children;
mod messages;
mod two;
