use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command::{Answer, Command, HEADER, size_of};
use super::sealing::TpmFault;

/// Octets of the longest answer that is read.
const LONGEST: usize = 4096;
/// `TPM_RC_TESTING` and `TPM_RC_RETRY`: it was not begun, and may be asked again.
const BUSY: [u32; 2] = [0x90a, 0x922];
/// How often, and how long after the last time.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// What a TPM in software may take for an answer; the kernel has deadlines of its own for a device.
const PATIENCE: Duration = Duration::from_secs(10);

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// Where commands go and answers come from, one after the other.
pub(super) struct Channel(Box<dyn Duplex>);

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Channel")
    }
}

impl Channel {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.metadata()?.file_type().is_socket() {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(Self(Box::new(stream)));
        }
        let device = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self(Box::new(device)))
    }

    /// The answer to a command that was done.
    pub(super) fn ask(&mut self, command: &Command) -> Result<Answer, TpmFault> {
        let mut answer = self.ask_once(command)?;
        for _ in 1..ATTEMPTS {
            if !BUSY.contains(&answer.code()) {
                break;
            }
            thread::sleep(PAUSE);
            answer = self.ask_once(command)?;
        }
        match answer.code() {
            0 => Ok(answer),
            code => Err(TpmFault::Refused {
                command: command.name,
                code,
            }),
        }
    }

    fn ask_once(&mut self, command: &Command) -> Result<Answer, TpmFault> {
        // A device takes a command by one call, and gives its answer by one, however much room there is.
        self.0.write_all(&command.octets())?;
        let mut octets = Zeroizing::new(vec![0; LONGEST]);
        let mut length = 0;
        loop {
            let came = self.0.read(octets.get_mut(length..).unwrap_or_default())?;
            length += came;
            let wanted = octets.get(..length.min(HEADER)).and_then(size_of);
            if came == 0 || (length >= HEADER && wanted.is_none_or(|wanted| length >= wanted)) {
                break;
            }
        }
        octets.truncate(length);
        Answer::new(command, octets).ok_or(TpmFault::Answer)
    }
}
