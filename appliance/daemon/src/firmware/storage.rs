use std::fs;

use nix::sys::statvfs::statvfs;
use tracing::warn;

use super::owner::Firmware;
use crate::chronicle::News;

/// Where less is free, what is changed may not be kept.
const SPARE: u64 = 4 << 20;

/// How the state partition does.
#[derive(Debug)]
pub(crate) struct Storage {
    /// Octets that it has.
    pub(crate) size: u64,
    /// Octets that are free.
    pub(crate) free: u64,
    /// What is amiss: the reason word, and words for people.
    pub(crate) amiss: Option<(String, String)>,
}

impl Firmware {
    /// What `/etc/start` of the image found and did before this daemon was there, if anything.
    fn found(&self) -> Option<(String, String)> {
        let text = fs::read_to_string(self.slots.file("storage")).ok()?;
        let (word, detail) = text.split_once('\n')?;
        Some((word.to_owned(), detail.trim().to_owned()))
    }

    /// Tells that as an event.
    pub(super) fn tell_found(&self) {
        if let Some((word, detail)) = self.found() {
            warn!(reason = word, detail, "storage");
            self.sources
                .teller
                .tell(News::new("storage").object(word).detail(detail));
        }
    }

    /// How it does now; what lacks room comes first.
    pub(crate) fn storage(&self) -> Storage {
        let told = statvfs(&self.slots.file("notes")).ok();
        let octets = |blocks: u64| told.map_or(0, |told| blocks.saturating_mul(told.fragment_size()));
        let size = octets(told.map_or(0, |told| told.blocks()));
        let free = octets(told.map_or(0, |told| told.blocks_available()));
        let is_full = told.is_some() && free < SPARE;
        let full = is_full.then(|| {
            let detail = format!("{free} octets of {size} are free: what is changed may not be kept");
            ("state-full".to_owned(), detail)
        });
        Storage {
            size,
            free,
            amiss: full.or_else(|| self.found()),
        }
    }
}
