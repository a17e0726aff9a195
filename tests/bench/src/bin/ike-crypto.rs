//! What one side of an IKEv2 handshake spends on cryptography alone, on one core: a key pair and a shared secret in
//! each group (of ML-KEM all that both sides calculate), the key schedule, and one message sealed and one opened.
//!
//! Against `openssl speed ecdhx25519 ecdhp256 ffdh2048`, whose operations are one derivation each.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ike::Random;
use ike::crypto::{Encryption, Group, KeyAnswer, KeyExchange, Prf, Secret};
use ike::v2::keys::{IkeKeys, Said, Suite};
use system_bench::print;

const GROUPS: [Group; 9] = [
    Group::X25519,
    Group::Ecp256,
    Group::Ecp384,
    Group::Ecp521,
    Group::Modp1024,
    Group::Modp2048,
    Group::Modp2048Subgroup256,
    Group::Modp3072,
    Group::Modp4096,
];

/// Different octets each time; nothing here needs them to be secret.
struct Varied(u64);

impl Random for Varied {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            [*byte, ..] = self.0.to_be_bytes();
        }
    }
}

fn main() -> Result<()> {
    let mut random = Varied(1);
    for group in GROUPS {
        let peer = KeyExchange::start(group, &mut random)?;
        let public = peer.public();
        report(&format!("exchange/{group}"), || {
            let ours = KeyExchange::start(group, &mut random)?;
            black_box(ours.finish(public)?);
            Ok(())
        })?;
    }
    for group in [Group::MlKem512, Group::MlKem768, Group::MlKem1024] {
        report(&format!("both-sides/{group}"), || {
            let initiator = KeyExchange::start(group, &mut random)?;
            let responder = KeyAnswer::new(group, initiator.public(), &mut random)?;
            black_box(initiator.finish(responder.public())?);
            black_box(responder.finish()?);
            Ok(())
        })?;
    }
    let said = Said {
        initiator_nonce: &[1; 32],
        responder_nonce: &[2; 32],
        initiator_spi: 3,
        responder_spi: 4,
    };
    let suite = Suite {
        encryption: Encryption::AesGcm16(128),
        integrity: None,
        prf: Prf::HmacSha2_256,
    };
    let shared: Secret = vec![5; 32].into();
    report("key-schedule/AES_GCM_16_128/PRF_HMAC_SHA2_256", || {
        black_box(IkeKeys::derive(suite, &said, &shared));
        Ok(())
    })?;
    let mut keys = IkeKeys::derive(suite, &said, &shared);
    let mut protection = keys.initiator.protection()?;
    report("seal-and-open/AES_GCM_16_128/200-octets", || {
        let sealed = protection.seal_message(&[0; 28], 35, &[7; 200], &mut random)?;
        black_box(protection.open_message(&sealed)?);
        Ok(())
    })
}

/// Prints the best of five rounds, in processor time: other work on the machine only ever makes one slower.
fn report(name: &str, mut operation: impl FnMut() -> Result<()>) -> Result<()> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let (start, before, mut count) = (Instant::now(), spent()?, 0_u32);
        while start.elapsed() < Duration::from_millis(200) {
            operation()?;
            count += 1;
        }
        best = best.min((spent()? - before) / count);
    }
    let per_second = Duration::from_secs(1).as_nanos().checked_div(best.as_nanos());
    print(&format!(
        "{name} {best:.1?} {}/s",
        per_second.context("an operation took no time")?
    ));
    Ok(())
}

/// What this thread has spent on a processor.
fn spent() -> Result<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split(' ').next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
