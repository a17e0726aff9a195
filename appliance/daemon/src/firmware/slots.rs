use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image_slots::{Content, PublicKey, SECTOR, Slot, Table};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// The largest partition that is looked through for the table, in octets.
const ENVIRONMENT: u64 = 16 << 20;
/// How much of a slot is read at once, in octets.
const READ_AT_ONCE: usize = 1 << 20;

/// The disk of the machine, as `/etc/start` of the image lays it out in a folder: links `environment`, `slot-a` and `slot-b` to
/// the partitions, the letter of the slot that runs in `slot`, and in `keys` those that may sign.
#[derive(Debug)]
pub(super) struct Slots {
    folder: PathBuf,
    /// What runs.
    pub(super) runs: Slot,
    /// Who may sign a bundle.
    pub(super) keys: Vec<PublicKey>,
    /// Where the table is in its partition, in octets.
    place: u64,
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// What asks for a factory reset, in the last sector of the table's partition: `/etc/slots` of the image reads it.
const RESET: &[u8] = b"causeway-factory-reset";

impl Slots {
    /// Nothing where this machine has none.
    pub(super) fn open(folder: &Path) -> io::Result<Option<Self>> {
        let runs = match fs::read_to_string(folder.join("slot")) {
            Ok(letter) => Slot::named(letter.trim()).ok_or_else(|| invalid("no slot is called so"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let keys = PublicKey::all(&fs::read_to_string(folder.join("keys"))?);
        let mut partition = Vec::new();
        let file = File::open(folder.join("environment"))?;
        file.take(ENVIRONMENT).read_to_end(&mut partition)?;
        let (place, _) = Table::find(&partition).ok_or_else(|| invalid("there is no slot table"))?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            runs,
            keys: keys.ok_or_else(|| invalid("the keys are none"))?,
            place,
        }))
    }

    /// A file beside the links.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn device(&self, slot: Slot) -> PathBuf {
        self.folder.join(format!("slot-{}", slot.letter()))
    }

    /// What the boot loader would act on now.
    pub(super) fn table(&self) -> io::Result<Table> {
        let mut block = [0; SECTOR];
        let file = File::open(self.folder.join("environment"))?;
        file.read_exact_at(&mut block, self.place)?;
        Table::decode(&block).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Has the boot loader act on this from now on: one sector, which a disk writes whole or not at all.
    pub(super) fn write(&self, table: &Table) -> io::Result<()> {
        let block = table.encode();
        let sector = block.get(..SECTOR).unwrap_or(&block);
        let file = OpenOptions::new()
            .write(true)
            .open(self.folder.join("environment"))?;
        file.write_all_at(sector, self.place)?;
        file.sync_all()
    }

    /// Has the next start wipe the state: one sector, which a disk writes whole or not at all.
    pub(super) fn ask_for_reset(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .open(self.folder.join("environment"))?;
        let mut sector = [0; SECTOR];
        for (octet, wanted) in sector.iter_mut().zip(RESET) {
            *octet = *wanted;
        }
        let back = i64::try_from(SECTOR).map_err(|_| invalid("no sector is so long"))?;
        file.seek(SeekFrom::End(-back))?;
        file.write_all(&sector)?;
        file.sync_all()
    }

    /// Octets that a slot has room for.
    pub(super) fn room(&self, slot: Slot) -> io::Result<u64> {
        File::open(self.device(slot))?.seek(SeekFrom::End(0))
    }

    /// To write a slot from its beginning.
    pub(super) fn writer(&self, slot: Slot) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.device(slot))
    }

    /// Whether the disk, and not memory, has in this slot what is told of it: each block by its hash, up to the root, and the seal of that.
    pub(super) fn holds(&self, slot: Slot, content: &Content) -> io::Result<bool> {
        let file = File::open(self.device(slot))?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        content.is_read_from(&mut BufReader::with_capacity(READ_AT_ONCE, file), &self.keys)
    }
}
