//! Policies on any kernel with XFRM, states on one with ESP.

use std::collections::BTreeSet;
use std::sync::Arc;

use appliance_kernel::{
    Algorithm, Authenticator, Direction, EspKeys, Event, Kernel, Key, KeyMaterial, Object, RefusalKind,
    Removal, Request, Scope, StateKey, UdpPorts, XfrmPolicy, XfrmState,
};

use crate::*;

/// A kernel without ESP says so, naming the state; probing leaves nothing behind.
#[test]
fn missing_esp_is_named() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let probed = kernel.probe().await;
        assert_eq!(ip("xfrm state"), "");
        assert!(!run("link show cw-probe").0);
        let answer = kernel
            .apply(want([state(A, B, 0x0b0b_0b01, Algorithm::AesGcm16).into()]))
            .await;
        match (probed, answer) {
            (Ok(()), Ok(())) => println!("this kernel has ESP, XFRM interfaces and AES-GCM"),
            (Err(missing), answer) => {
                assert!(std::env::var_os("CAUSEWAY_EXPECT_ESP").is_none(), "{missing}");
                println!("this kernel lacks something: {missing}");
                let refusal = answer.unwrap_err();
                assert_eq!(refusal.object, "ESP state to 192.0.2.2 SPI 0x0b0b0b01");
                assert_eq!(refusal.kind(), RefusalKind::Unsupported, "{refusal}");
                assert_eq!(keys(&kernel), BTreeSet::new());
            }
            (Ok(()), Err(refusal)) => panic!("probed, but {refusal}"),
        }
    });
}

/// Policies need no ESP: they are written, found again and removed on any kernel with XFRM.
#[test]
fn policies_survive_a_restart() {
    isolated(|| async {
        let policies: Vec<Object> = XfrmPolicy::any_to_any(IF_ID, ip_of(A), ip_of(B))
            .into_iter()
            .map(Object::from)
            .collect();
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        kernel.apply(want(policies.clone())).await.unwrap();
        ip("xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dir out");
        let found = ip("xfrm policy");
        assert!(
            found.contains("src 192.0.2.1 dst 192.0.2.2") && found.contains("if_id 0x43570001"),
            "{found}"
        );

        ip(&format!(
            "xfrm policy del src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd if_id {IF_ID:#x}"
        ));
        let events = settle(&mut kernel, &mut notices).await;
        assert!(
            matches!(&events[..], [Event::Missing(Key::Policy(key))] if key.direction == Direction::Forward)
        );
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&policies));

        kernel.apply(want(policies.clone())).await.unwrap();
        let moved: Vec<Object> = XfrmPolicy::any_to_any(IF_ID, ip_of(A), ip_of("192.0.2.3"))
            .into_iter()
            .map(Object::from)
            .collect();
        kernel.apply(want(moved)).await.unwrap();
        let found = ip("xfrm policy");
        assert!(
            found.contains("192.0.2.3") && !found.contains("192.0.2.2"),
            "{found}"
        );
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(ip("xfrm policy").matches("src 10.0.0.0/8").count(), 1);
        assert!(!ip("xfrm policy").contains("192.0.2.3"));
    });
}

/// A state of every algorithm; one in UDP, one with short sequence numbers.
fn all_kinds() -> Vec<XfrmState> {
    let authenticators = [
        Authenticator::HmacSha1_96,
        Authenticator::HmacSha2_256_128,
        Authenticator::HmacSha2_384_192,
        Authenticator::HmacSha2_512_256,
    ];
    let algorithms = authenticators.map(Algorithm::AesCbc).into_iter().chain([
        Algorithm::AesGcm16,
        Algorithm::ChaCha20Poly1305,
        Algorithm::TripleDes(Authenticator::HmacMd5_96),
        Algorithm::Des(Authenticator::HmacSha1_96),
        Algorithm::Null(Authenticator::HmacSha2_256_128),
    ]);
    let mut states: Vec<XfrmState> = (1..)
        .zip(algorithms)
        .map(|(spi, algorithm)| state(A, B, 0x0b00 + spi, algorithm))
        .collect();
    states[4].encapsulation = Some(UdpPorts {
        source: 4500,
        destination: 1024,
    });
    states[3].extended_sequence_numbers = false;
    states
}

/// States are written as asked; a lost one is reported and not made again.
#[test]
fn lost_states_are_reported() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        if !has_esp(&mut kernel, "lost_states_are_reported").await {
            return;
        }
        kernel
            .apply(want(all_kinds().into_iter().map(Object::from)))
            .await
            .unwrap();
        let shown = ip("xfrm state");
        for wanted in [
            "reqid 1129775105",
            "auth-trunc hmac(sha384)",
            "rfc4106(gcm(aes))",
            "rfc7539esp(chacha20,poly1305)",
            "cbc(des3_ede)",
            "auth-trunc hmac(md5)",
            "cbc(des)",
            "ecb(cipher_null)",
            "sport 4500 dport 1024",
            "flag af-unspec esn",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        settle(&mut kernel, &mut notices).await;

        ip("xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0xb01");
        let lost = StateKey {
            destination: ip_of(B),
            spi: 0xb01,
        };
        let events = settle(&mut kernel, &mut notices).await;
        assert_eq!(
            events,
            [Event::StateLost {
                key: lost,
                interface_id: IF_ID
            }]
        );
        kernel.audit().await.unwrap();
        assert!(!ip("xfrm state").contains("0x00000b01"));

        ip("xfrm state flush");
        assert_eq!(
            settle(&mut kernel, &mut notices).await.len(),
            all_kinds().len() - 1
        );
        assert_eq!(ip("xfrm state"), "");
    });
}

/// After a restart the states are found as they were, but for their keys, and go when their child is replaced.
#[test]
fn states_are_adopted_until_replaced() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        if !has_esp(&mut kernel, "states_are_adopted_until_replaced").await {
            return;
        }
        kernel
            .apply(want(all_kinds().into_iter().map(Object::from)))
            .await
            .unwrap();

        let (mut kernel, _) = Kernel::open().await.unwrap();
        let expected = all_kinds().into_iter().map(|state| {
            Object::State(XfrmState {
                keys: KeyMaterial::Found,
                ..state
            })
        });
        assert_eq!(
            kernel.present().cloned().collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
        assert_eq!(kernel.adopted_children(), BTreeSet::from([IF_ID]));
        let new = state(A, B, 0x0c01, Algorithm::AesGcm16);
        kernel.apply(want([new.clone().into()])).await.unwrap();
        kernel
            .apply([Request::Release(Scope::Child(IF_ID))])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), BTreeSet::from([Key::State(new.key())]));
        assert_eq!(ip("xfrm state").matches("proto esp").count(), 1);
        kernel.audit().await.unwrap();
        assert_eq!(keys(&kernel), BTreeSet::from([Key::State(new.key())]));
    });
}

/// Two states of one child go in together or not at all.
#[test]
fn half_a_child_is_taken_back() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        if !has_esp(&mut kernel, "half_a_child_is_taken_back").await {
            return;
        }
        let good = state(A, B, 0x0b01, Algorithm::AesGcm16);
        let mut bad = state(B, A, 0x0b02, Algorithm::AesGcm16);
        bad.keys = KeyMaterial::Given(Arc::new(EspKeys {
            encryption: vec![1; 7].into(),
            integrity: None,
        }));
        let refusal = kernel.apply(want([good.into(), bad.into()])).await.unwrap_err();
        assert_eq!(refusal.object, "ESP state to 192.0.2.1 SPI 0x00000b02");
        assert_eq!(ip("xfrm state"), "");
        assert_eq!(keys(&kernel), BTreeSet::new());
    });
}
