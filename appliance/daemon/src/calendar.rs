//! When certificates end, and that it is told in time. Driven by the wall clock, as they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use ike::crypto::Certificate;
use serde_json::Value;
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use crate::chronicle::{News, Question, Select, Teller};
use crate::clock::{Clock, words};
use crate::control::{Running, View};
use crate::derive::{Entry, User, inventory};
use crate::history::Moment;
use crate::signer::KeySnapshots;
use crate::store::hex;

/// So many days before its end a certificate is told of.
pub(crate) const DAYS: [u64; 4] = [60, 30, 7, 1];
const DAY: u64 = 86_400;
/// The wall clock may be set, so it is looked at this often.
const LOOK: Duration = Duration::from_secs(600);
/// So many events of an earlier run are looked through for what was told already.
const PAST: usize = 5_000;
const SOON: &str = "certificate-expires-soon";
const EXPIRED: &str = "certificate-expired";

/// A certificate and its dates.
#[derive(Debug, Clone)]
pub(crate) struct Dated {
    /// `certificates` or `trust`, and its name there.
    pub(crate) place: String,
    /// Where in the chain: `leaf`, `intermediate` or `root`.
    pub(crate) position: &'static str,
    /// Its subject.
    pub(crate) subject: String,
    /// SHA-256 of it, hexadecimal.
    pub(crate) sha256: String,
    /// From when until when, in seconds of UNIX time.
    pub(crate) validity: (u64, u64),
    /// Who uses it.
    pub(crate) users: Vec<User>,
}

/// What is told of one that ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    word: &'static str,
    /// Where the document has it.
    places: String,
    detail: String,
}

/// What was told of which certificate.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    told: BTreeSet<String>,
}

/// All certificates of these entries with their dates; those that cannot be read have none.
pub(crate) fn dated(entries: &[Entry]) -> Vec<Dated> {
    let all = entries.iter().flat_map(|entry| {
        entry.chain.iter().filter_map(|der| {
            let certificate = Certificate::read(der)?;
            let (subject, issuer) = certificate.names();
            let is_leaf = entry.chain.first() == Some(der) && entry.collection.is_ours();
            Some(Dated {
                place: format!("{}/{}", entry.collection.word(), entry.name),
                position: if is_leaf {
                    "leaf"
                } else if subject == issuer {
                    "root"
                } else {
                    "intermediate"
                },
                subject,
                sha256: hex(digest(&SHA256, der).as_ref()),
                validity: certificate.validity(),
                users: entry.users.clone(),
            })
        })
    });
    all.collect()
}

impl Dated {
    /// The fewest of [`DAYS`] within which it ends; 0 once it has, `None` long before.
    fn reached(&self, unix_s: u64) -> Option<u64> {
        let (_, until) = self.validity;
        let Some(left) = until.checked_sub(unix_s) else {
            return Some(0);
        };
        DAYS.into_iter().filter(|days| left <= days * DAY).min()
    }

    /// When it is told of next, in seconds of UNIX time; `None` once it has ended.
    pub(crate) fn next(&self, unix_s: u64) -> Option<u64> {
        let (_, until) = self.validity;
        let before = DAYS
            .into_iter()
            .chain([0])
            .map(|days| until.saturating_sub(days * DAY));
        before.filter(|at| *at > unix_s).min()
    }

    /// Whether it is told of now.
    pub(crate) fn is_near(&self, unix_s: u64) -> bool {
        self.reached(unix_s).is_some()
    }

    /// The reason word of that.
    pub(crate) fn word(&self, unix_s: u64) -> &'static str {
        match self.reached(unix_s) {
            Some(0) => EXPIRED,
            Some(_) | None => SOON,
        }
    }

    /// What is told, but for who uses it; the same whenever it is told.
    fn told(&self, days: u64) -> String {
        let (_, until) = self.validity;
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(until)).map(words);
        let (until, print) = (
            until.unwrap_or_default(),
            self.sha256.get(..16).unwrap_or_default(),
        );
        let Self {
            subject, position, ..
        } = self;
        match days {
            0 => format!("{position} {subject} (SHA-256 {print}…) ended {until}"),
            1 => format!("{position} {subject} (SHA-256 {print}…) ends {until}, within a day"),
            days => format!("{position} {subject} (SHA-256 {print}…) ends {until}, within {days} days"),
        }
    }
}

impl Calendar {
    /// One that has told what stands in these events of an earlier run, each JSON in one line.
    fn after<'e>(events: impl Iterator<Item = &'e str>) -> Self {
        let read = events.filter(|text| text.contains(SOON) || text.contains(EXPIRED));
        let told = read.filter_map(|text| {
            let event: Value = serde_json::from_str(text).ok()?;
            let detail = event.get("detail")?.as_str()?;
            Some(detail.split("; ").next()?.to_owned())
        });
        Self { told: told.collect() }
    }

    /// What is to be told now: of each certificate once for each of [`DAYS`], and once more when it has ended.
    pub(crate) fn look(&mut self, all: &[Dated], unix_s: u64) -> Vec<Told> {
        let mut news = Vec::new();
        for dated in all {
            let Some(days) = dated.reached(unix_s) else {
                continue;
            };
            let told = dated.told(days);
            if self.told.contains(&told) {
                continue;
            }
            // What was missed, as the machine was off, is not told after what came later.
            let coarser = DAYS
                .into_iter()
                .filter(|more| *more >= days)
                .map(|more| dated.told(more));
            self.told.extend(coarser);
            self.told.insert(told.clone());
            news.push(dated.told_with((dated.word(unix_s), told), all));
        }
        news
    }
}

impl Dated {
    /// The same certificate may have several places.
    fn told_with(&self, (word, told): (&'static str, String), all: &[Self]) -> Told {
        let same = || all.iter().filter(|other| other.sha256 == self.sha256);
        let places: BTreeSet<&str> = same().map(|other| other.place.as_str()).collect();
        let users = same().flat_map(|other| &other.users);
        let users: BTreeSet<String> = users
            .map(|user| match &user.connection {
                Some(connection) => connection.to_string(),
                None => user.path.clone(),
            })
            .collect();
        let used = if users.is_empty() {
            "not used".to_owned()
        } else {
            format!("used by {}", Vec::from_iter(users).join(", "))
        };
        Told {
            word,
            places: Vec::from_iter(places).join(", "),
            detail: format!("{told}; {used}"),
        }
    }
}

/// What runs, and how its keys do.
type Shown = (watch::Receiver<Arc<View>>, watch::Receiver<Arc<KeySnapshots>>);

/// Tells in time of what ends, for as long as something runs.
pub(crate) async fn run(
    (mut view, mut keys): Shown,
    (teller, events): (Teller, mpsc::Sender<Question>),
    wall: impl Fn() -> SystemTime,
) {
    let mut calendar = Calendar::after(past(&events).await.iter().map(AsRef::as_ref));
    let (clock, mut running, mut all) = (Clock::new(), None, Vec::new());
    let mut is_new = true;
    loop {
        let now = view.borrow_and_update().running.clone();
        if is_new || !same(running.as_ref(), now.as_ref()) {
            let keys = keys.borrow_and_update().clone();
            all = now
                .as_ref()
                .map_or_else(Vec::new, |now| dated(&inventory(&now.config, &keys)));
            running = now;
        }
        let moment = Moment {
            wall: wall(),
            ..Moment::now()
        };
        if let Some(unix_s) = clock.unix_s(moment) {
            for Told { word, places, detail } in calendar.look(&all, unix_s) {
                warn!(certificate = places, reason = word, "{detail}");
                teller.tell(News::new(word).object(places).detail(detail));
            }
        }
        let changed = select! {
            changed = keys.changed() => changed.map(|()| true),
            changed = view.changed() => changed.map(|()| false),
            () = tokio::time::sleep(LOOK) => Ok(false),
        };
        is_new = match changed {
            Ok(is_new) => is_new,
            // Everything stops.
            Err(_) => return,
        };
    }
}

fn same(one: Option<&Arc<Running>>, other: Option<&Arc<Running>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The events that are kept, in JSON.
async fn past(events: &mpsc::Sender<Question>) -> Vec<Box<str>> {
    let (answer, read) = oneshot::channel();
    let asked = Question::Read(None, Select::default(), PAST, answer);
    // Only when everything stops.
    if events.send(asked).await.is_err() {
        return Vec::new();
    }
    let page = read.await;
    page.map(|page| page.events.iter().map(|event| event.text.clone()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use appliance_config::model::{Crl, Trust, X509};

    use super::*;

    const END: u64 = 1_800_000_000;

    fn one(place: &str, subject: &str, until: u64) -> Dated {
        Dated {
            place: place.to_owned(),
            position: "leaf",
            subject: subject.to_owned(),
            sha256: hex(digest(&SHA256, subject.as_bytes()).as_ref()),
            validity: (0, until),
            users: vec![User {
                path: "/connections/to-b/authentication/certificate".to_owned(),
                connection: Some("to-b".parse().unwrap()),
            }],
        }
    }

    fn details(told: Vec<Told>) -> Vec<String> {
        told.into_iter()
            .map(|told| format!("{}: {}", told.word, told.detail))
            .collect()
    }

    #[test]
    fn each_of_60_30_7_and_1_days_before_the_end_is_told_once() {
        let (mut calendar, all) = (Calendar::default(), [one("certificates/edge", "CN=edge", END)]);
        let mut told = Vec::new();
        // Every hour from 70 days before to a day after; a day of it twice, as somebody sets the clock.
        let hours = (0..71 * 24).chain(40 * 24..41 * 24).chain(69 * 24..72 * 24);
        for hour in hours {
            let at = END - 70 * DAY + hour * 3_600;
            told.extend(calendar.look(&all, at).into_iter().map(|told| (hour / 24, told)));
        }
        let days: Vec<(u64, &str)> = told.iter().map(|(day, told)| (*day, told.word)).collect();
        assert_eq!(
            days,
            [(10, SOON), (40, SOON), (63, SOON), (69, SOON), (70, EXPIRED)]
        );
        let first = &told[0].1;
        assert_eq!(first.places, "certificates/edge");
        assert!(
            first.detail.starts_with("leaf CN=edge (SHA-256 "),
            "{}",
            first.detail
        );
        assert!(
            first
                .detail
                .ends_with("ends 2027-01-15T08:00:00Z, within 60 days; used by to-b"),
            "{}",
            first.detail
        );
    }

    #[test]
    fn what_was_missed_is_told_once_and_nothing_that_came_before_it() {
        let (mut calendar, all) = (Calendar::default(), [one("certificates/edge", "CN=edge", END)]);
        let late = details(calendar.look(&all, END - 3 * DAY));
        assert!(late.len() == 1 && late[0].contains("within 7 days"), "{late:?}");
        assert_eq!(details(calendar.look(&all, END - 20 * DAY)), Vec::<String>::new());
    }

    #[test]
    fn a_start_does_not_tell_again_what_an_earlier_run_told() {
        let all = [one("certificates/edge", "CN=edge", END)];
        let told = details(Calendar::default().look(&all, END - 20 * DAY));
        let detail = told[0].split_once(": ").unwrap().1;
        let event = serde_json::json!({ "id": 7, "event": SOON, "detail": detail }).to_string();
        let mut calendar = Calendar::after([event.as_str(), "{}"].into_iter());
        assert_eq!(details(calendar.look(&all, END - 19 * DAY)), Vec::<String>::new());
        assert_eq!(details(calendar.look(&all, END - 6 * DAY)).len(), 1);
    }

    /// The old and the new root of a transition each have their dates; the same root at two places is told once.
    #[test]
    fn one_certificate_at_two_places_is_told_once_with_both() {
        let all = [
            one("trust/azure-roots", "CN=old", END),
            one("trust/azure-roots", "CN=new", END + 400 * DAY),
            one("trust/others", "CN=old", END),
        ];
        let told = Calendar::default().look(&all, END - 50 * DAY);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].places, "trust/azure-roots, trust/others");
        assert_eq!(all[0].next(END - 50 * DAY), Some(END - 30 * DAY));
        assert_eq!((all[0].next(END - DAY), all[0].next(END)), (Some(END), None));
        assert!(all[0].is_near(END - 50 * DAY) && !all[1].is_near(END - 50 * DAY));
    }

    /// What runs with a root that ends so many days from now.
    fn trusting(days: u64) -> Running {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_after = (SystemTime::now() + Duration::from_secs(days * DAY)).into();
        let key = rcgen::KeyPair::generate().unwrap();
        let root = X509::from_der(params.self_signed(&key).unwrap().der()).unwrap();
        let trust = Trust {
            chain: vec![root],
            revoked: BTreeMap::new(),
            crl: Crl::Relaxed,
            lists: Vec::new(),
        };
        let mut running = Running::nothing();
        running.config.trust.insert("roots".parse().unwrap(), trust);
        running
    }

    /// As far as everybody comes without time passing.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// The clock on the wall may be set while hardly any time passes.
    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_decides_and_a_wrong_one_tells_nothing() {
        let wall = Arc::new(AtomicU64::new(0));
        let (teller, mut heard) = Teller::to_a_test();
        let (shown, view) = watch::channel(Arc::new(View::default()));
        let keys = watch::channel(Arc::default());
        let clock = Arc::clone(&wall);
        let reads = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
        let events = mpsc::channel(1).0;
        tokio::spawn(run((view, keys.1), (teller, events), reads));
        shown.send_replace(Arc::new(View {
            running: Some(Arc::new(trusting(100))),
            ..View::default()
        }));
        settle().await;
        assert!(heard.words().is_empty(), "it is 1970");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let days = [
            (30, vec![]),
            (45, vec![SOON]),
            (46, vec![]),
            (95, vec![SOON]),
            (101, vec![EXPIRED]),
        ];
        for (day, words) in days {
            wall.store(now + day * DAY, Ordering::Relaxed);
            tokio::time::advance(LOOK).await;
            settle().await;
            assert_eq!(heard.words(), words, "day {day}");
        }
    }
}
