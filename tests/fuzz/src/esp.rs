use appliance_esp::{Integrity, Keys, OVERHEAD, OpenError, Opener, Sa, Sealer};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const SPI: u32 = 0x0bad_cafe;
const CIPHER_KEY: [u8; 16] = [7; 16];
const SALT: [u8; 4] = [1, 2, 3, 4];

/// An ESP packet for one SA. The first octet chooses the SA's algorithms and who made the packet.
pub fn esp(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let (gcm, extended) = (choice & 4 == 0, choice & 8 == 0);
    match choice % 4 {
        0 => forged(bytes, &sa(gcm, extended)),
        1 => hostile(bytes),
        _ => honest(bytes, &sa(gcm, extended)),
    }
}

/// Made by someone without the keys: refused, whatever it holds.
fn forged(packet: &[u8], sa: &Sa) {
    let Ok(mut opener) = Opener::new(sa) else { return };
    let opened = opener.open(&mut packet.to_vec());
    assert!(opened.is_err(), "{packet:02x?} is accepted as {opened:?}");
}

/// Made by an authenticated peer who keeps to no rule about what is inside, but that there is something.
fn hostile(text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let (header, iv) = ([&SPI.to_be_bytes()[..], &[0, 0, 0, 1]].concat(), [9_u8; 8]);
    let Ok(key) = UnboundKey::new(&AES_128_GCM, &CIPHER_KEY) else {
        return;
    };
    let Ok(nonce) = Nonce::try_assume_unique_for_key(&[&SALT[..], &iv].concat()) else {
        return;
    };
    let mut sealed = text.to_vec();
    sealed.resize(text.len().next_multiple_of(4), 0);
    if LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::from(&header), &mut sealed)
        .is_err()
    {
        return;
    }
    let packet = [&header[..], &iv, &sealed].concat();
    let Ok(mut opener) = Opener::new(&sa(true, false)) else {
        return;
    };
    let mut room = packet.clone();
    if let Ok(Some(range)) = opener.open(&mut room) {
        let inner = room.get(range);
        assert!(
            inner.is_some_and(|inner| text.starts_with(inner)),
            "the inner packet is the text's beginning"
        );
    }
    assert_eq!(
        opener.open(&mut packet.clone()),
        Err(OpenError::Replay),
        "authentic, so its number is used"
    );
}

/// Made by our own other end: opened as it was once, and never when damaged.
fn honest(inner: &[u8], sa: &Sa) {
    let (Ok(mut sealer), Ok(mut opener)) = (Sealer::new(sa), Opener::new(sa)) else {
        return;
    };
    let mut packet = vec![0; inner.len() + OVERHEAD];
    let Ok(length) = sealer.seal(inner, &mut packet) else {
        return;
    };
    packet.truncate(length);
    assert_eq!(length, sealer.sealed_len(inner.len()));
    // Octet and bit are taken from the packet itself, so that every place has its turn.
    let place = inner.iter().fold(0_usize, |sum, octet| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*octet))
    });
    let mut damaged = packet.clone();
    if let Some(octet) = damaged.iter_mut().skip(4).nth(place % (length - 4)) {
        *octet ^= 1 << (place % 8);
    }
    assert!(
        opener.open(&mut damaged).is_err(),
        "octet {} was damaged",
        4 + place % (length - 4)
    );
    let mut room = packet.clone();
    if let Ok(Some(range)) = opener.open(&mut room) {
        assert!(room.get(range).is_some_and(|opened| inner.starts_with(opened)));
    }
    assert_eq!(opener.open(&mut packet), Err(OpenError::Replay));
}

fn sa(gcm: bool, extended_sequence_numbers: bool) -> Sa {
    let keys = if gcm {
        Keys::AesGcm16 {
            key_and_salt: [&CIPHER_KEY[..], &SALT].concat().into(),
        }
    } else {
        Keys::AesCbc {
            key: CIPHER_KEY.to_vec().into(),
            integrity: Integrity::HmacSha2_256_128,
            integrity_key: vec![5; 32].into(),
        }
    };
    Sa {
        spi: SPI,
        keys,
        extended_sequence_numbers,
    }
}
