//! The README's table of situations, checked.

use std::collections::BTreeSet;

const README: &str = include_str!("README.md");
const FILES: [(&str, &str); 12] = [
    ("child_rekey.rs", include_str!("child_rekey.rs")),
    ("child_collision.rs", include_str!("child_collision.rs")),
    ("child_create.rs", include_str!("child_create.rs")),
    ("child_delete.rs", include_str!("child_delete.rs")),
    ("ike_rekey.rs", include_str!("ike_rekey.rs")),
    ("ike_collision.rs", include_str!("ike_collision.rs")),
    ("ike_delete.rs", include_str!("ike_delete.rs")),
    ("crossing.rs", include_str!("crossing.rs")),
    ("key_exchange.rs", include_str!("key_exchange.rs")),
    ("message_ids.rs", include_str!("message_ids.rs")),
    ("patience.rs", include_str!("patience.rs")),
    ("volume.rs", include_str!("volume.rs")),
];

#[test]
fn every_situation_stands_in_the_table_and_nothing_else() {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<_> = rows
        .filter_map(|row| row.strip_suffix("` |")?.split_once("` | `"))
        .collect();
    let mut present = BTreeSet::new();
    for (file, text) in FILES {
        let tests = text.split("#[test]\nfn ").skip(1);
        present.extend(tests.filter_map(|test| Some((test.split_once('(')?.0, file))));
    }
    let (more, less): (Vec<_>, Vec<_>) = (
        listed.difference(&present).collect(),
        present.difference(&listed).collect(),
    );
    assert!(
        more.is_empty() && less.is_empty(),
        "only listed: {more:?}; not listed: {less:?}"
    );
}
