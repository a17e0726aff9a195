//! What happens, numbered: kept for a while, told to whoever listens, and found again after a start.

mod event;
mod news;
mod owner;
mod ring;
mod select;
mod storage;

pub(crate) use event::{Event, Told};
#[cfg(test)]
pub(crate) use news::Heard;
pub(crate) use news::{News, Teller};
pub(crate) use owner::{Chronicle, Followed, Question};
pub(crate) use ring::{Gap, Page};
pub(crate) use select::{From, Select};
pub(crate) use storage::Storage;
