//! Post-quantum preshared keys (RFC 8784).

use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Ppk;

use crate::pair::{First, Kind, Pair, tunnels};

const PPK: Ppk = Ppk {
    id: "office",
    secret: "0123456789abcdef0123456789abcdef",
    required: true,
};

/// A pair with strongSwan, where each side has a key or none.
fn pair(first: First, near: Option<Ppk>, far: Option<Ppk>) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let mut both = tunnels(&sites);
    (both.0.ppk, both.1.ppk) = (near, far);
    Pair::start(run, sites, both, (Kind::StrongSwan, first))
}

/// It is mixed into the keys, also into those of the SAs that replace the first ones.
#[test]
fn both_sides_mix_the_key_in() {
    for first in [First::Near, First::Far] {
        let pair = pair(first, Some(PPK), Some(PPK));
        let status = pair.wait();
        let extensions = status["ike"]["extensions"].as_array().expect("a list");
        assert!(extensions.iter().any(|word| word == "ppk"), "{status}");
        pair.carries();
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.through(StrongSwan::rekey_ike, "/ike/initiator_spi");
        pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
        pair.carries();
        pair.only_esp();
    }
}

/// Where neither side insists, a key that only one has is left out.
#[test]
fn a_key_that_only_one_side_has_is_left_out() {
    let may = Some(Ppk {
        required: false,
        ..PPK
    });
    for first in [First::Near, First::Far] {
        for (near, far) in [(may, None), (None, may)] {
            let pair = pair(first, near, far);
            let status = pair.wait();
            let extensions = status["ike"]["extensions"].as_array().expect("a list");
            assert!(extensions.iter().all(|word| word != "ppk"), "{status}");
            pair.carries();
        }
    }
}

/// Who insists refuses a peer without the key, and who has another key is refused; our status says so, and by whom.
#[test]
fn a_required_key_that_the_other_side_lacks_is_told() {
    let another = Some(Ppk {
        secret: "another.one.another.one.another.",
        ..PPK
    });
    for (first, near, far, side) in [
        (First::Near, Some(PPK), None, "we"),
        (First::Near, None, Some(PPK), "peer"),
        (First::Near, Some(PPK), another, "peer"),
        (First::Far, Some(PPK), None, "we"),
        (First::Far, Some(PPK), another, "we"),
    ] {
        let pair = pair(first, near, far);
        wait::until("the reason", SOON, || {
            let status = pair.near.connection("peer")?;
            let outage = &status["outage"];
            let told = outage["reason"] == "authentication-failed" && outage["side"] == side;
            anyhow::ensure!(told, "{status}");
            Ok(())
        })
        .unwrap();
    }
}
