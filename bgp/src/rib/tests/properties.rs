//! Whatever happens in whatever order, the tables are as if everything had been worked out anew.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use proptest::prelude::*;

use super::world::{NEIGHBOURS, PREFIXES, Step, World, step};
use crate::Family;
use crate::rib::sample::{self, prefix};
use crate::rib::{PrefixFilter, RouteQuery, RouteRow, RouteView};
use crate::wire::attribute::Attributes;

impl World {
    /// Everything that is queued goes out; then everything must be as the model says.
    fn settle(&mut self) {
        self.take(Step::Defer(false));
        self.changes();
        for number in 1..=NEIGHBOURS {
            for _ in 0..1000 {
                self.write(number, 50);
            }
            assert_eq!(self.rib.write(self.peer(number), 50), [], "it ends");
        }
    }

    fn check(&self) {
        let prefixes: BTreeSet<IpNet> = PREFIXES.map(prefix).into();
        for to in &prefixes {
            let expected = self.model.ways(*to);
            assert_eq!(
                self.kernel.get(to).map_or(&[][..], |ways| &ways[..]),
                expected,
                "the kernel's route to {to}"
            );
            for (number, receiver) in &self.receivers {
                assert_eq!(
                    receiver.routes.get(to),
                    self.model.sent(*number, *to).as_ref(),
                    "{to} at neighbour {number}"
                );
            }
        }
        for (number, receiver) in &self.receivers {
            assert!(
                receiver.ends.is_sorted() && receiver.ends.len() <= 2,
                "{number}: {:?}",
                receiver.ends
            );
        }
        Family::ALL
            .into_iter()
            .for_each(|family| self.check_counts(family));
    }

    fn check_counts(&self, family: Family) {
        let prefixes = || {
            PREFIXES
                .map(prefix)
                .into_iter()
                .filter(move |to| Family::of_prefix(to) == family)
        };
        let settings = &self.model.settings;
        let is_static = |to: &IpNet| {
            settings.own.contains(to) || settings.sites.values().flatten().any(|site| site == to)
        };
        let best = prefixes()
            .filter(|to| is_static(to) || !self.model.used(*to).is_empty())
            .count();
        assert_eq!(self.rib.best(family) as usize, best);
        for number in 1..=NEIGHBOURS {
            let counts = self.rib.counts(self.peer(number), family);
            let paths = || {
                self.model
                    .paths
                    .iter()
                    .filter(|((from, to, _), _)| *from == number && Family::of_prefix(to) == family)
            };
            let received: BTreeSet<IpNet> = paths().map(|((_, to, _), _)| *to).collect();
            let accepted =
                paths().filter(|((_, to, _), (path, _))| self.model.accepted(number, *to, path).is_some());
            let accepted: BTreeSet<IpNet> = accepted.map(|((_, to, _), _)| *to).collect();
            let sent = self.receivers.get(&number).map_or(0, |receiver| {
                receiver
                    .routes
                    .keys()
                    .filter(|to| Family::of_prefix(to) == family)
                    .count()
            });
            let found = (
                counts.received as usize,
                counts.accepted as usize,
                counts.advertised as usize,
            );
            assert_eq!(
                found,
                (received.len(), accepted.len(), sent),
                "neighbour {number}, {family}"
            );
        }
        self.check_views(family);
    }

    /// Views, page by page, show what the model holds.
    fn check_views(&self, family: Family) {
        let of = |to: &IpNet| Family::of_prefix(to) == family;
        let rows = self.rows(RouteView::Received, family);
        let found: BTreeSet<_> = rows
            .iter()
            .map(|row| (row.from.clone(), row.prefix, row.path, row.stale))
            .collect();
        let paths = self.model.paths.iter().filter(|((_, to, _), _)| of(to));
        let expected: BTreeSet<_> = paths
            .map(|((from, to, id), (_, stale))| (Some(sample::name(*from)), *to, *id, *stale))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(rows.len(), found.len(), "nothing twice");
        let advertised = self.rows(RouteView::Advertised, family);
        let found: BTreeMap<_, _> = advertised
            .iter()
            .map(|row| {
                (
                    (row.to.clone().unwrap(), row.prefix),
                    Attributes::clone(&row.attributes),
                )
            })
            .collect();
        let had = self.receivers.iter().flat_map(|(number, receiver)| {
            receiver
                .routes
                .iter()
                .map(|(to, route)| ((sample::name(*number), *to), route.clone()))
        });
        assert_eq!(found, had.filter(|((_, to), _)| of(to)).collect());
    }

    fn rows(&self, view: RouteView, family: Family) -> Vec<RouteRow> {
        let mut rows = Vec::new();
        let everything = PrefixFilter::Inside(prefix(if family == Family::Ipv4 {
            "0.0.0.0/0"
        } else {
            "::/0"
        }));
        let filters = [None, Some(everything)];
        let mut after = None;
        for page in 0.. {
            let query = RouteQuery {
                view,
                family,
                neighbour: None,
                filter: filters[page % 2],
                after,
                limit: 2,
            };
            let page = self.rib.routes(&query);
            rows.extend(page.routes);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        rows
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The tables, the kernel, every neighbour and every count are as the model says, whatever happened.
    #[test]
    fn the_tables_are_as_worked_out_anew(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
        world.check();
    }

    /// When everything was taken back, nothing is left but what is ours.
    #[test]
    fn nothing_is_left_behind(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        (1..=NEIGHBOURS).for_each(|number| world.take(Step::Forget(number, true)));
        world.settle();
        (1..=NEIGHBOURS).for_each(|number| world.take(Step::Close(number)));
        world.take(Step::Configure(3));
        world.settle();
        prop_assert_eq!(world.kernel.len(), 0);
        prop_assert_eq!(world.rib.prefixes_known(), 1);
        prop_assert_eq!(world.rib.attributes_known(), 0);
    }
}
