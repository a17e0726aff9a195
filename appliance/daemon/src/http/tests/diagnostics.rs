use serde_json::json;

use super::tls::Served;

#[tokio::test]
async fn diagnostics_are_for_whoever_operates_the_box() {
    let served = Served::claimed().await;
    for (role, status) in [("viewer", 403), ("operator", 200)] {
        let token = served.token(&json!({ "name": role, "role": role })).await;
        let told = served.send("GET", "/api/v1/diagnostics", &token, "").await;
        assert_eq!(told.status, status, "{role}");
    }
}
