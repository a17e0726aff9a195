//! strongSwan in the place of an Azure VPN gateway without a policy of its own, and `azure-default` on our side.

use serde_json::Value;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::peer::strongswan::StrongSwan;

use crate::pair::{First, Kind, Pair, tunnels};

/// What Azure offers and takes for the IKE SA, group 2 only, in its order (*About VPN devices and IPsec/IKE parameters*).
const IKE: &str = "aes256-sha1-modp1024, aes256-sha256-modp1024, aes128-sha1-modp1024, aes128-sha256-modp1024, \
                   3des-sha1-modp1024, 3des-sha256-modp1024";
/// What Azure offers for Child SAs, in its order: never a key exchange.
const OFFERED: &str = "aes256gcm16, aes256-sha1, 3des-sha1, aes256-sha256, aes128-sha1, 3des-sha256";
/// What Azure takes for Child SAs, in its order.
const TAKEN: &str = "aes256gcm16, aes256-sha1, 3des-sha1, aes256-sha256, aes128-sha1, 3des-sha256, des-sha1, \
                     aes256-sha1-modp768, aes256-sha1-modp1024, aes256-sha1-modp2048, aes128-sha1-modp768, \
                     aes128-sha1-modp1024, aes128-sha1-modp2048, 3des-sha1-modp768, 3des-sha1-modp1024, \
                     3des-sha256-modp1024, aes256-sha256-modp768, aes256-sha256-modp1024, aes256-sha256-modp2048, \
                     aes256-sha1-modp2048s256, aes256-sha256-modp2048s256, aes128-sha256, aes128-sha256-modp768, \
                     aes128-sha256-modp1024, aes128-sha256-modp2048, 3des-sha1-modp2048";

/// A tunnel with a peer that has these proposals for Child SAs, up, with its status.
fn up(esp: &'static str, first: First) -> (Pair, Value) {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (mut near, mut far) = tunnels(&sites);
    near.built_in = Some("azure-default");
    far.offers = Some((IKE, esp));
    let pair = Pair::start(run, sites, (near, far), (Kind::StrongSwan, first));
    let status = pair.wait();
    assert_eq!(
        status["ike"]["algorithms"], "AES_CBC_256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
        "{status}"
    );
    (pair, status)
}

/// The peer replaces the Child SA, and not a packet is lost; what the new one uses.
fn replaced(pair: &Pair) -> Value {
    pair.through(StrongSwan::rekey_child, "/children/0/inbound_spi");
    pair.near.connection("peer").unwrap()["children"][0]["algorithms"].clone()
}

/// Azure answers with the first of its list, Azure offers and we take the first of it; neither has a key exchange when
/// Azure replaces the Child SA.
#[test]
fn azures_lists_agree_in_both_roles() {
    for (first, esp) in [(First::Near, TAKEN), (First::Far, OFFERED)] {
        let (pair, status) = up(esp, first);
        assert_eq!(status["children"][0]["algorithms"], "AES_GCM_16_256", "{status}");
        let weak = status["weak"].as_array().expect("a list");
        for name in ["MODP_1024", "HMAC_SHA1_96", "PRF_HMAC_SHA1"] {
            let told = |weak: &Value| weak["algorithm"] == name && weak["in_use"] == true;
            assert!(weak.iter().any(told), "{name}: {status}");
        }
        pair.carries();
        assert_eq!(replaced(&pair), "AES_GCM_16_256");
        pair.only_esp();
    }
}

/// Everything that Azure takes and never offers: ciphers of their own, and a key exchange at the rekey of the Child SA.
#[test]
fn what_azure_only_takes_is_taken() {
    let sha1 = "HMAC_SHA1_96";
    let sha2 = "HMAC_SHA2_256_128";
    let entries = [
        (
            "aes256-sha256-modp2048",
            format!("AES_CBC_256/{sha2}"),
            "/MODP_2048",
        ),
        (
            "aes256-sha1-modp2048s256",
            format!("AES_CBC_256/{sha1}"),
            "/MODP_2048_256",
        ),
        ("3des-sha1-modp768", format!("3DES/{sha1}"), "/MODP_768"),
        ("aes128-sha256", format!("AES_CBC_128/{sha2}"), ""),
        ("des-sha1", format!("DES/{sha1}"), ""),
    ];
    for (esp, first, group) in entries {
        let (pair, status) = up(esp, First::Far);
        assert_eq!(status["children"][0]["algorithms"], first, "{status}");
        assert_eq!(replaced(&pair), format!("{first}{group}"));
        pair.only_esp();
    }
}
