//! A program put in place of another one by what differs is the same as one that was loaded whole.

use appliance_nat::{Numbers, Program, Rules, compile};

use crate::lab::Lab;
use crate::world::{Dice, World};

const SETS: usize = 20;

/// The same rules without some of them.
fn fewer(rules: &Rules, dice: &mut Dice) -> Rules {
    let mut fewer = rules.clone();
    for tunnel in fewer.tunnels.values_mut() {
        tunnel.ingress.retain(|_, _| !dice.one_in(4));
        tunnel.egress.retain(|_, _| !dice.one_in(4));
    }
    let has_rules = |tunnel: &appliance_nat::Tunnel| !tunnel.ingress.is_empty() || !tunnel.egress.is_empty();
    fewer.tunnels.retain(|_, tunnel| has_rules(tunnel));
    fewer
}

/// What the kernel has, in an order that does not depend on when what was made.
fn listed(lab: &Lab) -> Vec<String> {
    let listing = lab.nft(&["list", "table", "inet", "causeway_nat"], "");
    let mut blocks: Vec<String> = listing
        .trim_start_matches("table inet causeway_nat {")
        .split("\n\t}\n")
        .map(|block| match block.split_once("elements = {") {
            Some((head, elements)) => {
                let words: Vec<&str> = elements.trim_end_matches('}').split_whitespace().collect();
                let joined = words.join(" ");
                let mut each: Vec<&str> = joined
                    .split(',')
                    .map(|one| one.trim_matches([' ', '}']))
                    .collect();
                each.sort_unstable();
                format!("{}{}", head.trim(), each.join(","))
            }
            None => block.trim().to_owned(),
        })
        .collect();
    blocks.sort_unstable();
    blocks
}

/// Changes the table; what it is then, and what it is when loaded whole. `false` if the whole is less work.
fn is_the_same(lab: &Lab, before: &Program, after: &Program) -> bool {
    let Some(script) = after.change(before) else {
        return false;
    };
    lab.apply(before);
    lab.nft(&["-c", "-f", "-"], &script);
    lab.nft(&["-f", "-"], &script);
    let changed = listed(lab);
    lab.apply(after);
    let whole = listed(lab);
    let differs: Vec<_> = changed
        .iter()
        .zip(&whole)
        .filter(|(one, other)| one != other)
        .collect();
    assert!(changed == whole, "{differs:#?}\n{script}");
    true
}

#[test]
fn what_differs_makes_the_same_table() {
    let lab = Lab::new(&["lan"], &[]);
    let mut changed = 0;
    for seed in 1..=u64::try_from(SETS).unwrap() {
        let many = World::random(seed).rules;
        let few = fewer(&many, &mut Dice(seed ^ 5));
        let first = compile(&many, &Numbers::default()).unwrap();
        let second = compile(&few, first.numbers()).unwrap();
        let third = compile(&World::random(seed + 1000).rules, second.numbers()).unwrap();
        for (before, after) in [
            (&first, &second),
            (&second, &first),
            (&second, &third),
            (&first, &first),
        ] {
            changed += usize::from(is_the_same(&lab, before, after));
        }
    }
    println!("{changed} of {} changed in place", 4 * SETS);
    assert!(changed > 2 * SETS, "most are changed in place");
}
