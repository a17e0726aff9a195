use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use appliance_config::model::ListSource;
use ike::Input;
use ike::crypto::WantedList;
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::fault::ListFault;
use super::fetch::{Fetched, fetch};
use super::held::{Change, Held};
use super::{Cache, ListSnapshots, ListSpecs};
use crate::chronicle::{News, Teller};

/// So many wishes may wait.
const WISHES: usize = 64;

/// Says which lists are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Librarian(mpsc::Sender<Wish>);

/// Who has lists of revoked certificates, and how these do.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    /// Who has them.
    pub(crate) librarian: Librarian,
    /// How they do.
    pub(crate) shown: watch::Receiver<Arc<ListSnapshots>>,
}

#[derive(Debug)]
enum Wish {
    /// Those of the document, and no others of it.
    Configure(ListSpecs),
    /// Those that certificates of peers name, too.
    Add(Vec<WantedList>),
    /// All of them anew; answered once each was fetched, or could not be.
    Refresh(oneshot::Sender<()>),
}

type Outcome = (ListSource, Result<Fetched, ListFault>);

struct Owner {
    lists: BTreeMap<ListSource, Held>,
    cache: Cache,
    engine: mpsc::Sender<Input>,
    outcomes: mpsc::Sender<Outcome>,
    teller: Teller,
    shown: watch::Sender<Arc<ListSnapshots>>,
    /// Who waits until nothing is being fetched.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Starts the owner of lists, who tells the engine of them.
pub(crate) fn start(engine: mpsc::Sender<Input>, cache: Cache, teller: Teller) -> Lists {
    let (wishes, heard) = mpsc::channel(WISHES);
    let (outcomes, begun) = mpsc::channel(WISHES);
    let (shown, view) = watch::channel(Arc::default());
    let owner = Owner {
        lists: BTreeMap::new(),
        cache,
        engine,
        outcomes,
        teller,
        shown,
        waiting: Vec::new(),
    };
    tokio::spawn(owner.run(heard, begun));
    let librarian = Librarian(wishes);
    Lists {
        librarian,
        shown: view,
    }
}

impl Librarian {
    /// The document wants these lists from now on.
    pub(crate) async fn configure(&self, specs: ListSpecs) {
        // Only when everything stops.
        let _stopped = self.0.send(Wish::Configure(specs)).await;
    }

    /// Certificates of peers say that there are these lists, too. Without room they are not fetched: who insists on them goes on
    /// refusing.
    pub(crate) fn add(&self, lists: Vec<WantedList>) {
        if self.0.try_send(Wish::Add(lists)).is_err() {
            warn!("too many lists of revoked certificates are wanted at once");
        }
    }

    /// Fetches all of them anew, and returns once each was, or could not be.
    pub(crate) async fn refresh(&self) {
        let (answer, done) = oneshot::channel();
        if self.0.send(Wish::Refresh(answer)).await.is_ok() {
            // Only when everything stops.
            let _stopped = done.await;
        }
    }
}

impl Owner {
    async fn run(mut self, mut heard: mpsc::Receiver<Wish>, mut begun: mpsc::Receiver<Outcome>) {
        loop {
            let due = self.lists.values().filter_map(Held::due).min();
            let news = select! {
                Some((source, fetched)) = begun.recv() => self.concluded(&source, &fetched).await,
                wish = heard.recv() => match wish {
                    Some(Wish::Configure(specs)) => self.configure(specs).await,
                    Some(Wish::Add(lists)) => self.add(lists).await,
                    Some(Wish::Refresh(answer)) => {
                        self.waiting.push(answer);
                        let now = Instant::now();
                        self.lists.values_mut().for_each(|held| held.hurry(now));
                        self.fetch_due(now);
                        false
                    }
                    None => return,
                },
                () = until(due) => { self.fetch_due(Instant::now()); false }
            };
            if news {
                self.tell_engine().await;
            }
            self.show();
            if self.lists.values().all(|held| !held.busy) {
                for answer in self.waiting.drain(..) {
                    let _given_up = answer.send(());
                }
            }
        }
    }

    /// What is wanted as before stays. Returns whether lists came or went.
    async fn configure(&mut self, wanted: ListSpecs) -> bool {
        let before = self.lists.len();
        self.lists
            .retain(|source, held| held.is_learnt || wanted.get(source) == Some(&held.issuers));
        let mut changed = self.lists.len() != before;
        for (source, issuers) in wanted {
            changed |= self.begin(source, issuers, false).await;
        }
        changed
    }

    async fn add(&mut self, lists: Vec<WantedList>) -> bool {
        let mut changed = false;
        for list in lists {
            let issuers = list.issuers.into_iter().collect();
            changed |= self.begin(ListSource::Http(list.address), issuers, true).await;
        }
        changed
    }

    /// Returns whether a list is remembered.
    async fn begin(&mut self, source: ListSource, issuers: BTreeSet<Vec<u8>>, is_learnt: bool) -> bool {
        if let Some(held) = self.lists.get_mut(&source) {
            held.known_to_be_of(issuers, is_learnt, Instant::now());
            return false;
        }
        let remembered = self.cache.recall(&source, &issuers).await;
        let is_remembered = remembered.is_some();
        let mut held = Held::new(issuers, remembered, Instant::now());
        held.is_learnt = is_learnt;
        self.lists.insert(source, held);
        is_remembered
    }

    fn fetch_due(&mut self, now: Instant) {
        for (source, held) in &mut self.lists {
            if held.due().is_none_or(|due| due > now) {
                continue;
            }
            held.busy = true;
            let (source, tag, issuers) = (source.clone(), held.tag.clone(), held.issuers.clone());
            let outcomes = self.outcomes.clone();
            tokio::spawn(async move {
                let fetched = fetch(&source, tag, issuers).await;
                let _stopped = outcomes.send((source, fetched)).await;
            });
        }
    }

    /// Returns whether there is another list than before.
    async fn concluded(&mut self, source: &ListSource, fetched: &Result<Fetched, ListFault>) -> bool {
        let Some(held) = self.lists.get_mut(source) else {
            return false;
        };
        match held.settled(source, fetched, Instant::now()) {
            Change::Nothing => false,
            Change::Fault => {
                let fault = held.fault().map(ToString::to_string).unwrap_or_default();
                warn!(%source, %fault, "a list of revoked certificates could not be had");
                let news = News::new("revocation-list-failed").object(source.to_string());
                self.teller.tell(news.detail(fault));
                false
            }
            Change::List => {
                if let (Ok(Fetched::New(octets, _)), Some(list)) = (fetched, &held.list) {
                    let revoked = list.revoked();
                    info!(%source, issuer = list.issuer(), revoked, "a list of revoked certificates is there");
                    let detail = format!("{} revoked by {}", revoked, list.issuer());
                    let news = News::new("revocation-list-read").object(source.to_string());
                    self.teller.tell(news.detail(detail));
                    self.cache.keep(source, &octets.der).await;
                }
                true
            }
        }
    }

    async fn tell_engine(&self) {
        let lists = self.lists.values().filter_map(|held| held.list.clone());
        // Only when everything stops.
        let _stopped = self.engine.send(Input::RevocationLists(lists.collect())).await;
    }

    fn show(&self) {
        let lists = self.lists.iter();
        let shown: ListSnapshots = lists
            .map(|(source, held)| (source.clone(), held.snapshot()))
            .collect();
        self.shown.send_if_modified(|before| {
            let changed = **before != shown;
            if changed {
                *before = Arc::new(shown);
            }
            changed
        });
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
