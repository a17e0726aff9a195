//! What neighbours send, what is chosen, what neighbours are sent.

mod compare;
mod flow;
mod model;
mod properties;
mod replay;
mod rules;
mod translation;
mod trial;
mod world;
