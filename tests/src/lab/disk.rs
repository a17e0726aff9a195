//! A disk of the virtual machine that loses, when the power is cut, what it was not told to flush.
//!
//! The emulator reaches it over the NBD protocol. What is written stays in a cache, as in a real disk, until a flush is
//! answered. When the machine dies, of each sector in the cache any version may be left, or the one that was flushed.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nbd::{self, Request};
use super::random::Random;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// A disk with a file system on it.
pub struct Disk {
    socket: PathBuf,
    state: Arc<Mutex<Platters>>,
}

/// What is on the disk, and what is only in its cache.
struct Platters {
    /// With an empty file system.
    empty: Vec<u8>,
    /// What the last power cut left.
    left: Vec<u8>,
    /// As a reader sees it.
    seen: Vec<u8>,
    /// What a power cut leaves for certain.
    flushed: Vec<u8>,
    cache: Vec<(usize, Vec<u8>)>,
    cut: Option<Cut>,
    fate: Random,
    losses: Losses,
}

/// When the power is to be cut.
#[derive(Clone, Copy)]
struct Cut {
    /// So many writes and flushes are still taken, the last of them without an answer; none once the emulator is killed.
    after: u64,
    emulator: Pid,
}

/// What was in the cache when machines died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Power cuts that were asked for and came.
    pub cuts: u64,
    /// Sectors that were only in the cache then, a sector that was written twice counted twice.
    pub cached: u64,
    /// Of these, those that were lost.
    pub lost: u64,
}

impl Disk {
    /// Makes a disk with an empty ext4 on it, which is served at `socket` as long as this program runs.
    ///
    /// # Errors
    /// When the file system cannot be made or the socket cannot be had.
    pub fn formatted(socket: &Path, octets: u64, seed: u64) -> Result<Self> {
        let image = socket.with_added_extension("image");
        fs::File::create(&image)?.set_len(octets)?;
        let mut format = Command::new("mkfs.ext4");
        format.args(["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0"]);
        let output = format.arg(&image).output().context("starting mkfs.ext4")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mkfs.ext4: {complaint}");
        let content = fs::read(&image)?;
        fs::remove_file(image)?;
        let disk = Self {
            socket: socket.to_owned(),
            state: Arc::new(Mutex::new(Platters::new(content, seed))),
        };
        let _left_by_the_one_before = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).with_context(|| socket.display().to_string())?;
        let state = Arc::clone(&disk.state);
        std::thread::spawn(move || serve(&listener, &state));
        Ok(disk)
    }

    /// Where the emulator finds it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Cuts the power of a machine in the middle of the `after`th write or flush from now on: the disk does nothing any
    /// more, and the emulator is killed.
    ///
    /// # Errors
    /// When that is no process.
    pub fn cut_after(&self, after: u64, emulator: u32) -> Result<()> {
        let emulator = Pid::from_raw(i32::try_from(emulator)?);
        lock(&self.state).cut = Some(Cut { after, emulator });
        Ok(())
    }

    /// Cuts the power of a machine now.
    ///
    /// # Errors
    /// When that is no process.
    pub fn cut(&self, emulator: u32) -> Result<()> {
        self.cut_after(0, emulator)?;
        let mut state = lock(&self.state);
        state.losses.cuts += 1;
        Ok(kill(Pid::from_raw(i32::try_from(emulator)?), Signal::SIGKILL)?)
    }

    /// Puts an empty file system on it; no machine may have it.
    pub fn empty(&self) {
        let mut state = lock(&self.state);
        state.flushed = state.empty.clone();
        state.seen = state.empty.clone();
    }

    /// Writes what the last machine left to a file, for those who look for the cause of a failure.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, &lock(&self.state).left)?)
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        lock(&self.state).losses
    }
}

fn lock(state: &Mutex<Platters>) -> MutexGuard<'_, Platters> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One machine after the other. However one ends, its successor finds what a power cut left.
fn serve(listener: &UnixListener, state: &Mutex<Platters>) {
    for stream in listener.incoming().map_while(io::Result::ok) {
        let size = lock(state).seen.len();
        if nbd::greet(&stream, size).is_ok() {
            while let Ok(Some(request)) = nbd::request(&stream) {
                let Some(answer) = lock(state).take(&stream, &request) else {
                    break;
                };
                if nbd::answer(&stream, &request, &answer).is_err() {
                    break;
                }
            }
        }
        lock(state).settle();
    }
}

impl Platters {
    fn new(content: Vec<u8>, seed: u64) -> Self {
        Self {
            empty: content.clone(),
            left: content.clone(),
            flushed: content.clone(),
            seen: content,
            cache: Vec::new(),
            cut: None,
            fate: Random::new(seed),
            losses: Losses::default(),
        }
    }

    /// Does what is asked; nothing once the power is cut.
    fn take(&mut self, mut stream: impl Read, request: &Request) -> Option<Result<Vec<u8>, nbd::Refusal>> {
        let answer = match *request {
            Request::Read { place, length, .. } => {
                let octets = place
                    .checked_add(length)
                    .and_then(|end| self.seen.get(place..end));
                return Some(octets.map(<[u8]>::to_vec).ok_or(nbd::Refusal::Invalid));
            }
            Request::Write { place, length, .. } => {
                let mut octets = vec![0; length];
                stream.read_exact(&mut octets).ok()?;
                self.write(place, octets)
            }
            Request::Flush { .. } if self.is_last() => Ok(()),
            Request::Flush { .. } => {
                for (place, octets) in std::mem::take(&mut self.cache) {
                    put(&mut self.flushed, place, &octets);
                }
                Ok(())
            }
            Request::Unknown { .. } => return Some(Err(nbd::Refusal::Invalid)),
        };
        if self.is_last() {
            return None;
        }
        if let Some(cut) = &mut self.cut {
            cut.after = cut.after.saturating_sub(1);
        }
        Some(answer.map(|()| Vec::new()))
    }

    fn write(&mut self, place: usize, octets: Vec<u8>) -> Result<(), nbd::Refusal> {
        let end = place.checked_add(octets.len());
        if end.is_none_or(|end| end > self.seen.len()) {
            return Err(nbd::Refusal::Invalid);
        }
        put(&mut self.seen, place, &octets);
        self.cache.push((place, octets));
        Ok(())
    }

    /// The power is cut in the middle of this request.
    fn is_last(&self) -> bool {
        self.cut.is_some_and(|cut| cut.after <= 1)
    }

    /// The machine is gone: of what is in the cache some is left. A machine that goes in order has flushed.
    fn settle(&mut self) {
        if let Some(cut) = self.cut.take().filter(|cut| cut.after == 1) {
            let _already_gone = kill(cut.emulator, Signal::SIGKILL);
            self.losses.cuts += 1;
        }
        let fate = self.fate.below(4);
        for (place, octets) in std::mem::take(&mut self.cache) {
            for (number, sector) in octets.chunks(SECTOR).enumerate() {
                self.losses.cached += 1;
                let kept = match fate {
                    0 => false,
                    1 => true,
                    _ => self.fate.below(2) == 0,
                };
                if kept {
                    put(&mut self.flushed, place + number * SECTOR, sector);
                } else {
                    self.losses.lost += 1;
                }
            }
        }
        self.seen.clone_from(&self.flushed);
        self.left.clone_from(&self.flushed);
    }
}

fn put(content: &mut [u8], place: usize, octets: &[u8]) {
    if let Some(target) = content.get_mut(place..place + octets.len()) {
        target.copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &mut Platters, place: usize, octet: u8) -> bool {
        let request = Request::Write {
            cookie: 0,
            place,
            length: 2 * SECTOR,
        };
        disk.take(&[octet; 2 * SECTOR][..], &request).is_some()
    }

    fn flush(disk: &mut Platters) -> bool {
        disk.take(io::empty(), &Request::Flush { cookie: 0 }).is_some()
    }

    fn octets(disk: &mut Platters, place: usize) -> [u8; 2] {
        let request = Request::Read {
            cookie: 0,
            place,
            length: 2 * SECTOR,
        };
        let read = disk.take(io::empty(), &request).unwrap().unwrap();
        assert!(
            read[..SECTOR].iter().all(|octet| *octet == read[0]),
            "a torn sector"
        );
        [read[0], read[SECTOR]]
    }

    /// What a cut leaves of two sectors that were flushed as 1 and then written as 2 and as 3.
    fn left(seed: u64) -> [u8; 2] {
        let mut disk = Platters::new(vec![0; 8 * SECTOR], seed);
        assert!(write(&mut disk, 0, 1) && flush(&mut disk));
        assert!(write(&mut disk, 0, 2) && write(&mut disk, 0, 3));
        assert_eq!(octets(&mut disk, 0), [3, 3], "the cache is read");
        disk.settle();
        octets(&mut disk, 0)
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_a_matter_of_luck() {
        let all: Vec<_> = (0..100).map(left).collect();
        for found in [[1, 1], [3, 3], [1, 3], [2, 1]] {
            assert!(all.contains(&found), "{found:?}");
        }
        assert!(all.as_flattened().iter().all(|octet| (1..=3).contains(octet)));
    }

    #[test]
    fn a_flush_in_which_the_power_is_cut_has_not_been_done() {
        let left = |seed| {
            let mut disk = Platters::new(vec![0; 8 * SECTOR], seed);
            let emulator = Pid::from_raw(i32::MAX);
            disk.cut = Some(Cut { after: 2, emulator });
            assert!(write(&mut disk, 0, 1));
            assert!(!flush(&mut disk), "no answer");
            disk.settle();
            assert_eq!(disk.losses.cuts, 1);
            octets(&mut disk, 0)
        };
        assert!((0..100).any(|seed| left(seed) == [0, 0]));
    }
}
