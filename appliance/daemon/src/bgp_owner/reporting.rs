use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bgp::{Event, LastError, NeighbourName, Side};
use tracing::{debug, info, warn};

use super::detection::Told as Detected;
use super::routes::connection;
use crate::chronicle::{News, Teller};
use crate::journal;

/// Of one neighbour's malformed messages, and of its prefixes that NAT does not translate as a whole, one is told in so long.
const NOW_AND_THEN: Duration = Duration::from_secs(60);

/// What happened to sessions, for log and chronicle. The same again is told once.
pub(super) struct Reporting {
    teller: Teller,
    neighbours: BTreeMap<NeighbourName, Told>,
}

/// What was told last of a neighbour.
#[derive(Default)]
struct Told {
    down: Option<(&'static str, String)>,
    malformed: Option<Instant>,
    partly: Option<Instant>,
}

impl Reporting {
    pub(super) fn new(teller: Teller) -> Self {
        Self {
            teller,
            neighbours: BTreeMap::new(),
        }
    }

    /// There are these neighbours from now on.
    pub(super) fn configured<'n>(&mut self, names: impl Iterator<Item = &'n NeighbourName>) {
        let mut before = std::mem::take(&mut self.neighbours);
        self.neighbours = names
            .map(|name| (name.clone(), before.remove(name).unwrap_or_default()))
            .collect();
    }

    /// This happened.
    pub(super) fn report(&mut self, event: Event) {
        match event {
            Event::Established(name) => {
                self.told(&name).down = None;
                self.tell("bgp-established", &name, None);
            }
            Event::Down(name, error) => self.down(&name, error),
            Event::PrefixesNearLimit {
                neighbour,
                family,
                received,
                limit,
            } => {
                let words = format!("{received} prefixes of {family} received, {limit} are taken");
                journal::span(&connection(&neighbour)).in_scope(|| warn!("{words}"));
                let news = News::new("bgp-prefixes-near-limit").detail(words);
                self.teller.tell(news.to(&connection(&neighbour)));
            }
            Event::Restarting(name) => self.tell("bgp-restarting", &name, None),
            Event::RestartOver(name) => self.tell("bgp-restart-over", &name, None),
            Event::Malformed(name, words) => {
                let told = &mut self.told(&name).malformed;
                let due = is_due(told, Instant::now());
                self.now_and_then("bgp-malformed", due, &name, words);
            }
            Event::PartlyTranslated(name, words) => {
                let told = &mut self.told(&name).partly;
                let due = is_due(told, Instant::now());
                self.now_and_then("bgp-partly-translated", due, &name, words);
            }
            Event::Converged => info!("BGP: all neighbours told their routes, or had the time to"),
        }
    }

    /// BFD found a neighbour, or lost it.
    pub(super) fn detected(&mut self, name: &NeighbourName, told: Detected) {
        match told {
            Detected::Up => self.tell("bfd-up", name, None),
            Detected::Lost(why) => self.tell("bfd-down", name, Some(why)),
        }
    }

    fn told(&mut self, name: &NeighbourName) -> &mut Told {
        self.neighbours.entry(name.clone()).or_default()
    }

    fn tell(&self, word: &'static str, name: &NeighbourName, detail: Option<String>) {
        let connection = connection(name);
        journal::span(&connection).in_scope(|| info!(detail, "{word}"));
        let news = News::new(word).to(&connection);
        self.teller.tell(match detail {
            Some(detail) => news.detail(detail),
            None => news,
        });
    }

    fn down(&mut self, name: &NeighbourName, error: LastError) {
        let why = (error.reason, error.words.clone());
        let known = self.told(name).down.replace(why.clone()) == Some(why);
        let connection = connection(name);
        let _in_span = journal::span(&connection).entered();
        let (reason, side, words) = (error.reason, side(error.side), error.words.as_str());
        if known {
            return debug!(reason, side, words, "bgp-down, as before");
        }
        warn!(reason, side, words, next_step = error.next_step, "bgp-down");
        self.teller
            .tell(News::new("bgp-down").to(&connection).ended_by(error));
    }

    fn now_and_then(&self, word: &'static str, due: bool, name: &NeighbourName, words: String) {
        if due {
            self.tell(word, name, Some(words));
        } else {
            debug!(neighbour = %name, words, "{word}");
        }
    }
}

/// Whether something that is told now and then is to be told again.
fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let due = told.is_none_or(|at| now.saturating_duration_since(at) >= NOW_AND_THEN);
    if due {
        *told = Some(now);
    }
    due
}

/// The word of a side.
pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::We => ike::Side::We.word(),
        Side::Peer => ike::Side::Peer.word(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::chronicle::{Chronicle, Question, Select};

    fn down(reason: &'static str) -> Event {
        let error = LastError {
            side: Side::Peer,
            reason,
            words: "as it said".to_owned(),
            next_step: "Ask.",
            notification: None,
            at: Instant::now(),
        };
        Event::Down(NeighbourName("a".into()), error)
    }

    /// A neighbour that is away for a day does not push out why it went.
    #[tokio::test]
    async fn the_same_end_is_told_once() {
        let (chronicle, teller, questions) = Chronicle::new(None);
        let mut reporting = Reporting::new(teller);
        for event in [
            down("hold-timer-expired"),
            down("connect-failed"),
            down("connect-failed"),
            Event::Established(NeighbourName("a".into())),
            down("connect-failed"),
        ] {
            reporting.report(event);
        }
        tokio::spawn(chronicle.run());
        let (answer, page) = oneshot::channel();
        let asked = Question::Read(None, Select::default(), 9, answer);
        questions.send(asked).await.unwrap();
        let told = page.await.unwrap().events;
        let expected = [
            "hold-timer-expired",
            "connect-failed",
            "bgp-established",
            "connect-failed",
        ];
        assert_eq!(told.len(), expected.len());
        for (event, word) in told.iter().zip(expected) {
            assert!(event.text.contains(word), "{}", event.text);
        }
        assert!(told[0].text.contains(r#""side":"peer""#) && told[0].text.contains("as it said"));
    }
}
