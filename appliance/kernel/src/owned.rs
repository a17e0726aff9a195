//! One class of object: what is wanted beside what is present.

use std::collections::{BTreeMap, BTreeSet};

/// What is wanted and what the kernel has, by key.
#[derive(Debug)]
pub struct Owned<K, V> {
    wanted: BTreeMap<K, V>,
    present: BTreeMap<K, V>,
    adopted: BTreeSet<K>,
    /// Where something is to be done: kept beside, since plans are asked for far more often than much changes.
    open: BTreeSet<K>,
}

/// One step from present to wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<K, V> {
    /// Make what is not there.
    Create(K, V),
    /// Change what is there into what is wanted.
    Replace {
        /// Which object.
        key: K,
        /// What the kernel has.
        from: V,
        /// What it should have.
        to: V,
    },
    /// Take away what nobody wants; the value is what the kernel has.
    Delete(K, V),
}

impl<K, V> Op<K, V> {
    /// Which object the step is about.
    pub fn key(&self) -> &K {
        match self {
            Op::Create(key, _) | Op::Replace { key, .. } | Op::Delete(key, _) => key,
        }
    }
}

impl<K, V> Default for Owned<K, V> {
    fn default() -> Self {
        Owned {
            wanted: BTreeMap::new(),
            present: BTreeMap::new(),
            adopted: BTreeSet::new(),
            open: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> Owned<K, V> {
    /// At start: keeps all that was found and deletes nothing.
    pub fn adopt(found: BTreeMap<K, V>) -> Self {
        let adopted = found.keys().cloned().collect();
        Owned {
            wanted: BTreeMap::new(),
            present: found,
            adopted,
            open: BTreeSet::new(),
        }
    }

    /// Asks for an object; claims it if it was adopted.
    pub fn want(&mut self, key: K, value: V) {
        self.adopted.remove(&key);
        self.wanted.insert(key.clone(), value);
        self.settle(key);
    }

    /// Asks for an object no longer.
    pub fn unwant(&mut self, key: &K) {
        self.wanted.remove(key);
        self.settle(key.clone());
    }

    /// Lets go of adopted objects that nobody has claimed.
    pub fn release(&mut self, which: impl Fn(&K) -> bool) {
        let released: Vec<K> = self.adopted.extract_if(.., |key| which(key)).collect();
        for key in released {
            self.settle(key);
        }
    }

    /// What the kernel says now; `None` is absent.
    pub fn observe(&mut self, key: K, value: Option<V>) {
        if let Some(value) = value {
            self.present.insert(key.clone(), value);
        } else {
            self.adopted.remove(&key);
            self.present.remove(&key);
        }
        self.settle(key);
    }

    /// Something about this key has changed.
    fn settle(&mut self, key: K) {
        if self.step(&key).is_some() {
            self.open.insert(key);
        } else {
            self.open.remove(&key);
        }
    }

    /// All steps from present to wanted, by key; empty once they are equal.
    pub fn plan(&self) -> Vec<Op<K, V>> {
        self.open.iter().filter_map(|key| self.step(key)).collect()
    }

    /// Whether something is to be done about this key.
    pub fn is_open(&self, key: &K) -> bool {
        self.open.contains(key)
    }

    fn step(&self, key: &K) -> Option<Op<K, V>> {
        match (self.wanted.get(key), self.present.get(key)) {
            (Some(to), None) => Some(Op::Create(key.clone(), to.clone())),
            (Some(to), Some(from)) if from != to => Some(Op::Replace {
                key: key.clone(),
                from: from.clone(),
                to: to.clone(),
            }),
            (None, Some(value)) if !self.adopted.contains(key) => {
                Some(Op::Delete(key.clone(), value.clone()))
            }
            (Some(_) | None, Some(_)) | (None, None) => None,
        }
    }

    /// What the kernel has under this key.
    pub fn present(&self, key: &K) -> Option<&V> {
        self.present.get(key)
    }

    /// What is wanted under this key.
    pub fn wanted(&self, key: &K) -> Option<&V> {
        self.wanted.get(key)
    }

    /// All that the kernel has.
    pub fn all_present(&self) -> impl Iterator<Item = (&K, &V)> {
        self.present.iter()
    }

    /// All that is wanted.
    pub fn all_wanted(&self) -> impl Iterator<Item = (&K, &V)> {
        self.wanted.iter()
    }

    /// What was found at start and has not been claimed or released.
    pub fn all_adopted(&self) -> impl Iterator<Item = &K> {
        self.adopted.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Want(u8, u8),
        Unwant(u8),
        Observe(u8, Option<u8>),
        ReleaseBelow(u8),
        Apply,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0u8..8;
        prop_oneof![
            (key.clone(), 0u8..3).prop_map(|(key, value)| Step::Want(key, value)),
            key.clone().prop_map(Step::Unwant),
            (key.clone(), proptest::option::of(0u8..3)).prop_map(|(key, value)| Step::Observe(key, value)),
            key.prop_map(Step::ReleaseBelow),
            Just(Step::Apply),
        ]
    }

    /// A kernel that does what it is told.
    fn apply(table: &mut Owned<u8, u8>) {
        for op in table.plan() {
            match op {
                Op::Create(key, value) | Op::Replace { key, to: value, .. } => {
                    table.observe(key, Some(value))
                }
                Op::Delete(key, _) => table.observe(key, None),
            }
        }
    }

    proptest! {
        /// Whatever happened before, one plan leads to what is wanted, and then nothing is left to do.
        #[test]
        fn plans_converge(found: BTreeMap<u8, u8>, steps in proptest::collection::vec(step(), 0..40)) {
            let mut table = Owned::adopt(found);
            for step in steps {
                match step {
                    Step::Want(key, value) => table.want(key, value),
                    Step::Unwant(key) => table.unwant(&key),
                    Step::Observe(key, value) => table.observe(key, value),
                    Step::ReleaseBelow(limit) => table.release(|key| *key < limit),
                    Step::Apply => apply(&mut table),
                }
            }
            table.release(|_| true);
            apply(&mut table);
            prop_assert_eq!(&table.present, &table.wanted);
            prop_assert_eq!(table.plan(), vec![]);
        }

        /// What was found at start stays until it is released, whatever else is wanted and given up.
        #[test]
        fn adopted_objects_outlive_everything_but_release(
            found: BTreeMap<u8, u8>, steps in proptest::collection::vec(step(), 0..40),
        ) {
            let mut table = Owned::adopt(found.clone());
            let mut untouched: BTreeSet<u8> = found.keys().copied().collect();
            for step in steps {
                match step {
                    Step::Want(key, value) => { table.want(key, value); untouched.remove(&key); }
                    Step::Unwant(key) => table.unwant(&key),
                    Step::Observe(key, None) => { table.observe(key, None); untouched.remove(&key); }
                    Step::Observe(..) => (),
                    Step::ReleaseBelow(limit) => {
                        table.release(|key| *key < limit);
                        untouched.retain(|key| *key >= limit);
                    }
                    Step::Apply => apply(&mut table),
                }
            }
            for key in untouched {
                prop_assert_eq!(table.present(&key), found.get(&key));
            }
        }
    }

    /// Wanting what was adopted, unchanged, costs nothing; changed, it is replaced and never deleted first.
    #[test]
    fn adopted_objects_are_claimed_in_place() {
        let mut table = Owned::adopt(BTreeMap::from([(1, 'a'), (2, 'b'), (3, 'c')]));
        table.want(1, 'a');
        table.want(2, 'B');
        assert_eq!(
            table.plan(),
            vec![Op::Replace {
                key: 2,
                from: 'b',
                to: 'B'
            }]
        );
        table.release(|_| true);
        assert_eq!(
            table.plan(),
            vec![
                Op::Replace {
                    key: 2,
                    from: 'b',
                    to: 'B'
                },
                Op::Delete(3, 'c')
            ]
        );
    }
}
