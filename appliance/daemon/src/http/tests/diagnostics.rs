use serde_json::json;

use super::tls::Served;

/// All that helps is in it, and the secret that the document names is not; who only looks does not get it.
#[tokio::test]
async fn diagnostics_are_for_whoever_operates_the_box() {
    let served = Served::claimed().await;
    let secret = "a.secret.that.nobody.is.told";
    let set = served
        .machine
        .send("PUT", "/api/v1/secrets/psk-b", "", secret.as_bytes())
        .await;
    assert!(set.status < 300, "{set:?}");
    for (role, status) in [("viewer", 403), ("operator", 200)] {
        let token = served.token(&json!({ "name": role, "role": role })).await;
        let told = served.send("GET", "/api/v1/diagnostics", &token, "").await;
        assert_eq!(told.status, status, "{role}");
        assert!(!told.body.to_string().contains(secret), "{role}");
        if status == 200 {
            let told = &told.body;
            let connection = &told["document"]["connections"]["to-b"];
            assert_eq!(connection["authentication"]["secret"], "psk-b", "{told}");
            assert!(told["status"]["connections"].is_object(), "{told}");
            assert!(
                told["log"]["lines"].is_array() && told["generations"].is_object(),
                "{told}"
            );
        }
    }
}
