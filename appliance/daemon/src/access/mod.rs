//! Who may do what, and how they show who they are: pure parts first, put together in [`Access`].

mod caller;
mod claim;
mod denial;
mod guard;
mod password;
mod policy;
mod refusals;
mod routes;
mod session;
mod sign_in;
mod throttle;
mod token;

pub(crate) use caller::{Arrival, Caller, Identity, Proof, Verified};
pub(crate) use denial::{Denial, seconds};
pub(crate) use guard::{Access, Shown};
pub(crate) use policy::{LocalDevice, Policy};
pub(crate) use routes::{Log, Needs, Rule, knows, rule};
pub(crate) use session::csrf_token;
pub(crate) use sign_in::Claim;
pub(crate) use token::{NewToken, role};
