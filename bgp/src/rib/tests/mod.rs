//! What neighbours send, what is chosen, what neighbours are sent.

mod model;
mod properties;
mod replay;
mod world;
