use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance_kernel::{Kernel, Object};
use bgp::Speaker;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::owner::{BgpOwner, BgpView, Command, Mailboxes};
use crate::chronicle::Teller;
use crate::datapath::{Ground, Kind, Request};
use crate::randomness::SystemRandom;

const ORDERS: usize = 64;
/// So many read all of the tables at once.
const READERS: usize = 2;
/// How long neighbours may take to read that their sessions end.
const CLOSE_SESSIONS: Duration = Duration::from_millis(500);

/// A speaker that knows whether a run before this one left something that still carries: else nothing is waited for.
pub(crate) fn speaker(kernel: &Kernel, kind: Kind) -> Speaker {
    let learnt = |object: &Object| matches!(object, Object::Route(route) if route.is_learnt());
    let left = kernel.present().any(learnt) || !kernel.adopted_children().is_empty();
    let mut speaker = Speaker::new(Box::new(SystemRandom));
    if !left || kind == Kind::User {
        // Without neighbours nothing follows from it.
        let _nothing = speaker.handle(bgp::Input::NothingPreserved, Instant::now());
    }
    speaker
}

/// A speaker that runs.
#[derive(Debug, Clone)]
pub(crate) struct Speaking {
    /// Where it is told and asked.
    pub(crate) commands: mpsc::Sender<Command>,
    /// How it stands.
    pub(crate) view: watch::Receiver<Arc<BgpView>>,
    /// Places for those who read all of its tables.
    pub(crate) readers: Arc<Semaphore>,
}

/// Starts the owner of a speaker.
pub(crate) fn start(
    speaker: Speaker,
    network: &mpsc::Sender<Request>,
    teller: &Teller,
    ground: watch::Receiver<Arc<Ground>>,
) -> (Speaking, JoinHandle<()>) {
    let (commands, heard) = mpsc::channel(ORDERS);
    let (shown, view) = watch::channel(Arc::new(BgpView::first()));
    let owner = BgpOwner::new(speaker, network.clone(), teller.clone(), shown);
    let task = tokio::spawn(owner.run(Mailboxes {
        commands: heard,
        ground,
    }));
    let readers = Arc::new(Semaphore::new(READERS));
    let speaking = Speaking {
        commands,
        view,
        readers,
    };
    (speaking, task)
}

/// Tells neighbours that their sessions end; this takes as long as their sockets let it.
pub(crate) async fn stop(speaking: &Speaking, task: JoinHandle<()>) {
    let told = speaking.commands.send(Command::Close).await;
    if told.is_err() || tokio::time::timeout(CLOSE_SESSIONS, task).await.is_err() {
        warn!("BGP neighbours did not take in time that their sessions end");
    }
}
