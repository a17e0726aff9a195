//! ESP seal and open alone, on one core: 1,400-octet inner packets, AES-128-GCM, extended sequence numbers, each
//! packet numbered, padded, checked against the anti-replay window and found again.
//!
//! Against `aws-lc-rs` AES-128-GCM sealing and opening the same octets in place, with nothing around it. Both take
//! turns in batches; the median batch counts, so that a moment in which another program ran does not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use appliance_esp::{Keys, OVERHEAD, Opener, Sa, Sealer};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use system_bench::{median, print};

const INNER: usize = 1_400;
const TAG: usize = 16;
const BATCH: u32 = 64;
const BATCHES: usize = 4_000;
const KEY: [u8; 16] = [7; 16];

/// One batch of packets, and what it took to seal and to open it.
type Times = (Duration, Duration);

fn main() -> Result<()> {
    let (mut esp, mut gcm) = (Esp::new()?, Gcm::new()?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        ours.push(esp.batch()?);
        theirs.push(gcm.batch().map_err(|_| anyhow!("AES-GCM failed"))?);
    }
    let seal = (each(&ours, |times| times.0)?, each(&theirs, |times| times.0)?);
    let open = (each(&ours, |times| times.1)?, each(&theirs, |times| times.1)?);
    for (name, (ours, theirs)) in [("esp-core-seal", seal), ("esp-core-open", open)] {
        report(name, ours, theirs);
    }
    report("esp-core", seal.0 + open.0, seal.1 + open.1);
    Ok(())
}

/// The median time for one packet.
fn each(batches: &[Times], which: impl Fn(&Times) -> Duration) -> Result<Duration> {
    Ok(median(batches.iter().map(which).collect()).context("nothing was measured")? / BATCH)
}

/// Ratio of speeds: 0.8 is "within 25 %", since 1 / 0.8 is 1.25.
fn report(name: &str, ours: Duration, theirs: Duration) {
    let rate = |time: Duration| 8.0 * 1_400.0 / time.as_secs_f64() / 1e9;
    print(&format!(
        "{name} ours={ours:?}({:.1}Gbit/s) peer={theirs:?}({:.1}Gbit/s) ratio={:.2}",
        rate(ours),
        rate(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64()
    ));
}

struct Esp {
    sealer: Sealer,
    opener: Opener,
    inner: Vec<u8>,
    packets: Vec<Vec<u8>>,
}

impl Esp {
    fn new() -> Result<Self> {
        let key_and_salt = [KEY.as_slice(), &[1, 2, 3, 4]].concat();
        let keys = Keys::AesGcm16 {
            key_and_salt: key_and_salt.into(),
        };
        let sa = Sa {
            spi: 0x1000,
            keys,
            extended_sequence_numbers: true,
        };
        let mut inner = vec![0; INNER];
        // Version and total length of an IPv4 header, 1,400.
        inner.splice(..4, [0x45, 0, 0x05, 0x78]);
        Ok(Self {
            sealer: Sealer::new(&sa)?,
            opener: Opener::new(&sa)?,
            inner,
            packets: (0..BATCH).map(|_| vec![0; INNER + OVERHEAD]).collect(),
        })
    }

    fn batch(&mut self) -> Result<Times> {
        let start = Instant::now();
        let mut len = 0;
        for packet in &mut self.packets {
            len = self.sealer.seal(black_box(&self.inner), packet)?;
        }
        let sealed = Instant::now();
        for packet in &mut self.packets {
            let packet = packet.get_mut(..len).context("a packet outgrew its buffer")?;
            black_box(self.opener.open(packet)?);
        }
        Ok((sealed - start, sealed.elapsed()))
    }
}

struct Gcm {
    key: LessSafeKey,
    number: u64,
    packets: Vec<Vec<u8>>,
}

impl Gcm {
    fn new() -> Result<Self> {
        let key = UnboundKey::new(&AES_128_GCM, &KEY).map_err(|_| anyhow!("no key"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            number: 0,
            packets: (0..BATCH).map(|_| vec![0; INNER + TAG]).collect(),
        })
    }

    fn batch(&mut self) -> Result<Times, Unspecified> {
        let first = self.number;
        let start = Instant::now();
        for packet in &mut self.packets {
            let (text, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(Unspecified)?;
            let sealed = self.key.seal_in_place_separate_tag(
                nonce(self.number),
                Aad::from([0; 12]),
                black_box(text),
            )?;
            tag.copy_from_slice(sealed.as_ref());
            self.number += 1;
        }
        let sealed = Instant::now();
        for (packet, number) in self.packets.iter_mut().zip(first..) {
            black_box(
                self.key
                    .open_in_place(nonce(number), Aad::from([0; 12]), packet)?,
            );
        }
        Ok((sealed - start, sealed.elapsed()))
    }
}

fn nonce(number: u64) -> Nonce {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    Nonce::assume_unique_for_key([1, 2, 3, 4, a, b, c, d, e, f, g, h])
}
