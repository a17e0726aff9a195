//! A neighbour that announces a feed and counts what it is told, which a speaker cannot tell from any other.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::wait;
use system_tests::peer::speaker::{ALIVE, NOTIFICATION, UPDATE, connect, establish};

use super::reader::{Reader, update};

/// How often the other side hears from us.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How many prefixes are reached by which of the neighbours 65001 to 65007; the first number has no meaning.
pub type Vias = [u32; 8];

type Condition = Box<dyn Fn(&Vias) -> bool + Send>;
type Wanted = Arc<Mutex<Option<(Condition, Sender<Instant>)>>>;

/// A neighbour with an established session.
pub struct Neighbour {
    stream: TcpStream,
    /// Held while something is written.
    writing: Arc<Mutex<TcpStream>>,
    wanted: Wanted,
    reader: Option<JoinHandle<Result<Vias>>>,
    writer: Option<JoinHandle<Result<()>>>,
}

impl Neighbour {
    /// Opens a session from an address inside a namespace, as soon as the other side takes it, and counts what comes.
    ///
    /// # Errors
    /// When none comes about.
    pub fn open(from: &Namespace, [local, remote]: [Ipv4Addr; 2], asn: u32) -> Result<Self> {
        let _inside = from.enter()?;
        let stream = wait::until("a BGP session", Duration::from_secs(60), || {
            let mut stream = connect([local, remote], None)?;
            establish(&mut stream, local, asn)?;
            Ok(stream)
        })?;
        let wanted = Wanted::default();
        let (mut reading, writing) = (stream.try_clone()?, Arc::new(Mutex::new(stream.try_clone()?)));
        let (told, alive) = (Arc::clone(&wanted), Arc::clone(&writing));
        let worker = std::thread::spawn(move || read(&mut reading, &told, &alive));
        Ok(Self {
            stream,
            writing,
            wanted,
            reader: Some(worker),
            writer: None,
        })
    }

    /// Begins to announce a feed, and tells when.
    pub fn announce(&mut self, feed: Vec<u8>) -> Instant {
        let writing = Arc::clone(&self.writing);
        let begun = Instant::now();
        self.writer = Some(std::thread::spawn(move || {
            let mut stream = writing.lock().map_err(|_| anyhow!("the reader panicked"))?;
            Ok(stream.write_all(&feed)?)
        }));
        begun
    }

    /// Waits until all of the feed has gone.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn announced(&mut self) -> Result<()> {
        let writer = self.writer.take().context("nothing was announced")?;
        writer.join().map_err(|_| anyhow!("the writer panicked"))?
    }

    /// Tells when what it was told first meets a condition.
    pub fn when(&self, condition: impl Fn(&Vias) -> bool + Send + 'static) -> Receiver<Instant> {
        let (sender, receiver) = channel();
        if let Ok(mut wanted) = self.wanted.lock() {
            *wanted = Some((Box::new(condition), sender));
        }
        receiver
    }

    /// Goes away without a word.
    ///
    /// # Errors
    /// When something that it was told could not be read; when it goes with UPDATEs in between, too.
    pub fn leave(mut self) -> Result<Vias> {
        self.stream.shutdown(Shutdown::Both)?;
        let reader = self.reader.take().context("it has left")?;
        reader.join().map_err(|_| anyhow!("the reader panicked"))?
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _may_be_gone = self.stream.shutdown(Shutdown::Both);
    }
}

/// Reads until the connection ends, and says every now and then that it is there.
fn read(stream: &mut TcpStream, wanted: &Wanted, writing: &Mutex<TcpStream>) -> Result<Vias> {
    let mut reader = Reader::new();
    let mut table = vec![0_u8; 1 << 25];
    let mut vias = Vias::default();
    let mut spoken = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        while let Some((kind, body)) = reader.message()? {
            match kind {
                UPDATE => update(body, &mut |place, via| count(&mut table, &mut vias, (place, via)))?,
                NOTIFICATION => bail!("it ended the session with {body:?}"),
                _ => (),
            }
        }
        tell(wanted, &vias);
        match reader.fill(stream) {
            Ok(true) => (),
            Ok(false) => return Ok(vias),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(vias),
            Err(error) => return Err(error.into()),
        }
        // A feed that is on its way says as much.
        if spoken.elapsed() > KEEPALIVE
            && let Ok(mut writing) = writing.try_lock()
        {
            spoken = Instant::now();
            writing.write_all(&ALIVE)?;
        }
    }
}

fn count(table: &mut [u8], vias: &mut Vias, (place, via): (usize, u32)) {
    let now = u8::try_from(via.saturating_sub(65_000)).unwrap_or_default() & 7;
    let Some(place) = table.get_mut(place) else {
        return;
    };
    let before = std::mem::replace(place, now);
    if let Some(count) = vias.get_mut(usize::from(before)) {
        *count = count.saturating_sub(1);
    }
    if let Some(count) = vias.get_mut(usize::from(now)) {
        *count = count.saturating_add(1);
    }
}

fn tell(wanted: &Wanted, vias: &Vias) {
    let Ok(mut wanted) = wanted.lock() else {
        return;
    };
    if let Some((condition, sender)) = wanted.take() {
        if condition(vias) {
            let _nobody_may_listen = sender.send(Instant::now());
        } else {
            *wanted = Some((condition, sender));
        }
    }
}
