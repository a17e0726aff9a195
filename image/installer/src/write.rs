//! Writing to a disk, and reading back what was written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use image_slots::Piece;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use thiserror::Error;

use crate::material::Material;
use crate::plan::Write;

/// Octets that are read or written at once.
const PART: usize = 1 << 20;
/// After so many octets they are on the disk, so that what waits in memory stays little.
const FLUSH: u64 = 16 << 20;

/// Why a disk was not written to its end.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    #[error("the stick cannot be read: {0}")]
    Stick(io::Error),
    #[error("what is on the stick is damaged: make it anew")]
    Damaged,
    #[error("the disk cannot be opened: {0}")]
    Open(io::Error),
    #[error("the disk does not take what is written at octet {0}: {1}")]
    Disk(u64, io::Error),
    #[error("the disk gives back something else than was written, at octet {0}")]
    Changed(u64),
    #[error("the state partition {0}")]
    State(String),
}

/// Where the system comes from, and what is told meanwhile.
pub(crate) struct Source<'s> {
    pub(crate) material: &'s Material,
    /// The partition of the stick.
    pub(crate) stick: &'s Path,
    /// Told of every tenth of the system, in percent.
    pub(crate) progress: &'s mut dyn FnMut(u64),
}

/// Does all of it in its order.
///
/// # Errors
/// At the first thing that goes wrong; nothing behind it is done then.
pub(crate) fn perform(disk: &Path, writes: &[Write], source: &mut Source<'_>) -> Result<(), InstallError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(disk)
        .map_err(InstallError::Open)?;
    let mut unsettled = Vec::new();
    for write in writes {
        match write {
            Write::Zeros(start, length) => fill(&file, *start, *length)?,
            Write::Octets(start, octets) => put(&file, *start, octets)?,
            Write::System(start) => system(&file, *start, source)?,
            Write::Settle => {
                let read_back = || {
                    file.sync_all()?;
                    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
                    Ok(())
                };
                read_back().map_err(|error| InstallError::Disk(0, error))?;
                for write in std::mem::take(&mut unsettled) {
                    check(&file, write, source.material)?;
                }
                continue;
            }
        }
        unsettled.push(write);
    }
    Ok(())
}

fn put(file: &File, start: u64, octets: &[u8]) -> Result<(), InstallError> {
    file.write_all_at(octets, start)
        .map_err(|error| InstallError::Disk(start, error))
}

fn fill(file: &File, start: u64, length: u64) -> Result<(), InstallError> {
    let zeros = vec![0; PART];
    for (at, size) in parts(start, length) {
        put(file, at, zeros.get(..size).unwrap_or(&zeros))?;
    }
    Ok(())
}

/// A stretch of the disk, a part at a time.
fn parts(start: u64, length: u64) -> impl Iterator<Item = (u64, usize)> {
    (start..start.saturating_add(length))
        .step_by(PART)
        .map(move |at| {
            let left = start.saturating_add(length) - at;
            (at, usize::try_from(left).unwrap_or(PART).min(PART))
        })
}

fn system(file: &File, start: u64, source: &mut Source<'_>) -> Result<(), InstallError> {
    let mut from = File::open(source.stick).map_err(InstallError::Stick)?;
    let mut decoder = source.material.decoder();
    let size = source.material.manifest.size;
    let (mut part, mut done, mut unflushed) = (vec![0; PART], 0, 0);
    while done < size {
        let length = usize::try_from(size - done).unwrap_or(PART).min(PART);
        let octets = part.get_mut(..length).ok_or(InstallError::Damaged)?;
        from.read_exact(octets).map_err(InstallError::Stick)?;
        let Ok(Piece::System(octets)) = decoder.next(&mut &*octets) else {
            return Err(InstallError::Damaged);
        };
        put(file, start + done, octets)?;
        let written = u64::try_from(octets.len()).unwrap_or_default();
        let before = done * 10 / size;
        (done, unflushed) = (done + written, unflushed + written);
        if unflushed >= FLUSH {
            file.sync_data()
                .map_err(|error| InstallError::Disk(start + done, error))?;
            unflushed = 0;
        }
        if done * 10 / size > before {
            (source.progress)(done * 10 / size * 10);
        }
    }
    decoder.finish().map_err(|_| InstallError::Damaged)
}

/// Whether the disk, and not memory, has what was written.
fn check(file: &File, write: &Write, material: &Material) -> Result<(), InstallError> {
    let compare = |start: u64, expected: &[u8]| {
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, start)
            .map_err(|error| InstallError::Disk(start, error))?;
        if found == expected {
            Ok(())
        } else {
            Err(InstallError::Changed(start))
        }
    };
    match write {
        Write::Zeros(start, length) => {
            let zeros = vec![0; PART];
            parts(*start, *length).try_for_each(|(at, size)| compare(at, zeros.get(..size).unwrap_or(&zeros)))
        }
        Write::Octets(start, octets) => compare(*start, octets),
        Write::System(start) => {
            let read = || {
                let mut from = BufReader::with_capacity(PART, file.try_clone()?);
                from.seek(SeekFrom::Start(*start))?;
                material.manifest.content.is_read_from(&mut from, &material.keys)
            };
            match read().map_err(|error| InstallError::Disk(*start, error))? {
                true => Ok(()),
                false => Err(InstallError::Changed(*start)),
            }
        }
        Write::Settle => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::material::tests::material;

    fn done(disk: &Path, writes: &[Write]) -> Result<(), InstallError> {
        let (material, mut progress) = (material(), |_| ());
        let stick = Path::new("/dev/null");
        perform(
            disk,
            writes,
            &mut Source {
                material: &material,
                stick,
                progress: &mut progress,
            },
        )
    }

    #[test]
    fn what_is_written_is_read_back() {
        let work = tempfile::tempdir().unwrap();
        let disk = work.path().join("disk");
        fs::write(&disk, vec![0xee; 3 << 20]).unwrap();
        let writes = [
            Write::Zeros(0, 2 << 20),
            Write::Octets(2 << 20, vec![5; 4096]),
            Write::Settle,
        ];
        done(&disk, &writes).unwrap();
        let found = fs::read(&disk).unwrap();
        assert!(found[..2 << 20].iter().all(|octet| *octet == 0));
        assert_eq!((found[2 << 20], found[(2 << 20) + 4096]), (5, 0xee));
        let overwritten = [
            Write::Octets(0, vec![1; 512]),
            Write::Octets(0, vec![2; 512]),
            Write::Settle,
        ];
        assert!(matches!(done(&disk, &overwritten), Err(InstallError::Changed(0))));
    }

    /// A disk that takes nothing more, and a stick that ends too early.
    #[test]
    fn faults_end_it_and_are_told() {
        let full = done(Path::new("/dev/full"), &[Write::Octets(0, vec![1; 512])]).unwrap_err();
        assert!(full.to_string().starts_with("the disk does not take"), "{full}");
        let missing = done(Path::new("/nowhere"), &[Write::Settle]).unwrap_err();
        assert!(matches!(missing, InstallError::Open(_)), "{missing}");
        let work = tempfile::tempdir().unwrap();
        let disk = work.path().join("disk");
        fs::write(&disk, []).unwrap();
        let short = done(&disk, &[Write::System(0), Write::Settle]).unwrap_err();
        assert!(matches!(short, InstallError::Stick(_)), "{short}");
    }

    /// Octets on the stick that are not those that were signed are never called a system.
    #[test]
    fn a_damaged_stick_is_told() {
        let work = tempfile::tempdir().unwrap();
        let (disk, stick) = (work.path().join("disk"), work.path().join("stick"));
        fs::write(&disk, []).unwrap();
        let (material, mut progress) = (material(), |_| ());
        let mut system = vec![0x55; 8192];
        let mut copy = |system: &[u8]| {
            fs::write(&stick, system).unwrap();
            let mut source = Source {
                material: &material,
                stick: &stick,
                progress: &mut progress,
            };
            perform(&disk, &[Write::System(0)], &mut source)
        };
        copy(&system).unwrap();
        system[5000] ^= 1;
        let damaged = copy(&system).unwrap_err();
        assert!(matches!(damaged, InstallError::Damaged), "{damaged}");
    }
}
