use serde_json::{Value, json};

use super::sample::{certified, check, machine, sample, with, without};
use crate::{held, notices};

fn paths(document: &Value) -> Vec<String> {
    let notices = notices(&check(document).unwrap());
    for notice in &notices {
        let by_image = ["/system/hostname", "/system/dns", "/system/time"].contains(&notice.path.as_str());
        let word = if by_image {
            "image-only"
        } else {
            "not-in-this-version"
        };
        assert_eq!(notice.reason.word(), word, "{}", notice.path);
    }
    notices.into_iter().map(|notice| notice.path).collect()
}

#[test]
fn what_is_kept_and_not_acted_on_is_told() {
    assert_eq!(paths(&sample()), [""; 0]);
    let default = json!({ "time": { "zone": "UTC" }, "management": { "confirm_within_s": 120 } });
    assert_eq!(paths(&with(sample(), "/system", default)), [""; 0]);
    let dns = json!({ "dns": ["192.0.2.53"] });
    assert_eq!(paths(&with(sample(), "/system", dns)), ["/system/dns"]);
    let expected = ["/system/dns", "/system/hostname", "/system/time"];
    assert_eq!(paths(&machine()), expected);
}

#[test]
fn a_connection_that_cannot_be_negotiated_is_held() {
    let version_1 = with(sample(), "/connections/to-b/protocol", json!("IKEv1"));
    let version_1 = without(version_1, "/connections/to-b/policy");
    assert_eq!(held(&check(&version_1).unwrap().connections["to-b"]), None);
    let aggressive = with(
        version_1.clone(),
        "/connections/to-b/aggressive_mode",
        json!(true),
    );
    let aggressive = check(&aggressive).unwrap();
    let [weak] = notices(&aggressive).try_into().unwrap();
    let told = (weak.path.as_str(), weak.reason.word());
    assert_eq!(
        told,
        ("/connections/to-b/aggressive_mode", "aggressive-mode-weak")
    );
    assert_eq!(held(&aggressive.connections["to-b"]), None);
    let ppk = json!({ "secret": "ppk-b", "id": "b" });
    let document = with(version_1.clone(), "/connections/to-b/authentication/ppk", ppk);
    assert_eq!(paths(&document), ["/connections/to-b/protocol"]);
    let document = with(version_1, "/connections/to-b/policy", json!("modern"));
    assert_eq!(paths(&document), ["/connections/to-b/policy"]);
    let found = check(&document).unwrap();
    let hold = held(&found.connections["to-b"]).unwrap();
    assert_eq!(hold.key, "policy");
    assert!(hold.detail.contains("IKEv1"), "{}", hold.detail);
    assert_eq!(held(&found.connections["to-c"]), None);

    let outer = json!({ "role": "wan", "ipv4": { "method": "dhcp" }, "ipv6": { "method": "auto" } });
    let inner = json!({ "role": "lan", "ipv6": { "method": "auto" } });
    let document = with(document, "/interfaces", json!({ "wan0": outer, "lan0": inner }));
    let by_interface = json!({ "interface": "wan0" });
    let document = with(document, "/gateway/ip_configurations/default", by_interface);
    assert_eq!(
        paths(&document),
        ["/connections/to-b/policy", "/interfaces/lan0/ipv6"]
    );
    assert_eq!(held(&check(&document).unwrap().connections["to-c"]), None);
}

/// IKEv1 has no words for two sides that prove themselves in different ways.
#[test]
fn ikev1_with_a_certificate_on_one_side_is_held() {
    let version_1 = with(certified(), "/connections/to-c/protocol", json!("IKEv1"));
    assert_eq!(held(&check(&version_1).unwrap().connections["to-c"]), None);
    let one_sided = json!({ "method": "certificate", "certificate": "edge", "peer": { "secret": "psk-c" } });
    let document = with(version_1, "/connections/to-c/authentication", one_sided);
    let hold = held(&check(&document).unwrap().connections["to-c"]).unwrap();
    assert_eq!(hold.key, "protocol");
    assert!(
        hold.detail.contains("a certificate on one side"),
        "{}",
        hold.detail
    );
}
