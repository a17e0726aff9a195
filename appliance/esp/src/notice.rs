use tokio::sync::mpsc;

/// Notices that wait for the daemon; what finds no room is told again.
const BACKLOG: usize = 1024;

/// What the datapath tells unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A packet of this watched line found no pair; told at most once a second.
    Wanted {
        /// The interface that it was sent to.
        interface: String,
        /// The number that the line was given.
        line: usize,
    },
    /// A direction of this pair has carried what it may.
    Spent {
        /// The number of the pair.
        id: u64,
        /// Which of its limits it has reached.
        limit: Limit,
    },
}

/// A limit of what one direction may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It is time to replace the pair.
    Soft,
    /// Nothing passes any more.
    Hard,
}

/// Where notices come out.
#[derive(Debug)]
pub struct Notices(mpsc::Receiver<Notice>);

impl Notices {
    /// Waits for the next notice; `None` once the datapath is gone. Loses nothing when cancelled.
    pub async fn next(&mut self) -> Option<Notice> {
        self.0.recv().await
    }

    /// The next notice if one waits.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.0.try_recv().ok()
    }
}

/// Both ends of the queue of notices.
pub(crate) fn notices() -> (mpsc::Sender<Notice>, Notices) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (sender, Notices(receiver))
}
