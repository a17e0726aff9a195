use std::collections::BTreeMap;

use super::hint::shown;
use super::{Collection, Value};
use crate::Reason;
use crate::document::Node;

/// An object whose keys are taken one by one. What nobody took is reported when the object is dropped.
pub(crate) struct Object<'d> {
    value: Value<'d>,
    entries: BTreeMap<&'d str, &'d Node>,
    known: Vec<&'static str>,
    missing: Reason,
}

impl<'d> Object<'d> {
    pub(super) fn new(value: Value<'d>, written: &'d [(String, Node)]) -> Self {
        let mut entries = BTreeMap::new();
        for (key, node) in written {
            if entries.insert(key.as_str(), node).is_some() {
                value.report().add(
                    &value.at(key),
                    Reason::DuplicateKey,
                    "stands twice here; keep one",
                );
            }
        }
        Self {
            value,
            entries,
            known: Vec::new(),
            missing: Reason::MissingKey,
        }
    }

    /// Has a missing key reported as `reason`.
    pub(crate) fn missing_is(mut self, reason: Reason) -> Self {
        self.missing = reason;
        self
    }

    /// The value of `key`, which may be left out; `null` says the same.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.known.push(key);
        let node = self.entries.remove(key).filter(|node| **node != Node::Null)?;
        Some(self.value.inside(key, node))
    }

    /// What `read` makes of `key`, which must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'d>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key);
        if value.is_none() {
            self.lacks(key, &format!("\"{key}\" must be given"));
        }
        value.and_then(|value| read(&value))
    }

    /// Reports that `key` is needed.
    pub(crate) fn lacks(&self, key: &str, detail: &str) {
        self.value.report().add(&self.value.at(key), self.missing, detail);
    }

    /// What `read` makes of `key`, or `default` where it is left out.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'d>) -> Option<T>,
    ) -> Option<T> {
        self.take(key).map_or(Some(default), |value| read(&value))
    }

    /// Reports what is wrong with `key`, or with its being left out.
    pub(crate) fn faulty(&self, key: &str, reason: Reason, detail: &str) {
        self.value.report().add(&self.value.at(key), reason, detail);
    }

    /// Reports that `key` does not go with another.
    pub(crate) fn conflicts(&self, key: &str, detail: &str) {
        let path = self.value.at(key);
        self.value.report().add(&path, Reason::PolicyInconsistent, detail);
    }

    /// The items of `key` by name; none where it is left out.
    pub(crate) fn collection<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value<'d>) -> Option<T>,
    ) -> Collection<T> {
        self.take(key)
            .map_or_else(Collection::default, |value| Collection::read(&value, read))
    }

    /// Keys of which nothing can be said, for something else is wrong.
    pub(crate) fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            let _whatever = self.take(key);
        }
    }

    /// Every entry, whatever its key; one that is `null` is not there.
    pub(super) fn drain(&mut self) -> Vec<(&'d str, Value<'d>)> {
        let entries = std::mem::take(&mut self.entries);
        entries
            .into_iter()
            .filter(|(_, node)| **node != Node::Null)
            .map(|(key, node)| (key, self.value.inside(key, node)))
            .collect()
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        for key in self.entries.keys() {
            let hint = self.value.report().hint(key, self.known.iter().copied());
            let detail = format!("\"{}\" has no meaning here{hint}", shown(key));
            self.value
                .report()
                .add(&self.value.at(key), Reason::UnknownKey, detail);
        }
    }
}
