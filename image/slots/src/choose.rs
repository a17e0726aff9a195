use crate::table::{Slot, Table};

/// What the boot loader does at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The slot that it starts.
    pub slot: Slot,
    /// The table that it leaves, stored before it starts anything.
    pub table: Table,
}

/// The slot of the next start: that on trial while it has tries, and each start takes one; else the one that is known to work.
///
/// `image/rootfs/grub.cfg` does the same.
pub fn next_start(table: &Table) -> Start {
    let idle = table.good.other();
    match table.tries {
        Some(tries) if tries > 0 && table.content(idle).is_some() => Start {
            slot: idle,
            table: Table {
                tries: Some(tries - 1),
                ..table.clone()
            },
        },
        Some(_) | None => Start {
            slot: table.good,
            table: table.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::{Content, Transition};
    use crate::tree::Root;

    fn content(build: u64) -> Content {
        Content {
            version: format!("0.1.{build}"),
            build,
            blocks: 100 + build,
            root: Root([u8::try_from(build % 256).unwrap(); 32]),
        }
    }

    /// A disk: its table, and what really is in each slot, `None` while it is half written.
    #[derive(Debug, Clone)]
    struct Disk {
        table: Table,
        slots: [Option<u64>; 2],
        works: fn(u64) -> bool,
    }

    impl Disk {
        fn new() -> Self {
            let table = Table {
                good: Slot::A,
                tries: None,
                a: Some(content(0)),
                b: None,
            };
            // Every third build never becomes healthy.
            let works = |build| build % 3 != 2;
            Self {
                table,
                slots: [Some(0), None],
                works,
            }
        }

        fn really(&mut self, slot: Slot) -> &mut Option<u64> {
            let [a, b] = &mut self.slots;
            match slot {
                Slot::A => a,
                Slot::B => b,
            }
        }

        /// An update, cut off after so many writes; whether it ran to its end.
        fn update(&mut self, build: u64, writes: usize) -> bool {
            let idle = self.table.good.other();
            let writing = self.table.after(Transition::Writing);
            let written = writing.after(Transition::Written(content(build)));
            let on_trial = written.after(Transition::Try);
            let steps: [&dyn Fn(&mut Self); 5] = [
                &|disk| disk.table = writing.clone(),
                &|disk| *disk.really(idle) = None,
                &|disk| *disk.really(idle) = Some(build),
                &|disk| disk.table = written.clone(),
                &|disk| disk.table = on_trial.clone(),
            ];
            steps.iter().take(writes).for_each(|step| step(self));
            writes >= steps.len()
        }

        /// A start; the build that runs. Whatever is started must be whole.
        fn start(&mut self, cut_before_good: bool) -> u64 {
            let start = next_start(&self.table);
            self.table = start.table;
            let build = self
                .really(start.slot)
                .expect("a slot that is half written was started");
            let told = self
                .table
                .content(start.slot)
                .expect("a slot without content was started");
            assert_eq!(told.build, build);
            let on_trial = start.slot != self.table.good;
            if on_trial && (self.works)(build) && !cut_before_good {
                self.table = self.table.after(Transition::Good(start.slot));
            }
            build
        }
    }

    proptest! {
        /// Whenever the power goes, the next start finds a whole system, and after three starts one that works.
        #[test]
        fn a_power_cut_at_any_step_leaves_a_system_that_works(
            cuts in prop::collection::vec((0_usize..=6, any::<bool>()), 1..20)
        ) {
            let mut disk = Disk::new();
            for (number, (writes, cut)) in cuts.into_iter().enumerate() {
                disk.update(u64::try_from(number).unwrap() + 1, writes);
                let first = disk.start(cut);
                let second = disk.start(false);
                let third = disk.start(false);
                prop_assert!((disk.works)(third), "{first} {second} {third}");
                prop_assert!((disk.works)(disk.really(disk.table.good).unwrap()));
            }
        }

        /// An update that ran to its end and works is what runs, although the power went once before it was good.
        #[test]
        fn an_update_that_works_stays(build in 1_u64..1000, cut: bool) {
            let mut disk = Disk::new();
            prop_assert!(disk.update(build, 5));
            disk.start(cut);
            disk.start(false);
            let expected = if (disk.works)(build) { build } else { 0 };
            prop_assert_eq!(disk.start(false), expected);
        }
    }
}
