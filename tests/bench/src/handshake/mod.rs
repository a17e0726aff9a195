//! IKEv2 handshakes by the hundred, and what they cost the responder.

mod initiators;
mod responder;
mod scene;

pub use initiators::{Initiators, Plan};
pub use responder::{Hub, Responder};
pub use scene::Scene;
