use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::event::Event;
use super::news::{Arriving, News, Teller, telling};
use super::ring::{KEPT, Page, Ring};
use super::select::{From, Select};
use super::storage::Storage;

/// How often what happened is saved: a power cut takes no more than this, and no event waits for the disk.
const SAVE: Duration = Duration::from_secs(3);
/// Who is so many events behind is no longer told.
const BEHIND: usize = 1024;
/// So many may listen at once.
const LISTENERS: usize = 32;
/// So many questions may wait.
const QUESTIONS: usize = 64;

/// What the chronicle can be asked for.
#[derive(Debug)]
pub(crate) enum Question {
    /// Some events: from somewhere on, or the last ones.
    Read(Option<From>, Select, usize, oneshot::Sender<Page>),
    /// What happened from there on, and all that will; nothing if too many listen.
    Follow(From, Select, oneshot::Sender<Option<Followed>>),
    /// Save what happened, then answer.
    Close(oneshot::Sender<()>),
}

/// What somebody who listens is told.
#[derive(Debug)]
pub(crate) struct Followed {
    /// What happened.
    pub(crate) past: Page,
    /// What happens.
    pub(crate) live: broadcast::Receiver<Arc<Event>>,
    /// A place among those who listen.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Numbers what happens, keeps it for a while, and tells it.
#[derive(Debug)]
pub(crate) struct Chronicle {
    arriving: Arriving,
    questions: mpsc::Receiver<Question>,
    ring: Ring,
    live: broadcast::Sender<Arc<Event>>,
    places: Arc<Semaphore>,
    storage: Option<Storage>,
    unsaved: Vec<Arc<Event>>,
}

impl Chronicle {
    /// Over what an earlier run saved; where news and questions are left.
    pub(crate) fn new(storage: Option<Storage>) -> (Self, Teller, mpsc::Sender<Question>) {
        let (teller, arriving) = telling();
        let (asked, questions) = mpsc::channel(QUESTIONS);
        let kept = storage.as_ref().map(Storage::events).unwrap_or_default();
        let chronicle = Self {
            arriving,
            questions,
            ring: Ring::new(kept, SystemTime::now()),
            live: broadcast::Sender::new(BEHIND),
            places: Arc::new(Semaphore::new(LISTENERS)),
            storage,
            unsaved: Vec::new(),
        };
        (chronicle, teller, asked)
    }

    /// Runs until [`Question::Close`], or until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut save = interval(SAVE);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                biased;
                Some(news) = self.arriving.news.recv() => self.add(news),
                question = self.questions.recv() => match question {
                    Some(Question::Close(answer)) => {
                        self.save().await;
                        let _gone = answer.send(());
                        return;
                    }
                    Some(question) => self.answer(question),
                    None => return,
                },
                _ = save.tick(), if !self.unsaved.is_empty() => self.save().await,
            }
        }
    }

    fn add(&mut self, news: News) {
        let lost = self.arriving.lost();
        if lost > 0 {
            let detail = format!("{lost} events came faster than they could be written down");
            self.number(News::new("events-lost").detail(detail));
        }
        self.number(news);
    }

    fn number(&mut self, news: News) {
        let event = self.ring.add(news);
        if self.storage.is_some() && self.unsaved.len() < KEPT {
            self.unsaved.push(event.clone());
        }
        // Nobody may be listening.
        let _heard = self.live.send(event);
    }

    fn answer(&self, question: Question) {
        match question {
            Question::Read(from, select, limit, answer) => {
                let page = match from {
                    Some(from) => self.ring.from(from, &select, limit),
                    None => self.ring.last(&select, limit),
                };
                let _gone = answer.send(page);
            }
            Question::Follow(from, select, answer) => {
                let place = self.places.clone().try_acquire_owned();
                let followed = place.ok().map(|place| Followed {
                    past: self.ring.from(from, &select, usize::MAX),
                    live: self.live.subscribe(),
                    place,
                });
                let _gone = answer.send(followed);
            }
            Question::Close(_) => (),
        }
    }

    /// In a thread that may wait for the disk. What cannot be saved is given up: it is in memory still.
    async fn save(&mut self) {
        let Some(mut storage) = self.storage.take() else {
            return;
        };
        let events = std::mem::take(&mut self.unsaved);
        let saved = tokio::task::spawn_blocking(move || {
            let saved = storage.save(&events);
            (storage, saved)
        });
        // Without an answer everything is ending.
        let Ok((storage, saved)) = saved.await else {
            return;
        };
        if let Err(error) = saved {
            warn!(%error, "events are not saved");
        }
        self.storage = Some(storage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask<T>(
        asked: &mpsc::Sender<Question>,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> T {
        let (answer, said) = oneshot::channel();
        asked.send(question(answer)).await.unwrap();
        said.await.unwrap()
    }

    async fn ids(asked: &mpsc::Sender<Question>) -> Vec<u64> {
        let page = ask(asked, |answer| Question::Read(None, Select::default(), 9, answer)).await;
        page.events.iter().map(|event| event.id).collect()
    }

    #[tokio::test]
    async fn what_happened_is_found_again_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        for run in 1..=3 {
            let storage = Storage::open(folder.path());
            let (chronicle, teller, asked) = Chronicle::new(storage);
            let task = tokio::spawn(chronicle.run());
            assert_eq!(ids(&asked).await, told, "run {run}");
            teller.tell(News::new("up"));
            told = ids(&asked).await;
            assert_eq!(told.len(), run);
            assert!(told.is_sorted());
            ask(&asked, Question::Close).await;
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn as_many_may_listen_as_there_are_places_and_each_hears_what_happens() {
        let (chronicle, teller, asked) = Chronicle::new(None);
        tokio::spawn(chronicle.run());
        let follow = || {
            ask(&asked, |answer| {
                Question::Follow(From::Now, Select::default(), answer)
            })
        };
        let mut listeners = Vec::new();
        for _ in 0..LISTENERS {
            listeners.push(follow().await.expect("a place"));
        }
        assert!(follow().await.is_none());
        teller.tell(News::new("up"));
        for listener in &mut listeners {
            assert!(listener.live.recv().await.unwrap().text.contains("\"up\""));
        }
        listeners.pop();
        assert!(follow().await.is_some());
    }

    #[tokio::test]
    async fn what_finds_no_room_is_told_as_lost() {
        let (chronicle, teller, asked) = Chronicle::new(None);
        for _ in 0..5000 {
            teller.tell(News::new("up"));
        }
        tokio::spawn(chronicle.run());
        let select = Select::default();
        let page = ask(&asked, |answer| {
            Question::Read(Some(From::Oldest), select, 2, answer)
        })
        .await;
        assert!(page.events[0].text.contains("events-lost"), "{page:?}");
        assert!(page.events[0].text.contains("904 events"), "{page:?}");
    }
}
