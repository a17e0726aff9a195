//! Every cipher, hash and group against strongSwan, each side beginning in turn.

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::suite::{ALL, Suite, WEAK};

use crate::pair::{First, Kind, Pair, tunnels};

fn carries_with(suite: Suite, first: First) -> Value {
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
    for (algorithms, configured) in [
        (&status["ike"]["algorithms"], suite.ike_encryption),
        (&status["children"][0]["algorithms"], suite.esp_encryption),
    ] {
        let algorithms = algorithms.as_str().unwrap_or_default();
        assert!(algorithms.starts_with(name(configured)), "{suite:?}: {status}");
    }
    pair.carries();
    pair.only_esp();
    status
}

/// A cipher of the document as status calls it.
fn name(configured: &str) -> &'static str {
    match configured {
        "GCMAES128" => "AES_GCM_16_128",
        "GCMAES192" => "AES_GCM_16_192",
        "GCMAES256" => "AES_GCM_16_256",
        "CHACHA20POLY1305" => "CHACHA20_POLY1305",
        "AES128" => "AES_CBC_128",
        "AES192" => "AES_CBC_192",
        "AES256" => "AES_CBC_256",
        "DES3" => "3DES",
        "DES" => "DES",
        "None" => "NULL",
        other => panic!("{other} has no name here"),
    }
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

/// Weak algorithms carry for peers that know nothing better, and status names each that is in use.
#[test]
fn weak_suites_carry_and_are_told() {
    let weak: [&[&str]; 3] = [
        &["3DES", "HMAC_SHA1_96", "MODP_1024", "PRF_HMAC_SHA1"],
        &["DES", "HMAC_MD5_96", "MODP_768", "PRF_HMAC_MD5"],
        &["HMAC_SHA1_96", "MODP_1024", "NULL", "PRF_HMAC_SHA1"],
    ];
    for (suite, expected) in WEAK.into_iter().zip(weak) {
        for first in [First::Near, First::Far] {
            let status = carries_with(suite, first);
            let told = status["weak"].as_array().expect("a list");
            assert!(told.iter().all(|weak| weak["in_use"] == true), "{status}");
            let mut names: Vec<_> = told.iter().map(|weak| weak["algorithm"].clone()).collect();
            names.sort_by_key(ToString::to_string);
            assert_eq!(json!(names), json!(expected), "{status}");
        }
    }
}
