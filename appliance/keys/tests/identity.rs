//! Tokens of the identity of this machine, by the protocols of Azure's metadata service and of Azure Arc's agent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "each test that has this module uses another part of it")]
#[path = "vault/lab.rs"]
mod lab;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use appliance_keys::Limits;
use appliance_keys::managed_identity::{ManagedIdentity, Source, Which};
use lab::{IMPATIENT, QUICK, identity, started};
use secrecy::ExposeSecret;
use system_tests::peer::key_vault::{AUDIENCE, Failure, Part};

const ASKED: &str = "GET /metadata";

/// The clock goes on by so much, and then as it did.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Waits for what another task does.
async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), so)
        .await
        .expect("it comes in time");
}

/// A machine that has several identities says which is meant; another one is refused at once, and asked for only once.
#[tokio::test]
async fn identity_is_named() {
    let id = "/subscriptions/0/resourcegroups/a b/providers/Microsoft.ManagedIdentity/x";
    for (parameter, which, other) in [
        ("client_id", Which::Client("1".into()), Which::Client("2".into())),
        ("object_id", Which::Object("1".into()), Which::Client("1".into())),
        ("mi_res_id", Which::Resource(id.into()), Which::Only),
    ] {
        let vault = started();
        vault.assign(parameter, if parameter == "mi_res_id" { id } else { "1" });
        assert!(identity(&vault, which, QUICK).token(AUDIENCE).await.is_ok());
        let before = vault.asked(ASKED);
        let error = identity(&vault, other, QUICK).token(AUDIENCE).await.unwrap_err();
        assert_eq!(error.word(), "identity-refused");
        assert!(error.to_string().contains("invalid_request"), "{error}");
        assert_eq!(vault.asked(ASKED) - before, 1);
    }
}

/// What passes is asked for again; what lasts has its reason.
#[tokio::test]
async fn failures_are_named() {
    let vault = started();
    let with = |limits: Limits| identity(&vault, Which::Only, limits);
    for (failure, times) in [
        (Failure::Status(404, None), 3),
        (Failure::Status(429, Some(1)), 1),
        (Failure::Status(503, None), 4),
        (Failure::Hangup, 2),
    ] {
        vault.fail(Part::Metadata, failure.clone(), times);
        assert!(with(QUICK).token(AUDIENCE).await.is_ok(), "{failure:?}");
    }
    for (failure, word) in [
        (Failure::Status(500, None), "identity-unavailable"),
        (Failure::Silence, "identity-unavailable"),
        (Failure::Garbage, "identity-unavailable"),
        (Failure::Flood, "identity-unavailable"),
        (Failure::Status(403, None), "identity-refused"),
    ] {
        vault.fail(Part::Metadata, failure.clone(), 5);
        let error = with(IMPATIENT).token(AUDIENCE).await.unwrap_err();
        assert_eq!(error.word(), word, "{failure:?}: {error}");
        vault.mend();
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = Source::AzureVm {
        endpoint: format!("http://{nobody}"),
        which: Which::Only,
    };
    let error = ManagedIdentity::open(source, QUICK)
        .unwrap()
        .token(AUDIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.word(), "identity-unavailable");
}

/// After an update of the service (410) it is asked for longer than usual, as it is back within 70 s.
#[tokio::test(start_paused = true)]
async fn update_is_waited_for() {
    let vault = started();
    tokio::time::resume();
    vault.fail(Part::Metadata, Failure::Status(410, None), 1);
    let identity = identity(&vault, Which::Only, QUICK);
    let asking = tokio::spawn(async move { identity.token(AUDIENCE).await });
    until(|| vault.asked(ASKED) == 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!asking.is_finished());
    later(Duration::from_secs(10)).await;
    assert!(asking.await.unwrap().is_ok());
}

/// A token is kept, and renewed before it ends without anybody having to wait; while it cannot be, the old one goes on.
#[tokio::test]
async fn token_is_renewed_early() {
    let vault = started();
    let identity = identity(&vault, Which::Only, QUICK);
    let token = async || {
        identity
            .token(AUDIENCE)
            .await
            .map(|token| token.expose_secret().to_owned())
    };
    let first = token().await.unwrap();
    assert_eq!(token().await.unwrap(), first);
    assert_eq!(vault.asked(ASKED), 1);

    // Tokens of another kind from now on, so that a new one is told from the first.
    vault.revoke_tokens();
    vault.fail(Part::Metadata, Failure::Status(403, None), 1);
    later(Duration::from_secs(2750)).await;
    assert_eq!(token().await.unwrap(), first, "nobody waits for the new one");
    until(|| vault.asked(ASKED) == 2).await;
    assert_eq!(token().await.unwrap(), first, "there is none yet");

    // It is tried again after half a minute. Who asks gets no more time than the clock is moved, so that stands still meanwhile.
    while vault.asked(ASKED) < 3 {
        later(Duration::from_secs(31)).await;
        assert_eq!(token().await.unwrap(), first);
        let asked = until(|| vault.asked(ASKED) == 3);
        let _not_yet = tokio::time::timeout(Duration::from_millis(20), asked).await;
    }
    while token().await.unwrap() == first {
        tokio::task::yield_now().await;
    }
    vault.fail(Part::Metadata, Failure::Status(403, None), 1);
    later(Duration::from_secs(3601)).await;
    assert_eq!(
        identity.token(AUDIENCE).await.unwrap_err().word(),
        "identity-refused"
    );
}

/// The agent of Azure Arc gives a token to whoever can read its files, and no other file is shown to whoever listens there.
#[tokio::test]
async fn arc_is_shown_what_it_wrote() {
    let vault = started();
    let folder = tempfile::tempdir().unwrap();
    vault.be_arc(folder.path());
    let source = |tokens: &std::path::Path| Source::AzureArc {
        endpoint: vault.metadata(),
        tokens: tokens.to_owned(),
    };
    let identity = ManagedIdentity::open(source(folder.path()), QUICK).unwrap();
    assert!(identity.token(AUDIENCE).await.is_ok());
    assert_eq!(vault.asked(ASKED), 2);

    let other = tempfile::tempdir().unwrap();
    let strict = ManagedIdentity::open(source(other.path()), QUICK).unwrap();
    let error = strict.token(AUDIENCE).await.unwrap_err();
    assert_eq!(error.word(), "identity-unavailable");
    assert!(error.to_string().contains("outside"), "{error}");
    assert!(fs::read_dir(folder.path()).unwrap().count() >= 2);
}
