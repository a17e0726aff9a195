use std::collections::BTreeMap;

use super::Value;
use super::hint::shown;
use crate::Reason;
use crate::model::Name;

/// Items by name, among them those that could not be read: these are still there to be referred to.
pub(crate) struct Collection<T> {
    items: BTreeMap<Name, Option<T>>,
    complete: bool,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            complete: true,
        }
    }
}

impl<T> Collection<T> {
    /// Nothing is known of the items, so nothing that refers to one is wrong.
    pub(crate) fn unknown() -> Self {
        Self {
            items: BTreeMap::new(),
            complete: false,
        }
    }

    pub(crate) fn read<'d>(value: &Value<'d>, read: impl Fn(&Value<'d>) -> Option<T>) -> Self {
        let Some(mut object) = value.object() else {
            return Self::unknown();
        };
        let mut collection = Self::default();
        for (key, value) in object.drain() {
            let item = read(&value);
            match key.parse::<Name>() {
                Ok(name) => {
                    collection.items.insert(name, item);
                }
                Err(error) => {
                    value.problem(Reason::InvalidName, error.to_string());
                    collection.complete = false;
                }
            }
        }
        collection
    }

    /// What `complete` makes of every item that could be read.
    pub(crate) fn map<U>(self, complete: impl Fn(T) -> U) -> Collection<U> {
        let items = self.items.into_iter();
        Collection {
            items: items.map(|(name, item)| (name, item.map(&complete))).collect(),
            complete: self.complete,
        }
    }

    /// Adds an item that every document has; tells whether it took the place of another.
    pub(crate) fn insert(&mut self, name: Name, item: T) -> bool {
        self.items.insert(name, Some(item)).is_some()
    }

    /// The items that could be read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &T)> {
        self.items
            .iter()
            .filter_map(|(name, item)| Some((name, item.as_ref()?)))
    }

    /// The item with this name, if it is there and could be read.
    pub(crate) fn find(&self, name: &Name) -> Option<&T> {
        self.items.get(name)?.as_ref()
    }

    /// It is known that there is no item with this name.
    pub(crate) fn lacks(&self, name: &Name) -> bool {
        self.complete && !self.items.contains_key(name)
    }

    /// Every item could be read.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete && self.items.values().all(Option::is_some)
    }

    /// It is known that there are no items.
    pub(crate) fn is_empty(&self) -> bool {
        self.complete && self.items.is_empty()
    }

    /// It is known that there are several items.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.items.len() > 1
    }

    /// All items, if every one could be read.
    pub(crate) fn all(self) -> Option<BTreeMap<Name, T>> {
        let items = self.items.into_iter().map(|(name, item)| Some((name, item?)));
        items.collect::<Option<_>>().filter(|_| self.complete)
    }
}

impl<T: Clone> Collection<T> {
    /// The only item there is.
    pub(crate) fn only(&self) -> Option<(Name, T)> {
        let (name, item) = self.items.iter().next().filter(|_| self.items.len() == 1)?;
        Some((name.clone(), item.clone()?))
    }

    /// The item that `reference` names. A `kind` of that name that is not there is reported at the reference.
    pub(crate) fn follow(&self, reference: &Value<'_>, kind: &str) -> Option<(Name, T)> {
        let name = reference.name()?;
        let item = self.items.get(&name).cloned();
        if item.is_none() {
            self.has(reference, &name, kind);
        }
        Some((name, item??))
    }
}

impl<T> Collection<T> {
    /// Whether there may be an item of this name. A `kind` of it that is not there is reported at the reference.
    pub(crate) fn has(&self, reference: &Value<'_>, name: &Name, kind: &str) -> bool {
        let there = self.items.contains_key(name);
        if !there && self.complete {
            let names = self.items.keys().map(Name::as_str);
            let hint = reference.report().hint(name.as_str(), names);
            let detail = format!("there is no {kind} \"{}\"{hint}", shown(name.as_str()));
            reference.problem(Reason::DanglingReference, detail);
        }
        there
    }
}
