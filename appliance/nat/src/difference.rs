use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::program::{Chain, Data, Element, Map, Program, UNKNOWN, Value};
use crate::render::TABLE;

/// What has to change in a table, in the order in which nothing is used that is not there.
#[derive(Default)]
struct Change {
    flushed: String,
    removed: String,
    made: String,
    added: String,
    elements: usize,
}

impl Program {
    /// The script that makes of the table of `before` the table of this program, in one transaction, and leaves alone
    /// what both have, counters among it. `None` if it is less work to replace the whole.
    pub fn change(&self, before: &Self) -> Option<String> {
        let mut change = Change::default();
        change.chains(&before.chains, &self.chains)?;
        change.maps(&before.maps, &self.maps)?;
        change.counters(&before.counters(), &self.counters());
        let all: usize = self.maps.iter().map(|map| map.elements.len()).sum();
        let Change {
            flushed,
            removed,
            made,
            added,
            elements,
        } = change;
        let script = format!("{flushed}{removed}table {TABLE} {{\n{made}}}\n{added}");
        (elements <= all).then_some(script)
    }

    /// The names of all counters.
    pub(crate) fn counters(&self) -> BTreeSet<String> {
        let of_bindings = self.bindings.values().flat_map(|binding| {
            let names = [Some(binding.key.to_string()), binding.refused()];
            names.into_iter().flatten()
        });
        of_bindings.chain([UNKNOWN.to_owned()]).collect()
    }
}

impl Change {
    /// A chain that has other lines is emptied and filled again; what is for another hook, or about something else, is
    /// not changed in place.
    fn chains(&mut self, before: &[Chain], after: &[Chain]) -> Option<()> {
        let (before, after) = (by_name(before, chain_name), by_name(after, chain_name));
        for (name, chain) in &before {
            let stays = after.get(name);
            if stays.is_some_and(|stays| stays.hook != chain.hook || stays.about != chain.about) {
                return None;
            }
            if stays != Some(chain) {
                let _ = writeln!(self.flushed, "flush chain {TABLE} {name}");
            }
            if stays.is_none() {
                let _ = writeln!(self.removed, "delete chain {TABLE} {name}");
            }
        }
        for (name, chain) in &after {
            if before.get(name) != Some(chain) {
                let _ = write!(self.made, "{chain}");
            }
        }
        Some(())
    }

    /// A map whose elements are of another kind is not changed in place.
    fn maps(&mut self, before: &[Map], after: &[Map]) -> Option<()> {
        let (before, after) = (by_name(before, map_name), by_name(after, map_name));
        let mut removed = String::new();
        for (name, map) in &before {
            match after.get(name) {
                Some(stays) => removed.push_str(&self.elements(map, stays)?),
                None => {
                    let kind = if map.data == Data::Nothing { "set" } else { "map" };
                    let _ = writeln!(removed, "delete {kind} {TABLE} {name}");
                }
            }
        }
        for (name, map) in &after {
            if !before.contains_key(name) {
                self.elements += map.elements.len();
                let _ = write!(self.made, "{map}");
            }
        }
        // Elements lead to chains, so they go first.
        self.removed.insert_str(0, &removed);
        Some(())
    }

    /// Adds what is new in a map; what is to be removed.
    fn elements(&mut self, before: &Map, after: &Map) -> Option<String> {
        if (before.key, before.data, &before.about) != (after.key, after.data, &after.about) {
            return None;
        }
        if before.elements == after.elements {
            return Some(String::new());
        }
        let known: BTreeMap<&Element, &Value> = before.written().collect();
        let wanted: BTreeMap<&Element, &Value> = after.written().collect();
        let gone = known
            .iter()
            .filter(|(element, value)| wanted.get(*element) != Some(value));
        let gone: Vec<String> = gone.map(|(element, _)| element.to_string()).collect();
        let new = wanted
            .iter()
            .filter(|(element, value)| known.get(*element) != Some(value));
        let new: Vec<String> = new.map(|(element, value)| format!("{element}{value}")).collect();
        self.elements += gone.len() + new.len();
        let command = |word: &str, elements: &[String]| match elements {
            [] => String::new(),
            some => format!(
                "{word} element {TABLE} {} {{ {} }}\n",
                after.name,
                some.join(", ")
            ),
        };
        self.added.push_str(&command("add", &new));
        Some(command("delete", &gone))
    }

    fn counters(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        for name in before.difference(after) {
            let _ = writeln!(self.removed, "delete counter {TABLE} {name}");
        }
        let mut made = String::new();
        for name in after.difference(before) {
            let _ = writeln!(made, "\tcounter {name} {{ packets 0 bytes 0 }}");
        }
        self.made.insert_str(0, &made);
    }
}

fn by_name<'a, T>(all: &'a [T], name: impl Fn(&T) -> &str) -> BTreeMap<&'a str, &'a T>
where
    T: 'a,
{
    all.iter().map(|one| (name(one), one)).collect()
}

fn chain_name(chain: &Chain) -> &str {
    &chain.name
}

fn map_name(map: &Map) -> &str {
    &map.name
}
