use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::wire::attribute::Attributes;

/// Below this many, sets that nobody uses are not looked for.
const FEW: usize = 1024;

/// Attribute sets that are alike, kept once; two that are shared are equal exactly if they are the same.
#[derive(Debug, Default)]
pub(super) struct SharedAttributes {
    table: HashTable<(u64, Arc<Attributes>)>,
    /// With so many, those that nobody uses any more are dropped.
    full: usize,
}

impl SharedAttributes {
    /// The one that is kept and equals this; this itself if none does.
    pub(super) fn share(&mut self, attributes: &Arc<Attributes>) -> Arc<Attributes> {
        // The same for every run: what depends on order must not vary.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(attributes.as_ref());
        let known = self
            .table
            .find(hash, |(other, known)| *other == hash && known == attributes);
        if let Some((_, known)) = known {
            return known.clone();
        }
        if self.table.len() >= self.full {
            self.drop_unused();
        }
        self.table
            .insert_unique(hash, (hash, attributes.clone()), |(hash, _)| *hash);
        attributes.clone()
    }

    /// Drops those that nobody else holds.
    pub(super) fn drop_unused(&mut self) {
        self.table
            .retain(|(_, attributes)| Arc::strong_count(attributes) > 1);
        self.full = FEW.max(self.table.len() * 2);
        self.table.shrink_to(self.table.len(), |(hash, _)| *hash);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
