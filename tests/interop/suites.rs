//! Every cipher, hash and group against strongSwan, each side beginning in turn.

use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::suite::{ALL, Suite};

use crate::pair::{First, Kind, Pair, tunnels};

fn carries_with(suite: Suite, first: First) {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (near, far) = tunnels(&sites);
    let pair = Pair::start(
        run,
        sites,
        (near.with(suite), far.with(suite)),
        (Kind::StrongSwan, first),
    );
    let status = pair.wait();
    let (ike, esp) = (
        status["ike"]["algorithms"].to_string(),
        status["children"][0]["algorithms"].to_string(),
    );
    assert_eq!(
        ike.contains("GCM"),
        suite.ike_encryption.starts_with("GCM"),
        "{suite:?}: {status}"
    );
    assert_eq!(
        esp.contains("GCM"),
        suite.esp_encryption.starts_with("GCM"),
        "{suite:?}: {status}"
    );
    pair.carries();
    pair.only_esp();
}

#[test]
fn suites_carry_when_causeway_begins() {
    for suite in ALL.into_iter().step_by(2) {
        carries_with(suite, First::Near);
    }
}

#[test]
fn suites_carry_when_strongswan_begins() {
    for suite in ALL.into_iter().skip(1).step_by(2) {
        carries_with(suite, First::Far);
    }
}
