use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::future::select_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::file::File;
use super::filter;
use super::socket::Ear;

/// So many parts of a file wait for whoever reads it; then packets wait in the kernel, which counts what finds no room there.
const PARTS: usize = 4;
/// How long the last part waits for whoever reads.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever takes packets: one at a time, for each costs what the packets of a busy tunnel cost.
#[derive(Debug, Clone)]
pub(crate) struct Captures {
    place: Arc<Semaphore>,
}

/// Which packets are sought.
#[derive(Debug)]
pub(crate) struct Sought {
    /// What the file says of itself.
    pub(crate) comment: String,
    /// IKE and ESP from and to these.
    pub(crate) peers: Vec<IpAddr>,
    /// What passes this link, by the kernel's index.
    pub(crate) link: Option<u32>,
    /// For so long.
    pub(crate) time: Duration,
    /// At most so many octets of a file.
    pub(crate) octets: usize,
}

/// A file on its way.
pub(crate) type Parts = mpsc::Receiver<io::Result<Bytes>>;

struct Capture {
    ears: Vec<Ear>,
    file: File,
    _place: OwnedSemaphorePermit,
}

impl Default for Captures {
    fn default() -> Self {
        Self {
            place: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Captures {
    /// Takes packets from now on, until the time is over, the file full, or whoever reads it gone. Nothing if others are being taken.
    pub(crate) fn begin(&self, sought: &Sought) -> io::Result<Option<Parts>> {
        let Ok(place) = Arc::clone(&self.place).try_acquire_owned() else {
            return Ok(None);
        };
        let mut ears = Vec::new();
        if !sought.peers.is_empty() {
            ears.push(Ear::open(&filter::of_peers(&sought.peers))?);
        }
        if let Some(link) = sought.link {
            ears.push(Ear::open(&filter::of_link(link))?);
        }
        let capture = Capture {
            ears,
            file: File::new(&sought.comment, sought.octets),
            _place: place,
        };
        let (parts, reader) = mpsc::channel(PARTS);
        tokio::spawn(capture.run(Instant::now() + sought.time, parts));
        Ok(Some(reader))
    }
}

impl Capture {
    async fn run(mut self, end: Instant, parts: mpsc::Sender<io::Result<Bytes>>) {
        let taken = timeout_at(end, self.take(&parts)).await;
        let last = match taken {
            Ok(Err(error)) => {
                warn!(%error, "a capture broke off");
                Err(error)
            }
            Ok(Ok(())) | Err(_) => Ok(self.file.end().into()),
        };
        // Whoever has not read so far has no use for the rest.
        if let Ok(Ok(place)) = timeout(PATIENCE, parts.reserve()).await {
            place.send(last);
        }
    }

    /// Until the file is full, or nobody reads it any more.
    async fn take(&mut self, parts: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
        loop {
            let Ok(place) = parts.reserve().await else {
                return Ok(());
            };
            place.send(Ok(self.file.take().into()));
            let ready = select_all(self.ears.iter().map(|ear| Box::pin(ear.ready())));
            tokio::select! {
                () = parts.closed() => return Ok(()),
                (ready, ..) = ready => ready?,
            }
            for ear in &mut self.ears {
                if !ear.take_into(&mut self.file)? {
                    return Ok(());
                }
            }
        }
    }
}
