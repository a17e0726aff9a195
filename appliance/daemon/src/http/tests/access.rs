use serde_json::json;

use super::machine::document;
use super::tls::{PASSWORD, Served};

const CONFIG: &str = "/api/v1/config";
const TO_B: &str = "/api/v1/config/connections/to-b";
const MTU: &str = r#"{"mtu":1300}"#;
const ANY: &str = "If-Match: *\r\n";

#[tokio::test]
async fn an_admin_claims_the_machine_and_changes_it_over_tls() {
    let served = Served::new().await;
    let nobody = served.send("GET", CONFIG, "", "").await;
    assert_eq!(nobody.reason(), (401, "sign-in-needed"));
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    let code = served.machine.get("/api/v1/claim").await.body["code"].clone();
    let claim = |code: &serde_json::Value| json!({ "code": code, "user": "alice", "password": PASSWORD });
    let wrong = served
        .send(
            "POST",
            "/api/v1/claim",
            "",
            &claim(&json!("0000-0000")).to_string(),
        )
        .await;
    assert_eq!(wrong.reason(), (403, "wrong-code"));
    let claim = claim(&code).to_string();
    let claimed = served.send("POST", "/api/v1/claim", "", &claim).await;
    assert_eq!(
        (claimed.status, claimed.body),
        (201, json!({ "user": "alice", "role": "admin", "generation": 3 }))
    );
    let again = served.send("POST", "/api/v1/claim", "", &claim).await;
    assert_eq!(again.reason(), (409, "already-claimed"));
    assert_eq!(
        served.machine.get("/api/v1/claim").await.reason(),
        (409, "already-claimed")
    );

    let signed_in = served.signed_in("alice").await;
    let patched = served
        .send(
            "PATCH",
            TO_B,
            &format!("{}If-Match: \"3\"\r\n", signed_in.headers()),
            MTU,
        )
        .await;
    assert_eq!((patched.status, patched.etag()), (200, "\"4\""), "{patched:?}");
    let generations = served.machine.get("/api/v1/generations").await.body;
    assert_eq!(generations["generations"][0]["author"], json!("alice"));
}

#[tokio::test]
async fn a_token_may_do_what_its_role_and_scope_allow() {
    let served = Served::claimed().await;
    let viewer = served
        .token(&json!({ "name": "graphs", "role": "viewer", "scope": ["/status", "/config/connections"] }))
        .await;
    assert_eq!(
        served.send("GET", "/api/v1/status", &viewer, "").await.status,
        200
    );
    assert_eq!(served.send("GET", TO_B, &viewer, "").await.status, 200);
    let beyond = served.send("GET", "/api/v1/generations", &viewer, "").await;
    assert_eq!(beyond.reason(), (403, "out-of-scope"));
    let refused = served.send("PATCH", TO_B, &format!("{viewer}{ANY}"), MTU).await;
    assert_eq!(refused.reason(), (403, "role-insufficient"));
    assert!(refused.body["detail"].as_str().unwrap().contains("admin"));

    let admin = served
        .token(&json!({ "name": "automation", "role": "admin" }))
        .await;
    let patched = served.send("PATCH", TO_B, &format!("{admin}{ANY}"), MTU).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let generations = served.machine.get("/api/v1/generations").await.body;
    assert_eq!(
        generations["generations"][0]["author"],
        json!("token automation of alice")
    );
    let another = json!({ "name": "more", "role": "admin" }).to_string();
    let refused = served.send("POST", "/api/v1/tokens", &admin, &another).await;
    assert_eq!(refused.reason(), (403, "user-needed"));
    let wrong = "Authorization: Bearer cw_0\r\n";
    assert_eq!(
        served.send("GET", CONFIG, wrong, "").await.reason(),
        (401, "token-invalid")
    );

    let alice = served.signed_in("alice").await;
    let listed = served
        .send("GET", "/api/v1/tokens", &alice.headers(), "")
        .await
        .body;
    assert_eq!(
        listed["graphs"]["scope"],
        json!(["/status", "/config/connections"])
    );
    assert!(!listed.to_string().contains("cw_"));
    let removed = served
        .send("DELETE", "/api/v1/tokens/graphs", &alice.headers(), "")
        .await;
    assert_eq!(removed.status, 204);
    assert_eq!(
        served.send("GET", "/api/v1/status", &viewer, "").await.reason(),
        (401, "token-invalid")
    );
}

/// Whoever would lock themselves out over the network is on trial without asking for it, unless they decline.
#[tokio::test]
async fn a_change_that_cuts_its_author_off_is_on_trial_by_itself() {
    let served = Served::claimed().await;
    let admin = served
        .token(&json!({ "name": "automation", "role": "admin" }))
        .await;
    let headers = format!("{admin}{ANY}Content-Type: application/merge-patch+json\r\n");
    let elsewhere = super::tls::free_address();
    let moved = json!({ "system": { "management": { "listen": [elsewhere] } } }).to_string();
    let checked = served
        .send("POST", "/api/v1/config:check", &headers, &moved)
        .await;
    assert_eq!(
        checked.body["impact"]["caller"]["cut_off"],
        json!(true),
        "{checked:?}"
    );
    let harmless = served.send("PATCH", TO_B, &headers, MTU).await;
    assert_eq!(harmless.body["impact"]["caller"]["cut_off"], json!(false));
    assert_eq!(harmless.body.get("confirm_within_s"), None);
    let patched = served.send("PATCH", CONFIG, &headers, &moved).await;
    assert_eq!(patched.body["confirm_within_s"], json!(120), "{patched:?}");
    assert!(served.connect().await.is_err());
    let before = json!({ "generation": harmless.body["generation"] }).to_string();
    let back = served
        .machine
        .ask("POST", "/api/v1/config:rollback", None, &before)
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    let path = format!("{CONFIG}?confirm_within_s=0");
    let kept = served.send("PATCH", &path, &headers, &moved).await;
    assert_eq!(
        (kept.status, kept.body.get("confirm_within_s")),
        (200, None),
        "{kept:?}"
    );
}

/// A listener that cannot be had is no part of a commit.
#[tokio::test]
async fn a_port_that_is_taken_is_told_and_nothing_changes() {
    let served = Served::claimed().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = json!({ "system": { "management": { "listen": [taken.local_addr().unwrap()] } } });
    let refused = served
        .machine
        .send("PATCH", CONFIG, ANY, taken.to_string().as_bytes())
        .await;
    assert_eq!(refused.reason(), (409, "not-applied"), "{refused:?}");
    served.signed_in("alice").await;
}

#[tokio::test]
async fn another_certificate_is_shown_at_once_and_one_with_another_key_is_refused() {
    let served = Served::claimed().await;
    let before = served.machine.get("/api/v1/certificate").await.body;
    assert_eq!(before["self_made"], json!(true));
    let refused = served
        .machine
        .send(
            "PUT",
            "/api/v1/certificate",
            "",
            before["chain"].as_str().unwrap().as_bytes(),
        )
        .await;
    assert_eq!(refused.reason(), (422, "certificate-unreadable"));
    let renewed = served
        .machine
        .ask("DELETE", "/api/v1/certificate", None, "")
        .await
        .body;
    assert_ne!(renewed["sha256"], before["sha256"]);
    assert!(
        super::tls::connect(served.address, before["chain"].as_str().unwrap())
            .await
            .is_err()
    );
    served.signed_in("alice").await;
}

/// A write by cookie must come from a page that knows the session's token, and from no other site.
#[tokio::test]
async fn another_site_cannot_use_the_cookie_of_a_browser() {
    let served = Served::claimed().await;
    let alice = served.signed_in("alice").await;
    let cookie = format!("Cookie: other=1; {}\r\n", alice.cookie);
    assert_eq!(served.send("GET", CONFIG, &cookie, "").await.status, 200);
    let without = served.send("PATCH", TO_B, &format!("{cookie}{ANY}"), MTU).await;
    assert_eq!(without.reason(), (403, "csrf-token-needed"));
    for foreign in [
        "Origin: https://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: null\r\n",
    ] {
        let headers = format!("{}{foreign}{ANY}", alice.headers());
        let refused = served.send("PATCH", TO_B, &headers, MTU).await;
        assert_eq!(refused.reason(), (403, "cross-site"), "{foreign}");
    }
    let headers = format!(
        "{}Origin: https://x\r\nSec-Fetch-Site: same-origin\r\n{ANY}",
        alice.headers()
    );
    assert_eq!(served.send("PATCH", TO_B, &headers, MTU).await.status, 200);
    let told = served.send("GET", "/api/v1/session", &cookie, "").await.body;
    assert_eq!(
        told,
        json!({ "who": "alice", "user": "alice", "role": "admin", "by": "session", "csrf_token": alice.csrf_token })
    );
}

#[tokio::test]
async fn a_session_ends_by_time_and_by_its_user() {
    let served = Served::claimed().await;
    let (one, other) = (served.signed_in("alice").await, served.signed_in("alice").await);
    let out = served.send("DELETE", "/api/v1/session", &one.headers(), "").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    let ended = served.send("GET", CONFIG, &one.headers(), "").await;
    assert_eq!(ended.reason(), (401, "session-expired"));
    assert_eq!(served.send("GET", CONFIG, &other.headers(), "").await.status, 200);
    served
        .machine
        .access
        .age_sessions(std::time::Duration::from_secs(1800));
    let ended = served.send("GET", CONFIG, &other.headers(), "").await;
    assert_eq!(ended.reason(), (401, "session-expired"));
    // The cookie of before does not keep anybody from signing in again.
    let body = json!({ "user": "alice", "password": PASSWORD }).to_string();
    let again = served
        .send("POST", "/api/v1/session", &other.headers(), &body)
        .await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn whoever_guesses_waits_and_the_owner_comes_in_from_elsewhere() {
    let served = Served::claimed().await;
    for user in ["alice", "nobody", "alice", "alice", "alice"] {
        let wrong = served.sign_in(user, "correct horse batterz").await;
        assert_eq!(wrong.reason(), (401, "wrong-password"));
    }
    let _sixth = served.sign_in("alice", "correct horse batterz").await;
    let waiting = served.sign_in("alice", PASSWORD).await;
    assert_eq!(waiting.reason(), (429, "too-many-attempts"));
    assert!(waiting.header("retry-after").parse::<u64>().unwrap() >= 1);
    let body = json!({ "user": "alice", "password": PASSWORD }).to_string();
    let elsewhere = served.machine.ask("POST", "/api/v1/session", None, &body).await;
    assert_eq!(elsewhere.status, 200, "{elsewhere:?}");
}

/// Who is gone from the document is out at once, and comes back with nothing.
#[tokio::test]
async fn a_user_who_is_removed_has_no_session_no_token_and_no_password() {
    let served = Served::claimed().await;
    served.user("bob", "operator").await;
    let bob = served.signed_in("bob").await;
    let token = json!({ "name": "bobs", "role": "operator" }).to_string();
    let made = served
        .send("POST", "/api/v1/tokens", &bob.headers(), &token)
        .await;
    let bearer = format!(
        "Authorization: Bearer {}\r\n",
        made.body["token"].as_str().unwrap()
    );
    let too_much = json!({ "name": "much", "role": "admin" }).to_string();
    let refused = served
        .send("POST", "/api/v1/tokens", &bob.headers(), &too_much)
        .await;
    assert_eq!(refused.reason(), (403, "role-insufficient"));

    let path = "/api/v1/config/users/bob";
    let less = served
        .machine
        .send("PUT", path, ANY, br#"{"role":"viewer"}"#)
        .await;
    assert_eq!(less.status, 200);
    assert_eq!(
        served.send("GET", "/api/v1/secrets", &bearer, "").await.reason(),
        (403, "role-insufficient")
    );
    assert_eq!(served.machine.send("DELETE", path, ANY, b"").await.status, 200);
    assert_eq!(
        served.send("GET", CONFIG, &bearer, "").await.reason(),
        (401, "token-invalid")
    );
    assert_eq!(
        served.send("GET", CONFIG, &bob.headers(), "").await.reason(),
        (401, "session-expired")
    );
    assert_eq!(
        served
            .machine
            .send("PUT", path, ANY, br#"{"role":"viewer"}"#)
            .await
            .status,
        200
    );
    assert_eq!(
        served.sign_in("bob", PASSWORD).await.reason(),
        (401, "wrong-password")
    );
    assert_eq!(
        served.send("GET", CONFIG, &bearer, "").await.reason(),
        (401, "token-invalid")
    );
}

#[tokio::test]
async fn one_changes_ones_own_password_with_the_old_one_and_an_admin_that_of_others() {
    let served = Served::claimed().await;
    served.user("bob", "viewer").await;
    let (bob, alice) = (served.signed_in("bob").await, served.signed_in("alice").await);
    let put = async |who: &super::tls::SignedIn, user: &str, body: serde_json::Value| {
        let path = format!("/api/v1/users/{user}/password");
        served.send("PUT", &path, &who.headers(), &body.to_string()).await
    };
    let new = "another horse battery";
    let others = put(&bob, "alice", json!({ "password": new })).await;
    assert_eq!(others.reason(), (403, "role-insufficient"));
    let without = put(&bob, "bob", json!({ "password": new })).await;
    assert_eq!(without.reason(), (401, "wrong-password"));
    let short = put(
        &bob,
        "bob",
        json!({ "password": "short", "old_password": PASSWORD }),
    )
    .await;
    assert_eq!(short.reason(), (422, "password-unfit"));
    let set = put(&bob, "bob", json!({ "password": new, "old_password": PASSWORD })).await;
    assert_eq!(set.status, 204, "{set:?}");
    assert_eq!(served.send("GET", CONFIG, &bob.headers(), "").await.status, 200);
    let set = put(&alice, "bob", json!({ "password": PASSWORD })).await;
    assert_eq!(set.status, 204, "{set:?}");
    assert_eq!(
        served.send("GET", CONFIG, &bob.headers(), "").await.reason(),
        (401, "session-expired")
    );
    assert_eq!(served.sign_in("bob", PASSWORD).await.status, 200);
    let unknown = put(&alice, "carol", json!({ "password": PASSWORD })).await;
    assert_eq!(unknown.reason(), (404, "unknown-user"));
    let users = served
        .send("GET", "/api/v1/users", &alice.headers(), "")
        .await
        .body;
    assert_eq!(
        (&users["bob"]["role"], &users["bob"]["password_set_by"]),
        (&json!("viewer"), &json!("alice"))
    );
}

/// What the API knows survives a crash, but sessions; and a crash in the middle of a claim leaves the machine claimable.
#[tokio::test]
async fn passwords_and_tokens_outlive_the_daemon() {
    let mut served = Served::claimed().await;
    let token = served
        .token(&json!({ "name": "automation", "role": "viewer" }))
        .await;
    let alice = served.signed_in("alice").await;
    served.machine = served.machine.killed().await;
    assert_eq!(served.send("GET", CONFIG, &token, "").await.status, 200);
    assert_eq!(
        served.send("GET", CONFIG, &alice.headers(), "").await.reason(),
        (401, "session-expired")
    );
    served.signed_in("alice").await;
}

/// As a crash leaves it between the password and the commit.
#[tokio::test]
async fn half_a_claim_leaves_the_machine_claimable() {
    let mut served = Served::new().await;
    served.machine.access.store_password("alice", PASSWORD).await;
    served.machine = served.machine.killed().await;
    assert_eq!(
        served.sign_in("alice", PASSWORD).await.reason(),
        (401, "wrong-password")
    );
    let code = served.machine.get("/api/v1/claim").await.body["code"].clone();
    let claim = json!({ "code": code, "user": "alice", "password": "another horse battery" });
    let claimed = served.send("POST", "/api/v1/claim", "", &claim.to_string()).await;
    assert_eq!(claimed.status, 201, "{claimed:?}");
    assert_eq!(served.sign_in("alice", "another horse battery").await.status, 200);
}

/// Every write and every refused one is in the audit log, with who and from where; a flood takes few lines.
#[tokio::test]
async fn the_audit_log_tells_who_did_what_from_where() {
    let served = Served::claimed().await;
    let viewer = served.token(&json!({ "name": "graphs", "role": "viewer" })).await;
    for _ in 0..50 {
        let stranger = served.send("PATCH", TO_B, ANY, MTU).await;
        assert_eq!(stranger.status, 401);
    }
    served.send("PATCH", TO_B, &format!("{viewer}{ANY}"), MTU).await;
    served.send("PUT", CONFIG, "", &document().to_string()).await;
    let lines = served.machine.access.audit_lines();
    let count = |line: &str| lines.iter().filter(|one| one.as_str() == line).count();
    for line in [
        "alice 127.0.0.1 set the password of alice done",
        "alice 127.0.0.1 commit by api done",
        "alice 127.0.0.1 sign in done",
        "alice 127.0.0.1 make token graphs of alice as viewer done",
        "token graphs of alice 127.0.0.1 PATCH /api/v1/config/connections/to-b role-insufficient",
        "nobody 127.0.0.1 PATCH /api/v1/config/{collection}/{name} sign-in-needed",
        "uid 0 socket GET /api/v1/claim done",
    ] {
        assert_eq!(count(line), 1, "{line}: {lines:#?}");
    }
}

/// Who only looks may read certificates and have one judged; to use a key, or ask a token or a vault, takes an operator.
#[tokio::test]
async fn keys_are_tried_by_operators_and_certificates_read_by_all() {
    let served = Served::claimed().await;
    for (user, role) in [("victor", "viewer"), ("olga", "operator")] {
        served.user(user, role).await;
    }
    let (victor, olga) = (served.signed_in("victor").await, served.signed_in("olga").await);
    for path in ["certificates", "certificates:timeline", "trust"] {
        let path = format!("/api/v1/{path}");
        assert_eq!(
            served.send("GET", &path, &victor.headers(), "").await.status,
            200,
            "{path}"
        );
    }
    let judged = served
        .send("POST", "/api/v1/certificates:verify", &victor.headers(), "{}")
        .await;
    assert_eq!(judged.reason(), (400, "invalid-body"));
    for (path, unknown) in [
        ("certificates/edge:test-sign", "unknown-certificate"),
        ("certificates/edge:refresh", "unknown-certificate"),
        ("key-providers/hsm:self-test", "unknown-key-provider"),
    ] {
        let path = format!("/api/v1/{path}");
        let refused = served.send("POST", &path, &victor.headers(), "").await;
        assert_eq!(refused.reason(), (403, "role-insufficient"), "{path}");
        let let_in = served.send("POST", &path, &olga.headers(), "").await;
        assert_eq!(let_in.reason(), (404, unknown), "{path}");
    }
}
