use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::{Input, NeighbourName, Way};
use ike::ConnectionName;
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use crate::datapath::{LearntRoute, Request};

/// So many changes go to the kernel at once; its owner then hears others before the next ones.
const AT_ONCE: usize = 4096;

/// Changes of routes on their way to the kernel: while some are, those that follow are gathered, the last one of each prefix.
#[derive(Default)]
pub(super) struct Routes {
    waiting: BTreeMap<IpNet, Option<Arc<[Way]>>>,
    under_way: Option<oneshot::Receiver<()>>,
    /// What an earlier run left may go after all of this.
    release: bool,
    /// What the kernel does not take, as the speaker knows it.
    refused: BTreeMap<IpNet, String>,
}

impl Routes {
    /// A prefix has these ways now, or none.
    pub(super) fn change(&mut self, prefix: IpNet, ways: Option<Arc<[Way]>>) {
        self.waiting.insert(prefix, ways);
    }

    /// Nothing of an earlier run is to be kept any more.
    pub(super) fn release(&mut self) {
        self.release = true;
    }

    /// Hands on what waits, if the kernel is done with what went before.
    pub(super) async fn hand_on(&mut self, network: &mpsc::Sender<Request>) {
        if self.under_way.is_some() {
            return;
        }
        if self.waiting.is_empty() {
            if std::mem::take(&mut self.release) {
                // Only when everything stops; wiring then ends the process.
                let _stopped = network.send(Request::ReleaseLearnt).await;
            }
            return;
        }
        let rest = match self.waiting.keys().nth(AT_ONCE).copied() {
            Some(beyond) => self.waiting.split_off(&beyond),
            None => BTreeMap::new(),
        };
        let now = std::mem::replace(&mut self.waiting, rest);
        let (answer, done) = oneshot::channel();
        let changes = now.into_iter().map(learnt).collect();
        let _stopped = network.send(Request::Learnt(changes, answer)).await;
        self.under_way = Some(done);
    }

    /// Waits until the kernel is done with what is under way.
    pub(super) async fn done(&mut self) {
        match &mut self.under_way {
            Some(done) => {
                let _gone = done.await;
                self.under_way = None;
            }
            None => std::future::pending().await,
        }
    }

    /// What the kernel refuses now; what changed is returned for the speaker.
    pub(super) fn refused(&mut self, refused: &BTreeMap<IpNet, String>) -> Vec<Input> {
        if *refused == self.refused {
            return Vec::new();
        }
        let prefixes: BTreeSet<IpNet> = refused.keys().chain(self.refused.keys()).copied().collect();
        let changed = prefixes
            .into_iter()
            .filter(|prefix| refused.get(prefix) != self.refused.get(prefix));
        let inputs = changed.map(|prefix| match refused.get(&prefix) {
            Some(why) => Input::RouteRefused(prefix, why.clone()),
            None => Input::RouteTaken(prefix),
        });
        let inputs = inputs.collect();
        self.refused.clone_from(refused);
        inputs
    }
}

fn learnt((prefix, ways): (IpNet, Option<Arc<[Way]>>)) -> LearntRoute {
    match ways {
        Some(ways) => LearntRoute::Set(
            prefix,
            ways.iter().map(|way| connection(&way.neighbour)).collect(),
        ),
        None => LearntRoute::Remove(prefix),
    }
}

/// A neighbour has the name of the connection that its session passes.
pub(super) fn connection(neighbour: &NeighbourName) -> ConnectionName {
    ConnectionName(neighbour.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(number: u32) -> IpNet {
        IpNet::V4(ipnet::Ipv4Net::new((number << 8).into(), 24).unwrap())
    }

    fn ways(neighbour: &str) -> Option<Arc<[Way]>> {
        let way = Way {
            neighbour: NeighbourName(neighbour.into()),
            next_hop: [169, 254, 21, 1].into(),
        };
        Some([way].into())
    }

    /// So that children of other connections are installed in between, and a route that flaps is one change.
    #[tokio::test]
    async fn changes_go_in_parts_and_the_last_one_counts() {
        let (network, mut requests) = mpsc::channel(8);
        let mut routes = Routes::default();
        for number in 0..5000 {
            routes.change(prefix(number), ways("a"));
        }
        routes.release();
        routes.hand_on(&network).await;
        routes.change(prefix(4999), None);
        routes.change(prefix(4999), ways("b"));
        routes.hand_on(&network).await;
        let Ok(Request::Learnt(changes, answer)) = requests.try_recv() else {
            panic!("nothing went");
        };
        assert_eq!(changes.len(), AT_ONCE);
        assert!(requests.try_recv().is_err(), "it waits for the answer");
        answer.send(()).unwrap();
        routes.done().await;
        routes.hand_on(&network).await;
        let Ok(Request::Learnt(changes, answer)) = requests.try_recv() else {
            panic!("the rest did not go");
        };
        assert_eq!(changes.len(), 5000 - AT_ONCE);
        let last = LearntRoute::Set(prefix(4999), vec![ConnectionName("b".into())]);
        assert_eq!(changes.last(), Some(&last));
        answer.send(()).unwrap();
        routes.done().await;
        routes.hand_on(&network).await;
        assert!(matches!(requests.try_recv(), Ok(Request::ReleaseLearnt)));
    }

    #[test]
    fn what_is_refused_is_told_once_and_so_is_that_it_is_no_more() {
        let mut routes = Routes::default();
        let refused = BTreeMap::from([(prefix(1), "no room".to_owned())]);
        let told = routes.refused(&refused);
        assert!(matches!(told.as_slice(), [Input::RouteRefused(found, _)] if *found == prefix(1)));
        assert!(routes.refused(&refused).is_empty());
        let told = routes.refused(&BTreeMap::new());
        assert!(matches!(told.as_slice(), [Input::RouteTaken(found)] if *found == prefix(1)));
    }
}
