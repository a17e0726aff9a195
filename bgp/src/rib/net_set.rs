use super::table::NetId;

/// Bits of one page.
const PAGE: u32 = 4096;

/// A set of prefixes of one table, by their numbers: one bit each, in pages that are there where something is.
#[derive(Debug, Default)]
pub(super) struct NetSet {
    pages: Vec<Option<Box<Page>>>,
    len: u32,
}

#[derive(Debug)]
struct Page {
    words: [u64; 64],
    len: u32,
}

impl NetSet {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, id: NetId) -> bool {
        let (page, word, bit) = place(id);
        let page = self.pages.get(page).and_then(Option::as_deref);
        page.and_then(|page| page.words.get(word))
            .is_some_and(|word| word & bit != 0)
    }

    /// Puts it in; whether it was not there.
    pub(super) fn insert(&mut self, id: NetId) -> bool {
        let (at, word, bit) = place(id);
        if at >= self.pages.len() {
            self.pages.resize_with(at + 1, || None);
        }
        let Some(page) = self.pages.get_mut(at) else {
            return false;
        };
        let page = page.get_or_insert_with(|| {
            Box::new(Page {
                words: [0; 64],
                len: 0,
            })
        });
        let Some(word) = page.words.get_mut(word).filter(|word| **word & bit == 0) else {
            return false;
        };
        *word |= bit;
        page.len += 1;
        self.len += 1;
        true
    }

    /// Takes it out; whether it was there.
    pub(super) fn remove(&mut self, id: NetId) -> bool {
        let (at, word, bit) = place(id);
        let Some(slot) = self.pages.get_mut(at) else {
            return false;
        };
        let Some(page) = slot else {
            return false;
        };
        let Some(word) = page.words.get_mut(word).filter(|word| **word & bit != 0) else {
            return false;
        };
        *word &= !bit;
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            *slot = None;
        }
        true
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = NetId> + '_ {
        self.from(NetId(0))
    }

    /// Those from this one on, in order.
    pub(super) fn from(&self, first: NetId) -> impl Iterator<Item = NetId> + '_ {
        let pages = (0u32..)
            .step_by(PAGE as usize)
            .zip(&self.pages)
            .skip(place(first).0);
        let words = pages
            .filter_map(|(base, page)| Some((base, page.as_deref()?)))
            .flat_map(|(base, page)| (base..).step_by(64).zip(page.words));
        words
            .filter(|(_, word)| *word != 0)
            .flat_map(|(base, word)| bits(word).map(move |bit| NetId(base + bit)))
            .skip_while(move |id| *id < first)
    }
}

fn place(id: NetId) -> (usize, usize, u64) {
    (
        (id.0 / PAGE) as usize,
        (id.0 % PAGE / 64) as usize,
        1 << (id.0 % 64),
    )
}

fn bits(word: u64) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)))
        .take_while(|word| *word != 0)
        .map(u64::trailing_zeros)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It is the set that it stands for, whatever went in and out.
        #[test]
        fn is_a_set(steps in prop::collection::vec((any::<bool>(), 0u32..20_000), 0..400), from in 0u32..20_000) {
            let mut set = NetSet::default();
            let mut model = BTreeSet::new();
            for (put, id) in steps {
                if put {
                    prop_assert_eq!(set.insert(NetId(id)), model.insert(id));
                } else {
                    prop_assert_eq!(set.remove(NetId(id)), model.remove(&id));
                }
                prop_assert_eq!(set.contains(NetId(id)), put);
            }
            prop_assert_eq!(set.len() as usize, model.len());
            let tail: Vec<u32> = set.from(NetId(from)).map(|id| id.0).collect();
            prop_assert_eq!(tail, model.range(from..).copied().collect::<Vec<_>>());
        }
    }
}
