//! IKE_AUTH without a Child SA (RFC 6023).

use serde_json::Value;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::suite::CUSTOM;

use crate::pair::{First, Kind, Pair, tunnels};

/// A pair with strongSwan whose sides want this.
fn pair(first: First, near: &'static str, far: &'static str) -> Pair {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (mine, other) = tunnels(&sites);
    let (mut mine, mut other) = (mine.with(CUSTOM), other.with(CUSTOM));
    (mine.childless, other.childless) = (near, far);
    Pair::start(run, sites, (mine, other), (Kind::StrongSwan, first))
}

fn is_childless(status: &Value) -> bool {
    let extensions = status["ike"]["extensions"].as_array().expect("a list");
    extensions.iter().any(|word| word == "childless")
}

/// The first Child SA has a key exchange of its own, for it came after IKE_AUTH.
#[test]
fn the_first_child_comes_after_ike_auth() {
    for (first, near, far) in [
        (First::Near, "force", "allow"),
        (First::Near, "force", "force"),
        (First::Far, "allow", "force"),
        (First::Far, "force", "force"),
    ] {
        let pair = pair(first, near, far);
        let status = pair.wait();
        let child = status["children"][0]["algorithms"].as_str();
        assert!(child.is_some_and(|words| words.ends_with("/ECP_256")), "{status}");
        assert!(is_childless(&status), "{status}");
        pair.carries();
        pair.only_esp();
    }
}

/// Where one side does not go without, IKE_AUTH makes it; who insists on the contrary says why the tunnel is down.
#[test]
fn a_side_that_does_not_go_without_is_given_its_child() {
    for (first, near, far) in [(First::Near, "allow", "never"), (First::Far, "never", "allow")] {
        let pair = pair(first, near, far);
        let status = pair.wait();
        let child = &status["children"][0]["algorithms"];
        assert_eq!(child, "AES_CBC_256/HMAC_SHA2_256_128", "{status}");
        assert!(!is_childless(&status), "{status}");
        pair.carries();
    }
    let pair = pair(First::Near, "force", "never");
    wait::until("the reason", SOON, || {
        let status = pair.near.connection("peer")?;
        let outage = &status["outage"];
        let told = outage["reason"] == "protocol-error" && outage["expected"] == "CHILDLESS_IKEV2_SUPPORTED";
        anyhow::ensure!(told, "{status}");
        Ok(())
    })
    .unwrap();
}
