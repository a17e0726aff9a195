use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use image_slots::{BundleError, Content, Decoder, Manifest, Piece, Transition};

use super::fault::FirmwareFault;
use super::owner::{Firmware, Held};
use super::progress::{Progress, Stage};

/// After so many octets they are on the disk, so that what waits in memory stays little.
const FLUSH: u64 = 4 << 20;

/// A bundle on its way into the idle slot. May wait for the disk.
pub(crate) struct Writing {
    firmware: Arc<Firmware>,
    _held: Held,
    decoder: Decoder,
    allow_downgrade: bool,
    into: Option<(File, Manifest)>,
    unflushed: u64,
}

impl Writing {
    /// One may be under way at a time, and only where what runs is known to work.
    pub(crate) fn begin(firmware: &Arc<Firmware>, allow_downgrade: bool) -> Result<Self, FirmwareFault> {
        let held = firmware.hold()?;
        firmware.settled()?;
        firmware.set(Progress::at(Stage::Receiving));
        Ok(Self {
            firmware: firmware.clone(),
            _held: held,
            decoder: Decoder::new(firmware.slots.keys.clone()),
            allow_downgrade,
            into: None,
            unflushed: 0,
        })
    }

    /// The next octets of the bundle.
    pub(crate) fn take(&mut self, mut octets: &[u8]) -> Result<(), FirmwareFault> {
        loop {
            match self.decoder.next(&mut octets)? {
                Piece::Nothing => return Ok(()),
                Piece::Manifest(manifest) => self.admit(manifest)?,
                Piece::System(system) => {
                    let Some((file, _)) = &mut self.into else {
                        return Err(FirmwareFault::SlotEmpty);
                    };
                    file.write_all(system)?;
                    let written = u64::try_from(system.len()).unwrap_or_default();
                    self.unflushed += written;
                    if self.unflushed >= FLUSH {
                        file.sync_data()?;
                        self.unflushed = 0;
                    }
                    self.firmware.change(|progress| progress.received += written);
                }
            }
        }
    }

    /// What is in the idle slot stops counting before its first octet is written.
    fn admit(&mut self, manifest: Manifest) -> Result<(), FirmwareFault> {
        let slots = &self.firmware.slots;
        let (table, idle) = (slots.table()?, slots.runs.other());
        let running = table.content(slots.runs).ok_or(FirmwareFault::OnTrial)?;
        manifest.admit(running, slots.room(idle)?, self.allow_downgrade)?;
        self.firmware.change(|progress| {
            progress.size = manifest.size;
            progress.content = Some(manifest.content.clone());
        });
        slots.write(&table.after(Transition::Writing))?;
        self.into = Some((slots.writer(idle)?, manifest));
        Ok(())
    }

    /// All octets came: what the disk has is checked, and counts from now on.
    pub(crate) fn finish(self) -> Result<Content, FirmwareFault> {
        self.decoder.finish()?;
        let (file, manifest) = self.into.ok_or(BundleError::Truncated { missing: 0 })?;
        self.firmware.change(|progress| progress.stage = Stage::Checking);
        file.sync_all()?;
        let slots = &self.firmware.slots;
        if !slots.holds(slots.runs.other(), &manifest.content)? {
            return Err(FirmwareFault::NotWritten);
        }
        let written = Transition::Written(manifest.content.clone());
        slots.write(&slots.table()?.after(written))?;
        self.firmware.change(|progress| progress.stage = Stage::Ready);
        Ok(manifest.content)
    }
}
