//! Rules of translation of addresses, as a program of maps and chains for nftables.

mod carve;
mod compile;
mod difference;
mod evaluate;
mod listing;
mod numbers;
mod program;
mod render;
mod rule;

pub use compile::compile;
pub use evaluate::{Answered, End, Fired, Outcome, Packet, Passed, Source, Verdict};
pub use numbers::{BindingKey, Numbers, TooMany};
pub use program::{
    Action, Binding, By, Chain, Condition, Data, Element, Family, Field, Half, Hook, Key, Line, Map, Near,
    Place, Program, Side, Target, UNKNOWN, Value,
};
pub use render::{Counted, TABLE};
pub use rule::{Kind, Mode, Rule, Rules, Tunnel};
