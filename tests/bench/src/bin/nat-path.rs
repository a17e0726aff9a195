//! What rules of translation cost a packet: one TCP stream through a static rule with 1, 100 and 500 rules present, how many
//! new flows a second these let begin, and whether 50,000 flows of a dynamic rule are held at once.
//!
//! Against the same rules as a list for nftables that somebody writes by hand, a line for each direction of a rule, in namespaces
//! laid out alike. Tunnels are plain links here, so that nothing else costs anything. All take turns.
//!
//! Arguments: how many turns (5), how many seconds each stream lasts (2).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_bench::translation::{Scene, by_hand, dynamic, program};
use system_bench::{median, print};

/// How many rules there are.
const COUNTS: [u16; 3] = [1, 100, 500];
/// How many flows begin in one measurement.
const FLOWS: u16 = 20_000;
/// How many a dynamic rule is to hold at once.
const HELD: u16 = 50_000;

/// What was measured of one case, ours and the peer's.
type Figures = BTreeMap<String, [Vec<u128>; 2]>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (turns, time) = (number(5)?, Duration::from_secs(number(2)?));
    let mut figures = Figures::new();
    let mut held = Vec::new();
    for _ in 0..turns {
        for count in COUNTS {
            for (place, rules) in [program(count)?, by_hand(count)].iter().enumerate() {
                let scene = Scene::new(rules)?;
                note(
                    &mut figures,
                    format!("throughput-{count}"),
                    place,
                    scene.throughput(time)?,
                );
                note(
                    &mut figures,
                    format!("new-flows-{count}"),
                    place,
                    scene.begin(FLOWS)?,
                );
            }
        }
        let scene = Scene::new(&dynamic()?)?;
        held.push(scene.begin(HELD)?);
        let flows = scene.flows()?;
        ensure!(flows >= HELD.into(), "{flows} of {HELD} flows are held");
    }
    let rate = median(held).context("no turns")?;
    print(&format!("nat-path/dynamic-{HELD}-held ours={rate}/s"));
    for (case, [ours, theirs]) in figures {
        let (ours, theirs) = (
            median(ours).context("no turns")?,
            median(theirs).context("no turns")?,
        );
        let hundredths = ours * 100 / theirs.max(1);
        let unit = if case.starts_with("throughput") {
            "Mbit/s"
        } else {
            "/s"
        };
        print(&format!(
            "nat-path/{case} ours={ours}{unit} peer={theirs}{unit} ratio={}.{:02}",
            hundredths / 100,
            hundredths % 100
        ));
    }
    Ok(())
}

fn note(figures: &mut Figures, case: String, place: usize, figure: u128) {
    if let Some(measured) = figures.entry(case).or_default().get_mut(place) {
        measured.push(figure);
    }
}
