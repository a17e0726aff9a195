//! The A/B slots of the firmware image as data, for the builder and the machine: pure.

mod bundle;
mod choose;
mod environment;
mod hexadecimal;
mod seal;
mod table;
mod tree;

pub use bundle::{BundleError, Decoder, MAGIC, Manifest, Piece, PublicKey, SIGNATURE};
pub use choose::{Start, next_start};
pub use environment::{BLOCK, EnvironmentError, SECTOR};
pub use seal::hashes;
pub use table::{Content, Slot, TRIES, Table, Transition};
pub use tree::{HASH_BLOCK, Root, Tree};
